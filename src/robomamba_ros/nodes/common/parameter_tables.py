"""The parameters of every node in one table each: type, default, limits, description."""

from __future__ import annotations

from robomamba_ros.language.instructions import CHOICES as INSTRUCTIONS
from robomamba_ros.nodes.common.parameters import ParameterSpec
from robomamba_ros.policies.base import CACHES, DTYPES
from robomamba_ros.types import MODES

GRIPPER_OUTPUTS = ('contract', 'joint_state')

ARM = ParameterSpec(
    'arm', 'sawyer_sim', 'the arm contract: a name in config/arms or the path of a YAML file'
)
MODE = ParameterSpec(
    'mode',
    'realtime',
    'realtime: by the clock; lockstep: simulated time waits for every command',
    choices=MODES,
)
AUTOSTART = ParameterSpec('autostart', True, 'configure and activate at start')
EXECUTE_STEPS = ParameterSpec(
    'execute_steps',
    0,
    'actions of a chunk to run before the next inference; 0: as the policy was evaluated '
    '(the controller needs the number in lockstep mode)',
    limits=(0, 1000),
)

BUDGETS = ParameterSpec(
    'budget_factor',
    1.0,
    "multiplies the budgets of the arm's inputs, for a stand-in on a machine with other work; 1 on "
    'a real arm',
    limits=(1.0, 100.0),
)

POLICY = (
    ParameterSpec(
        'checkpoint', '', 'directory of the policy, or its name in models/', required=True
    ),
    ARM,
    BUDGETS,
    MODE,
    AUTOSTART,
    EXECUTE_STEPS,
    ParameterSpec('device', 'cpu', 'where the policy runs: cpu, cuda, cuda:0, ...'),
    ParameterSpec(
        'dtype',
        'auto',
        'type that the large parts compute in; auto: as stored, where the machine is fast in it',
        choices=DTYPES,
    ),
    ParameterSpec(
        'cache',
        'none',
        'what is kept from one inference to the next: prefix, the state after constant tokens; '
        'stream, the state of the whole episode',
        choices=CACHES,
    ),
    ParameterSpec(
        'threads',
        1,
        'CPU threads of an inference; more help a large policy, and delay a small one where other '
        'processes are busy',
        limits=(1, 256),
    ),
    ParameterSpec('instruction', '', 'instruction to start with; the topic replaces it'),
    ParameterSpec(
        'instructions',
        'auto',
        'which are followed: trained_only, those that the policy was trained on; any, others too; '
        'auto, others only where the policy has the words of a language model',
        choices=INSTRUCTIONS,
    ),
    ParameterSpec(
        'follow_targets',
        True,
        'go straight where a pose target says, by an action_chunk; false: publish pose_target '
        'alone, for a planner',
    ),
    ParameterSpec('enabled', True, 'infer as soon as active; ~/enable changes it'),
)
CONTROLLER = (
    ARM,
    BUDGETS,
    MODE,
    AUTOSTART,
    EXECUTE_STEPS,
    ParameterSpec(
        'crossfade_steps',
        0,
        'steps over which a new chunk takes over from the old one; 0: at once',
        limits=(0, 1000),
    ),
    ParameterSpec(
        'ensemble_decay',
        -1.0,
        'average overlapping chunks, the i-th oldest by exp(-ensemble_decay * i); below 0: do not',
        limits=(-1.0, 100.0),
    ),
    ParameterSpec(
        'enabled', False, 'move as soon as active, without waiting for ~/enable to say so'
    ),
    ParameterSpec(
        'dry_run',
        False,
        'compute and show every command and send none: what the policy would do from here',
    ),
    ParameterSpec(
        'interlocks',
        True,
        "wait for what the contract's interlocks and speed scaling say; false only where no real "
        'robot is, as with the fake arm',
    ),
    ParameterSpec(
        'gripper_output',
        'contract',
        'contract: command the gripper as the arm contract says; joint_state: as a JointState on '
        '`gripper`, for the fake arm or a bridge of your own',
        choices=GRIPPER_OUTPUTS,
    ),
)
SIM = (
    ARM,
    MODE,
    ParameterSpec('task', 'reach', 'Meta-World task, used at the next reset', read_only=False),
    ParameterSpec(
        'seed',
        0,
        'fixes where the objects lie, used at the next reset',
        limits=(0, 2**31 - 1),
        read_only=False,
    ),
    ParameterSpec('camera_rate', 20.0, 'images per second in realtime mode', limits=(0.1, 80.0)),
    ParameterSpec('camera_steps', 10, 'steps between images in lockstep mode', limits=(1, 1000)),
    ParameterSpec(
        'announce_instruction', True, "publish the task's instruction on `instruction` at a reset"
    ),
    ParameterSpec(
        'endless',
        False,
        'when an episode is over, let policy_node and controller_node begin the next one, with the '
        'next seed',
    ),
    ParameterSpec('camera_size', 224, 'width and height of the images [px]', limits=(16, 2048)),
)
FAKE_ARM = (
    ARM,
    ParameterSpec(
        'urdf',
        '',
        "path of the arm's URDF; empty: the file that the contract names, else one made up from "
        'the contract',
    ),
    ParameterSpec(
        'interpolate_from_desired_state',
        True,
        'as of a joint_trajectory_controller: a new trajectory begins where the last one put the '
        'joints, not where they are',
    ),
    ParameterSpec(
        'disagree',
        '',
        'how the arm is not where it is told to be, as lag_s=0.05,backlash_rad=0.002; empty: it is',
    ),
    ParameterSpec(
        'speed_scaling',
        1.0,
        'share of the time that passes in trajectories, as of a speed slider; may be changed while '
        'it runs',
        limits=(0.0, 1.0),
        read_only=False,
    ),
    ParameterSpec('camera_rate', 20.0, 'images per second', limits=(0.1, 1000.0)),
    ParameterSpec('camera_width', 640, 'width of the images [px]', limits=(16, 4096)),
    ParameterSpec('camera_height', 480, 'height of the images [px]', limits=(16, 4096)),
)
BAG_PLAYER = (
    ParameterSpec('bag', '', 'a folder of rosbag2, or one of its files', required=True),
    ParameterSpec('topics', '', 'what to play, names with spaces between; empty: every topic'),
    ParameterSpec(
        'exclude',
        '',
        'what not to play, names with spaces between; one without a leading / is left out under '
        'any namespace',
    ),
    ParameterSpec('rate', 1.0, 'seconds of the bag in a second', limits=(0.01, 100.0)),
    ParameterSpec('start_offset_s', 0.0, 'where in the bag to begin [s]', limits=(0.0, 1e9)),
    ParameterSpec(
        'duration_s', 0.0, 'how much of it to play [s]; 0: to the end', limits=(0.0, 1e9)
    ),
    ParameterSpec('loop', False, 'begin again at the end; the clock then goes back'),
    ParameterSpec('paused', False, 'wait for ~/pause or ~/toggle_paused to begin'),
    ParameterSpec(
        'wait_for', '', 'topics that must have a reader before it begins, with spaces between'
    ),
    ParameterSpec(
        'publish_clock',
        True,
        "publish /clock: the bag's own, or where it has none the times of recording",
    ),
    ParameterSpec('clock_rate', 100.0, 'ticks of a made /clock per second', limits=(1.0, 10_000.0)),
)
