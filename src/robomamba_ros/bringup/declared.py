"""The options that nodes, launch files and commands have in common, each declared once."""

from __future__ import annotations

from robomamba_ros.bringup.option import Option
from robomamba_ros.language.instructions import CHOICES
from robomamba_ros.policies.base import CACHES, DTYPES
from robomamba_ros.types import MODES

CHECKPOINT = Option(
    'checkpoint', '', 'directory of the policy, or its name in models/', required=True
)
ARM = Option(
    'arm', 'sawyer_sim', 'the arm contract: a name in config/arms or the path of a YAML file'
)
MODE = Option(
    'mode',
    'realtime',
    'realtime: by the clock; lockstep: simulated time waits for every command',
    choices=MODES,
)
EXECUTE_STEPS = Option(
    'execute_steps',
    0,
    'actions of a chunk to run before the next inference; 0: as the policy was evaluated',
    limits=(0, 1000),
)
INSTRUCTION = Option('instruction', '', 'instruction to start with; the topic replaces it')
INSTRUCTIONS = Option(
    'instructions',
    'auto',
    'which are followed: trained_only, those that the policy was trained on; any, others too; '
    'auto, others only where the policy has the words of a language model or learned paraphrases',
    choices=CHOICES,
)
DEVICE = Option('device', 'cpu', 'where the policy runs: cpu, cuda, cuda:0, ...')
DTYPE = Option(
    'dtype',
    'auto',
    'type that the large parts compute in; auto: as stored, where the machine is fast in it',
    choices=DTYPES,
)
CACHE = Option(
    'cache',
    'auto',
    'what is kept from one inference to the next: prefix, the state after constant tokens; '
    'stream, the state of the whole episode; auto: prefix where the policy has one',
    choices=CACHES,
)
THREADS = Option(
    'threads',
    1,
    'CPU threads of an inference; more help a large policy, and delay a small one where other '
    'processes are busy',
    limits=(1, 256),
)
FOLLOW_TARGETS = Option(
    'follow_targets',
    True,
    'go straight to a pose target, by an action_chunk; false: publish pose_target alone, for a '
    'planner',
)
CROSSFADE_STEPS = Option(
    'crossfade_steps',
    0,
    'steps over which a new chunk takes over from the old one; 0: at once',
    limits=(0, 1000),
)
ENSEMBLE_DECAY = Option(
    'ensemble_decay',
    -1.0,
    'average overlapping chunks, the i-th oldest by exp(-ensemble_decay * i); below 0: do not',
    limits=(-1.0, 100.0),
)
ENABLED = Option('enabled', False, 'move as soon as active, without waiting for ~/enable')
DRY_RUN = Option('dry_run', False, 'compute and show every command, send none')
SEED = Option(
    'seed',
    0,
    'fixes where the objects lie, used at the next reset',
    limits=(0, 2**31 - 1),
    read_only=False,
)
DISAGREE = Option(
    'disagree',
    '',
    'how the stand-in deviates from its commands, as lag_s=0.05,backlash_rad=0.002; empty: not at '
    'all',
)
BAG = Option('bag', '', 'a folder of rosbag2, or one of its files', required=True)
RATE = Option('rate', 1.0, 'seconds of the bag in a second', limits=(0.01, 100.0))
START_OFFSET_S = Option('start_offset_s', 0.0, 'where in the bag to begin [s]', limits=(0.0, 1e9))
