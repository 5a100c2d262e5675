"""The parameters of every node in one table each: type, default, limits, description."""

from __future__ import annotations

from robomamba_ros.bringup import declared
from robomamba_ros.bringup.option import Option

GRIPPER_OUTPUTS = ('contract', 'joint_state')

AUTOSTART = Option('autostart', True, 'configure and activate at start')

BUDGETS = Option(
    'budget_factor',
    1.0,
    "multiplies the budgets of the arm's inputs, for a stand-in on a machine with other work; 1 on "
    'a real arm',
    limits=(1.0, 100.0),
)

INTERPOLATES = Option(
    'interpolate_from_desired_state',
    True,
    'as of a joint_trajectory_controller: a new trajectory begins where the last one put the '
    'joints, not where they are',
)

POLICY = (
    declared.CHECKPOINT,
    declared.ARM,
    BUDGETS,
    declared.MODE,
    AUTOSTART,
    declared.EXECUTE_STEPS,
    declared.DEVICE,
    declared.DTYPE,
    declared.CACHE,
    declared.THREADS,
    declared.INSTRUCTION,
    declared.INSTRUCTIONS,
    declared.FOLLOW_TARGETS,
    Option('enabled', True, 'infer as soon as active; ~/enable changes it'),
)
CONTROLLER = (
    declared.ARM,
    BUDGETS,
    declared.MODE,
    AUTOSTART,
    declared.EXECUTE_STEPS,
    declared.CROSSFADE_STEPS,
    declared.ENSEMBLE_DECAY,
    declared.ENABLED,
    Option(
        'enable_timeout_s',
        60.0,
        'how long an arm that is enabled waits for its first chunk before it disables itself [s]; '
        '0: for ever. A dry run and lockstep wait for ever',
        limits=(0.0, 86_400.0),
    ),
    declared.DRY_RUN,
    Option(
        'interlocks',
        True,
        "wait for what the contract's interlocks and speed scaling say; false only where no real "
        'robot is, as with the fake arm',
    ),
    Option(
        'rt_priority',
        0,
        'priority of the control thread by SCHED_FIFO, 1 to 99; 0: as every other thread',
        limits=(0, 99),
    ),
    Option('rt_cpus', '', 'processors that the control thread runs on, as 2 or 2,3; empty: any'),
    Option('rt_lock_memory', False, 'keep the memory of the process from being paged out'),
    Option(
        'gripper_output',
        'contract',
        'contract: command the gripper as the arm contract says; joint_state: as a JointState on '
        '`gripper`, for the fake arm or a bridge of your own',
        choices=GRIPPER_OUTPUTS,
    ),
)
SIM = (
    declared.ARM,
    declared.MODE,
    Option(
        'task',
        'reach',
        'of Meta-World, or as fr3/open or hsr/pick; another one of this robot counts at ~/reset',
        read_only=False,
    ),
    declared.SEED,
    Option('camera_rate', 20.0, 'images per second in realtime mode', limits=(0.1, 80.0)),
    Option('camera_steps', 10, 'steps between images in lockstep mode', limits=(1, 1000)),
    Option(
        'announce_instruction', True, "publish the task's instruction on `instruction` at a reset"
    ),
    Option(
        'endless',
        False,
        'when an episode is over, let policy_node and controller_node begin the next one, with the '
        'next seed',
    ),
    Option('camera_size', 224, 'height of the images, and their width [px]', limits=(16, 2048)),
    Option('camera_width', 0, 'width of the images of the FR3 [px]; 0: as high', limits=(0, 2048)),
    declared.DISAGREE,
    INTERPOLATES,
)
FAKE_ARM = (
    declared.ARM,
    Option(
        'urdf',
        '',
        "path of the arm's URDF; empty: the file that the contract names, else one made up from "
        'the contract',
    ),
    INTERPOLATES,
    declared.DISAGREE,
    Option(
        'speed_scaling',
        1.0,
        'share of the time that passes in trajectories, as of a speed slider; may be changed while '
        'it runs',
        limits=(0.0, 1.0),
        read_only=False,
    ),
    Option('camera_rate', 20.0, 'images per second', limits=(0.1, 1000.0)),
    Option('camera_width', 640, 'width of the images [px]', limits=(16, 4096)),
    Option('camera_height', 480, 'height of the images [px]', limits=(16, 4096)),
)
BAG_PLAYER = (
    declared.BAG,
    Option('topics', '', 'what to play, names with spaces between; empty: every topic'),
    Option(
        'exclude',
        '',
        'what not to play, names with spaces between; one without a leading / is left out under '
        'any namespace',
    ),
    declared.RATE,
    declared.START_OFFSET_S,
    Option('duration_s', 0.0, 'how much of it to play [s]; 0: to the end', limits=(0.0, 1e9)),
    Option('loop', False, 'begin again at the end; the clock then goes back'),
    Option('paused', False, 'wait for ~/pause or ~/toggle_paused to begin'),
    Option('wait_for', '', 'topics that must have a reader before it begins, with spaces between'),
    Option(
        'publish_clock',
        True,
        "publish /clock: the bag's own, or where it has none the times of recording",
    ),
    Option('clock_rate', 100.0, 'ticks of a made /clock per second', limits=(1.0, 10_000.0)),
)
