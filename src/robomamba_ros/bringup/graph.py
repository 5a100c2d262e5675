"""The node graph as data, for the launch files and for the command line alike.

Which nodes run, and with which parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from robomamba_ros.bringup.topics import arm_remappings, input_topics, renamed
from robomamba_ros.common.resources import share_directory
from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.policies.outline import read_outline
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import MODES

# A stand-in shares the machine with the nodes it is driven by, and moves nothing: an input may be
# this many times as late as on the arm itself.
STAND_IN_BUDGETS = 10.0

# Topics of policy and controller that a recording may hold too.
PUBLISHED = (
    'action_chunk',
    'joint_chunk',
    'pose_target',
    'answer',
    'predicted_path',
    'markers',
    '/diagnostics',
    '/rosout',
    '/parameter_events',
)


@dataclass(frozen=True)
class NodeSpec:
    """One node of the graph."""

    # Console script that starts it.
    executable: str
    # Name of the node.
    name: str
    # Namespace of the node; empty: the root.
    namespace: str = ''
    # Values by parameter name; those left out keep the node's defaults.
    parameters: Mapping[str, Any] = field(default_factory=dict)
    # Topic names of the node -> names on the graph.
    remappings: Mapping[str, str] = field(default_factory=dict)
    # Of the command line, before ROS's own.
    arguments: tuple[str, ...] = ()
    # ROS package that has the executable.
    package: str = 'robomamba_ros'


@dataclass(frozen=True)
class PolicyOptions:
    """A policy on an arm. bringup/declared.py has the ranges of what is a node's parameter too."""

    # Policy: a directory, or a name in models/.
    checkpoint: str
    # Arm contract: a name in config/arms, or a path.
    arm: str = 'sawyer_sim'
    # What to do first; empty: wait for the topic `instruction`.
    instruction: str = ''
    # How the policy runs.
    load: LoadOptions = field(default_factory=LoadOptions)
    # realtime, or lockstep: the simulation waits for the command of every step.
    mode: str = 'realtime'
    # Actions to run before the next inference; 0: as the policy was evaluated.
    execute_steps: int = 0
    # Steps over which a new chunk is mixed with the one before; 0: it replaces it at once.
    crossfade_steps: int = 0
    # Decay of the weights of older chunks, as in ACT; negative: no ensemble.
    ensemble_decay: float = -1.0
    # Whether the arm goes to a pose target; false: it is published only.
    follow_targets: bool = True
    # Compute and show every command, send none.
    dry_run: bool = False
    # contract: the gripper is commanded as the arm contract says; joint_state: by a JointState.
    gripper_output: str = 'contract'
    # Whether the arm moves without waiting for ~/enable.
    enabled: bool = False
    # Whether time comes from the topic /clock.
    use_sim_time: bool = False
    # Namespace of all nodes.
    namespace: str = ''
    # Multiplies the budgets of the arm's inputs [1]; the graphs of a stand-in set it.
    budget_factor: float = 1.0


@dataclass(frozen=True)
class SimOptions:
    """The simulated arm."""

    # Task: of Meta-World, or as fr3/open or hsr/pick.
    task: str
    # Of the objects' places.
    seed: int = 0
    # Images per second [Hz].
    camera_rate: float = 20.0
    # Whether an episode that is over is followed by the next, with the next seed.
    endless: bool = False
    # How controllers and reports of the FR3 deviate (see simulation/disagreement).
    disagree: str = ''
    # Width and height of the images [px]; 0: as the policy takes them.
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class BagOptions:
    """A recording that `bag_player_node` plays."""

    # Folder of rosbag2, or a file.
    bag: str
    # Seconds of the recording in a second.
    rate: float = 1.0
    # What to skip at its beginning [s].
    start_offset_s: float = 0.0


def policy_graph(options: PolicyOptions) -> tuple[NodeSpec, ...]:
    """Return the policy and the controller node. Raises ConfigError, CheckpointError."""
    if options.mode == 'lockstep':
        raise ConfigError('mode lockstep needs the simulation: a real arm does not wait')
    return _policy_and_controller(options)


def fake_graph(options: PolicyOptions, disagree: str = '') -> tuple[NodeSpec, ...]:
    """Return a kinematic stand-in for the arm with the policy and the controller that drive it.

    It takes the gripper's position where the arm has an action, which no topic can be.
    disagree: how it is not where it is told to be (see simulation/disagreement).
    """
    options = _without_actions(options)
    policy, controller = policy_graph(replace(options, budget_factor=STAND_IN_BUDGETS))
    # The one place where they are dropped: nobody is there to say what a real robot says.
    controller = _waiting(controller)
    controller = replace(controller, parameters={**controller.parameters, 'interlocks': False})
    parameters: dict[str, Any] = {'arm': options.arm, 'use_sim_time': options.use_sim_time}
    for camera in read_outline(options.checkpoint).cameras[:1]:
        parameters |= {'camera_width': camera.width, 'camera_height': camera.height}
    if disagree:
        parameters['disagree'] = disagree
    robot = NodeSpec(
        'fake_arm_node', 'fake_arm_node', options.namespace, parameters, controller.remappings
    )
    return (robot, controller, policy)


def _without_actions(options: PolicyOptions) -> PolicyOptions:
    """Return options by which a gripper that has an action is told its position by a topic."""
    gripper = load_arm(options.arm).output('gripper')
    if gripper is None or not gripper.action:
        return options
    return replace(options, gripper_output='joint_state')


def _waiting(controller: NodeSpec) -> NodeSpec:
    """Return a controller that stays enabled however long a policy takes to load: of a stand-in."""
    return replace(controller, parameters={**controller.parameters, 'enable_timeout_s': 0.0})


def sim_graph(options: PolicyOptions, sim: SimOptions) -> tuple[NodeSpec, ...]:
    """Return the simulated arm with the policy and the controller node that drive it.

    Without an instruction the policy follows the task's own, which the simulation announces.
    """
    if options.mode == 'lockstep' and options.dry_run:
        raise ConfigError(
            'a dry run sends no commands, and in lockstep simulated time waits for them; '
            'use mode realtime'
        )
    options = _without_actions(options)
    policy, controller = _policy_and_controller(
        replace(options, use_sim_time=True, budget_factor=STAND_IN_BUDGETS)
    )
    outline, period_ns = read_outline(options.checkpoint), load_arm(options.arm).period_ns
    steps = policy.parameters['execute_steps']
    controller = _waiting(controller)
    parameters = {
        'arm': options.arm,
        'mode': options.mode,
        'task': sim.task,
        'seed': sim.seed,
        'camera_rate': sim.camera_rate,
        'endless': sim.endless,
        # In lockstep the policy waits for an image at every inference.
        'camera_steps': round(steps * (outline.dt_ns or period_ns) / period_ns),
        'announce_instruction': not options.instruction,
    }
    if sim.disagree:
        parameters['disagree'] = sim.disagree
    for camera in outline.cameras[:1]:
        parameters['camera_size'] = camera.height
    if sim.height:
        parameters |= {'camera_size': sim.height, 'camera_width': sim.width}
    robot = NodeSpec('sim_node', 'sim_node', options.namespace, parameters, controller.remappings)
    # Simulations side by side have a time each.
    clock = {'/clock': 'clock'} if options.namespace else {}
    return tuple(
        replace(spec, remappings={**spec.remappings, **clock})
        for spec in (robot, controller, policy)
    )


def replay_graph(options: PolicyOptions, bag: BagOptions) -> tuple[NodeSpec, ...]:
    """Return the player of a bag with the policy and the controller node, in the bag's time.

    Commands are computed and shown, never sent: an arm that listens is not where the bag's was.
    """
    policy, controller = policy_graph(
        replace(options, use_sim_time=True, dry_run=True, enabled=True)
    )
    arm = load_arm(options.arm)
    # What the nodes publish themselves, and what only means those that were recorded.
    left_out = [*PUBLISHED, *(output.topic for output in arm.outputs)]
    if options.instruction:
        left_out += ['instruction', 'active_instruction']
    seen = {camera.name for camera in read_outline(options.checkpoint).cameras}
    cameras = [camera.topic for camera in arm.cameras if camera.name in seen]
    parameters = {
        'bag': bag.bag,
        'rate': bag.rate,
        'start_offset_s': bag.start_offset_s,
        'exclude': ' '.join(left_out),
        # The policy reads once it is loaded, and a bag does not wait for it.
        'wait_for': ' '.join([*arm.inputs.values(), *cameras]),
    }
    player = NodeSpec(
        'bag_player_node',
        'bag_player_node',
        options.namespace,
        parameters,
        {'active_instruction': 'instruction'},
    )
    return (player, controller, policy)


def rviz_spec(controller: NodeSpec) -> NodeSpec:
    """Return RViz with the saved view of what a controller drives, and of what it plans."""
    arm = load_arm(controller.parameters['arm'])
    view = share_directory() / 'config' / 'rviz' / 'policy.rviz'
    camera = {'camera/image': arm.cameras[0].topic} if arm.cameras else {}
    return NodeSpec(
        'rviz2',
        'rviz2',
        controller.namespace,
        {'use_sim_time': controller.parameters['use_sim_time']},
        {**controller.remappings, **camera},
        ('-d', str(view), '-f', arm.base_frame),
        'rviz2',
    )


def _policy_and_controller(options: PolicyOptions) -> tuple[NodeSpec, NodeSpec]:
    if options.mode not in MODES:
        raise ConfigError(unknown_name('mode', options.mode, MODES))
    arm = load_arm(options.arm)
    outline = read_outline(options.checkpoint)
    common = {
        'arm': options.arm,
        'mode': options.mode,
        'execute_steps': options.execute_steps or outline.execute_steps,
        'use_sim_time': options.use_sim_time,
        'budget_factor': options.budget_factor,
    }
    policy = {
        'checkpoint': str(outline.directory),
        **asdict(options.load),
        'instruction': options.instruction,
        'follow_targets': options.follow_targets,
    }
    controller = {
        name: getattr(options, name)
        for name in ('crossfade_steps', 'ensemble_decay', 'dry_run', 'gripper_output', 'enabled')
    }
    inputs = renamed(input_topics(arm))
    space = options.namespace
    return (
        NodeSpec('policy_node', 'policy_node', space, {**common, **policy}, inputs),
        NodeSpec(
            'controller_node',
            'controller_node',
            space,
            {**common, **controller},
            arm_remappings(arm),
        ),
    )
