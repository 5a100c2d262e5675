"""A healthy arm made of plain values, and what the doctor says to each thing that is put wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace as Message
from typing import Any

import numpy as np
import pytest

from robomamba_ros.doctor.examine import examine
from robomamba_ros.doctor.facts import (
    ClockFacts,
    Endpoint,
    Facts,
    PolicyFacts,
    Stream,
    Topic,
    wanted_inputs,
    wanted_output,
)
from robomamba_ros.doctor.finding import Finding, Level
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.policies.base import CameraSpec, OutputKind, PolicySpec
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.simulation.made_up_urdf import made_up_urdf
from robomamba_ros.types import ActionSpace

SAWYER = load_arm('sawyer_sim')
GRIPPER_COMMAND = 'control_msgs/action/GripperCommand'
# As if its joints and fingers came on one topic.
FRANKA = replace(
    load_arm('franka_fr3'), inputs={'joint_states': 'joint_states'}, budgets_s={'joint_states': 0.1}
)
CONTROLLER = '/controller_node'
IMAGE = 'camera/corner2/image'
SPEC = PolicySpec(
    name='tiny',
    cameras=(CameraSpec('corner2', 48, 64),),
    state_names=('ee_x', 'gripper', 'right_j0'),
    action_space=ActionSpace.EE_DELTA,
    action_names=('ee_dx', 'gripper'),
    horizon=50,
    dt_ns=10_000_000,
    execute_steps=10,
)
POLICY = PolicyFacts('tiny', '', SPEC, 0, (0.03, 0.04, 0.05))


def header(frame: str = 'base') -> Message:
    return Message(stamp=Message(sec=0, nanosec=0), frame_id=frame)


def joint_state(positions: dict[str, float]) -> Message:
    return Message(header=header(''), name=list(positions), position=list(positions.values()))


def pose(x: float, y: float, z: float, frame: str = 'base') -> Message:
    q = Message(x=0.0, y=0.0, z=0.0, w=1.0)
    return Message(
        header=header(frame), pose=Message(position=Message(x=x, y=y, z=z), orientation=q)
    )


def image(width: int = 64, height: int = 48, encoding: str = 'rgb8', frame: str = 'cam') -> Message:
    data = np.random.default_rng(0).integers(0, 256, height * width * 3, dtype=np.uint8)
    return Message(
        header=header(frame),
        width=width,
        height=height,
        encoding=encoding,
        step=3 * width,
        data=data.tobytes(),
    )


def stream(
    *messages: Any, rate_hz: float = 100.0, age_s: float = 0.002, count: int = 300
) -> Stream:
    arrivals = tuple(10.0 + index / rate_hz for index in range(count))
    return Stream(arrivals, (age_s,) * count, messages, arrivals[-1] + 0.5 / rate_hz)


JOINTS = {**{joint.name: 0.1 for joint in SAWYER.joints}, 'gripper': 0.5}


def healthy() -> Facts:
    topics = {
        wanted.name: Topic(f'/{wanted.name}', (Endpoint('/driver', wanted.type),))
        for wanted in wanted_inputs(SAWYER, SPEC)
    }
    for output in SAWYER.outputs:
        kind = wanted_output(output).type
        ours = (Endpoint(CONTROLLER, kind),)
        topics[output.name] = Topic(f'/{output.name}', ours, (Endpoint('/driver', kind),))
    topics['instruction'] = Topic('/instruction')
    streams = {
        'joint_states': stream(joint_state(JOINTS)),
        'ee_pose': stream(pose(0.0, 0.6, 0.2)),
        IMAGE: stream(image(), rate_hz=20.0),
    }
    return Facts(
        arm=SAWYER,
        seconds=3.0,
        clock=ClockFacts(False, (), 3.0),
        topics=topics,
        streams=streams,
        published={'/front/image': ('sensor_msgs/msg/Image',)},
        read={'/servo/target_pose': ('geometry_msgs/msg/PoseStamped',)},
        policy=POLICY,
    )


def with_topic(name: str, **changes: Any) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        topic = replace(facts.topics[name], **changes)
        return replace(facts, topics={**facts.topics, name: topic})

    return change


def with_stream(name: str, new: Stream) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, streams={**facts.streams, name: new})


def with_joints(**positions: float) -> Callable[[Facts], Facts]:
    return with_stream('joint_states', stream(joint_state(JOINTS | positions)))


def with_policy(**changes: Any) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, policy=replace(POLICY, **changes))


def with_spec(**changes: Any) -> Callable[[Facts], Facts]:
    return with_policy(spec=replace(SPEC, **changes))


def renamed() -> Stream:
    names = {('right_j_0' if name == 'right_j0' else name): at for name, at in JOINTS.items()}
    return stream(joint_state(names))


def two_drivers() -> Stream:
    gripper, arm = joint_state({'gripper': 0.5}), joint_state({**JOINTS})
    del arm.name[-1], arm.position[-1]
    return stream(arm, gripper)


WRITER = Endpoint('/driver', 'sensor_msgs/msg/JointState')
FAULTS: dict[str, tuple[Callable[[Facts], Facts], str, str, str]] = {
    'clock twice': (
        lambda f: replace(f, clock=ClockFacts(True, ('/bag', '/sim'), 3.0)),
        'clock',
        '/bag, /sim all publish /clock',
        'all but one',
    ),
    'clock still': (
        lambda f: replace(f, clock=ClockFacts(True, ('/sim',), 0.0)),
        'clock',
        '/clock of /sim stands still',
        'go on',
    ),
    'clock elsewhere': (
        lambda f: replace(
            f,
            clock=ClockFacts(True, (), 0.0),
            published={'/left/clock': ('rosgraph_msgs/msg/Clock',)},
        ),
        'clock',
        'nobody publishes',
        '-r /clock:=/left/clock',
    ),
    'no camera': (
        with_topic(IMAGE, writers=()),
        'camera corner2: publisher',
        f'nobody publishes /{IMAGE}',
        'sensor_msgs/msg/Image: /front/image',
    ),
    'two drivers of a topic': (
        with_topic('joint_states', writers=(WRITER, replace(WRITER, node='/other'))),
        'joint_states: publisher',
        'has 2: /driver, /other',
        'end all but one',
    ),
    'another type': (
        with_topic('ee_pose', writers=(Endpoint('/driver', 'geometry_msgs/msg/Pose'),)),
        'ee_pose: publisher',
        'as geometry_msgs/msg/Pose, it must be geometry_msgs/msg/PoseStamped',
        'another topic',
    ),
    'offered QoS': (
        with_topic('joint_states', writers=(replace(WRITER, mismatch='a deadline'),)),
        'joint_states: QoS',
        '/driver offers less than is asked for: a deadline',
        'QoS of the publisher',
    ),
    'no message': (
        with_stream('ee_pose', Stream(until_s=13.0)),
        'ee_pose: rate',
        'no message came in 3.0 s',
        'is the driver running',
    ),
    'slow': (
        with_stream('joint_states', stream(joint_state(JOINTS), rate_hz=3.0, count=9)),
        'joint_states: rate',
        '3.0 Hz, 2 ms old on arrival, up to 335 ms',
        'the arm would stop',
    ),
    'late': (
        with_stream('joint_states', stream(joint_state(JOINTS), age_s=0.4)),
        'joint_states: rate',
        '400 ms old on arrival',
        'the arm would stop',
    ),
    'dead for a while': (
        with_stream('ee_pose', replace(stream(pose(0.0, 0.6, 0.2), count=50), until_s=12.0)),
        'ee_pose: rate',
        'up to 7',
        'the arm would stop',
    ),
    'ahead': (
        with_stream('joint_states', stream(joint_state(JOINTS), age_s=-1.5)),
        'joint_states: stamps',
        '1.500 s ahead of the clock',
        'chrony',
    ),
    'simulated stamps': (
        with_stream('joint_states', stream(joint_state(JOINTS), age_s=1.7e9)),
        'joint_states: stamps',
        'behind the clock, which is not simulated here',
        '--use-sim-time',
    ),
    'joint renamed': (
        with_stream('joint_states', renamed()),
        'joint_states: names',
        "lacks 'right_j0' (near: 'right_j_0')",
        'correct `joints`',
    ),
    'NaN': (
        with_joints(right_j3=float('nan')),
        'joint_states: content',
        '1 of 1 messages cannot be used: a JointState gives right_j3 a position that is not finite',
        'every joint of the contract',
    ),
    'beyond a limit': (
        with_joints(right_j1=2.4),
        'joint_states: limits',
        'right_j1 is at 2.400, limits [-3.8095, 2.2736]',
        'move the arm back',
    ),
    'another frame': (
        with_stream('ee_pose', stream(pose(0.0, 0.6, 0.2, frame='world'))),
        'ee_pose: content',
        "in the frame 'world', the arm's base frame is 'base'",
        'correct `frames`',
    ),
    'out of the box': (
        with_stream('ee_pose', stream(pose(0.0, 0.2, 0.2))),
        'pose: workspace',
        '[0.0, 0.2, 0.2] in base, outside of [-0.5, 0.4, 0.05] .. [0.5, 1.0, 0.5]',
        'move the arm into the box',
    ),
    'BGR': (
        with_stream(IMAGE, stream(image(encoding='bgr8'), rate_hz=20.0)),
        'camera corner2: image',
        'sends bgr8, the arm contract says rgb8',
        'correct `encoding`',
    ),
    'another size': (
        with_stream(IMAGE, stream(image(width=80), rate_hz=20.0)),
        'camera corner2: size',
        '80 x 48, the policy needs 64 x 48',
        'or say by `fit` in the arm contract',
    ),
    'nobody listens': (
        with_topic('target_pose', readers=()),
        'target_pose: controller',
        'nobody listens on /target_pose; geometry_msgs/msg/PoseStamped is on /servo/target_pose',
        'list_controllers',
    ),
    'reader of another type': (
        with_topic('target_pose', readers=(Endpoint('/servo', 'geometry_msgs/msg/Twist'),)),
        'target_pose: controller',
        '/servo has /target_pose as geometry_msgs/msg/Twist',
        'another kind',
    ),
    'wanted QoS': (
        with_topic('gripper', readers=(replace(WRITER, mismatch='durability'),)),
        'gripper: QoS',
        '/driver asks for more than controller_node offers: durability',
        'reliable and volatile',
    ),
    'two publishers': (
        with_topic('target_pose', writers=(Endpoint(CONTROLLER, ''), Endpoint('/teleop', ''))),
        'target_pose: publishers',
        'commanded by /controller_node, /teleop',
        'commands of two publishers mix',
    ),
    'policy broken': (
        lambda f: replace(f, policy=PolicyFacts('tiny', 'no weights')),
        'policy',
        'no weights',
        'checkpoint',
    ),
    'no such joint': (
        with_spec(state_names=('panda_joint1',)),
        'policy: arm',
        'it reads panda_joint1; the arm gives',
        'another policy',
    ),
    'joints for an arm of poses': (
        with_spec(action_space=ActionSpace.JOINT_DELTA, action_names=('right_j0', 'left_j0')),
        'policy: arm',
        'it moves left_j0; the arm has right_j0',
        'another policy',
    ),
    'far too slow': (
        with_policy(inferences_s=(0.3, 0.45)),
        'policy: time',
        'at most 450 ms; one is due each 100 ms, a chunk lasts 500 ms: chunks run out',
        'faster device',
    ),
}
NOTES: dict[str, tuple[Callable[[Facts], Facts], str, str, str]] = {
    'somebody simulates': (
        lambda f: replace(f, clock=ClockFacts(False, ('/sim',), 3.0)),
        'clock',
        '/sim publishes /clock',
        '--use-sim-time',
    ),
    'near its budget': (
        with_stream('ee_pose', stream(pose(0.0, 0.6, 0.2), rate_hz=6.0)),
        'ee_pose: rate',
        '6.0 Hz',
        'a busy moment',
    ),
    'gripper in other units': (
        with_joints(gripper=40.0),
        'gripper: range',
        'gripper is at 40.0000, the contract opens it at 1.0 and closes it at 0.0',
        'open_position',
    ),
    'cap on the lens': (
        with_stream(
            IMAGE, stream(Message(**{**vars(image()), 'data': bytes([7]) * 9216}), rate_hz=20.0)
        ),
        'camera corner2: image',
        'all its pixels are [7.0, 7.0, 7.0]',
        'is there light',
    ),
    'image without a frame': (
        with_stream(IMAGE, stream(image(frame=''), rate_hz=20.0)),
        'camera corner2: frame',
        'name no frame',
        'RViz',
    ),
    'instruction that may get lost': (
        with_topic('instruction', writers=(Endpoint('/voice', '', 'reliability'),)),
        'instruction: QoS',
        '/voice publishes the instruction otherwise than it is read',
        'publish it reliable',
    ),
    'slower than evaluated': (
        with_policy(inferences_s=(0.1, 0.15)),
        'policy: time',
        'at most 150 ms; one is due each 100 ms',
        'more steps',
    ),
}


def bad(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level is not Level.OK]


def test_nothing_is_wrong_with_a_healthy_arm() -> None:
    findings = examine(healthy())
    assert bad(findings) == []
    assert len(findings) == 17
    (cost,) = (f for f in findings if f.about == 'camera corner2: cost')
    assert cost.found.startswith('0.01 MB an image, decoded in ')
    assert cost.found.endswith(' ms of the processor by NumPy')


def test_images_that_are_made_into_the_size_are_no_trouble() -> None:
    facts = with_stream(IMAGE, stream(image(width=80), rate_hz=20.0))(healthy())
    camera = replace(SAWYER.cameras[0], fit='crop')
    findings = examine(replace(facts, arm=replace(SAWYER, cameras=(camera,))))
    assert bad(findings) == []
    (size,) = (f for f in findings if f.about == 'camera corner2: size')
    assert size.found == '80 x 48, made 64 x 48 by `fit: crop`, as the arm contract says'


@pytest.mark.parametrize('name', [*FAULTS, *NOTES])
def test_each_trouble_is_found_alone_with_its_remedy(name: str) -> None:
    level = Level.FAULT if name in FAULTS else Level.NOTE
    change, about, found, remedy = (FAULTS | NOTES)[name]
    findings = [f for f in bad(examine(change(healthy()))) if f.about == about]
    assert {f.level for f in findings} == {level}
    assert any(found in f.found and remedy in f.remedy for f in findings), findings


def test_the_order_of_joints_plays_no_part() -> None:
    backwards = dict(reversed(JOINTS.items()))
    facts = with_stream('joint_states', stream(joint_state(backwards)))(healthy())
    assert bad(examine(facts)) == []


def test_a_controller_is_asked_for_its_joints() -> None:
    def found(kind: str, joints: list[str], **parameters: Any) -> list[tuple[str, str]]:
        output = replace(FRANKA.outputs[0], kind=kind)
        arm = replace(SAWYER, outputs=(output,), joints=FRANKA.joints[:2])
        reader = Endpoint('/my_controller', wanted_output(output).type)
        facts = replace(
            healthy(),
            arm=arm,
            policy=None,
            topics={**healthy().topics, output.name: Topic('/commands', (), (reader,))},
            parameters={'/my_controller': {'joints': joints, **parameters}},
        )
        return [
            (f.level.value, f.found)
            for f in examine(facts)
            if f.about.endswith((': joints', ': streaming', ': settings'))
        ]

    right = ['fr3_joint1', 'fr3_joint2']
    turned = right[::-1]
    same = ('ok', '/my_controller moves the same joints')
    assert found('joint_trajectory', turned, interpolate_from_desired_state=True) == [same]
    [(level, text), last] = found('joint_trajectory', turned)
    assert (level, 'its settings cannot be read' in text, last) == ('fault', True, same)
    [(level, text)] = found('forward_position', turned)
    assert level == 'fault'
    assert 'order fr3_joint2, fr3_joint1; positions are sent as fr3_joint1, fr3_joint2' in text
    [(level, text)] = found('joint_trajectory', [*right, 'rail'], open_loop_control=True)
    assert (level, 'moves fr3_joint1, fr3_joint2, rail' in text) == ('fault', True)
    [(level, text), last] = found('joint_trajectory', right, interpolate_from_desired_state=False)
    assert (level, 'interpolate_from_desired_state false' in text, last) == ('fault', True, same)


@pytest.mark.parametrize(
    ('servers', 'reader', 'level', 'text'),
    [
        (('/gripper',), '', 'ok', '/gripper serves /gripper/cmd'),
        ((), 'sensor_msgs/msg/JointState', 'note', '/driver takes a JointState there'),
        ((), '', 'fault', 'nobody serves the action /gripper/cmd'),
        (('/a', '/b'), '', 'fault', '/a, /b all serve /gripper/cmd'),
    ],
)
def test_a_gripper_command_is_an_action(
    servers: tuple[str, ...], reader: str, level: str, text: str
) -> None:
    readers = (Endpoint('/driver', reader),) if reader else ()
    facts = replace(
        healthy(),
        arm=replace(SAWYER, outputs=FRANKA.outputs[1:]),
        topics={**healthy().topics, 'gripper': Topic('/gripper/cmd', (), readers)},
        actions={'/gripper/cmd': tuple(Endpoint(node, GRIPPER_COMMAND) for node in servers)},
    )
    [finding] = [f for f in examine(facts) if f.about == 'gripper: controller']
    assert (finding.level.value, text in finding.found) == (level, True)


@pytest.mark.parametrize(
    ('served', 'remedy'),
    [
        (
            'control_msgs/action/ParallelGripperCommand',
            'write in outputs of the arm contract: {part: gripper, kind: parallel_gripper_command, '
            'topic: franka_gripper/gripper_action, max_effort: 30.0}',
        ),
        ('franka_msgs/action/Grasp', f'name an action of {GRIPPER_COMMAND}'),
    ],
)
def test_a_gripper_of_another_action_is_a_fault_with_the_line_to_write(
    served: str, remedy: str
) -> None:
    facts = replace(
        healthy(),
        arm=replace(SAWYER, outputs=FRANKA.outputs[1:]),
        topics={**healthy().topics, 'gripper': Topic('/grip')},
        actions={'/grip': (Endpoint('/driver', served),)},
    )
    [finding] = [f for f in examine(facts) if f.about == 'gripper: controller']
    assert finding.level.value == 'fault'
    assert f'/driver serves /grip as {served}; the kind gripper_command sends' in finding.found
    assert finding.remedy.startswith(remedy)


def described(urdf: str, **changes: Any) -> list[Finding]:
    """Return what is found of an FR3 with a description, and only of its pose."""
    positions = {joint.name: joint.rest or 0.0 for joint in FRANKA.joints}
    positions[FRANKA.gripper.joint] = 0.02
    arm = replace(FRANKA, cameras=(), **changes)
    topics = {wanted.name: Topic(f'/{wanted.name}') for wanted in wanted_inputs(arm, None)}
    topics |= {output.name: Topic(f'/{output.name}') for output in arm.outputs}
    streams = {
        'joint_states': stream(joint_state(positions)),
        'robot_description': Stream((10.0,), (), (Message(data=urdf),), 13.0),
        'ee_pose': stream(pose(0.4, 0.0, 0.4, FRANKA.base_frame)),
    }
    facts = Facts(
        arm,
        3.0,
        ClockFacts(False, (), 3.0),
        {**topics, 'instruction': Topic('/instruction')},
        streams,
    )
    return [f for f in examine(facts) if f.about.startswith(('pose', 'robot_description'))]


def test_a_pose_is_computed_where_nobody_publishes_it() -> None:
    pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')
    found = {f.about: (f.level, f.found) for f in described(made_up_urdf(FRANKA))}
    assert found['robot_description'] == (Level.OK, 'has the chain of the contract')
    assert found['pose: workspace'][0] is Level.OK


def test_a_description_of_another_robot_is_found() -> None:
    other = made_up_urdf(load_arm('ur5e'))
    [_, finding] = described(other)
    assert (finding.level, finding.about) == (Level.FAULT, 'robot_description')
    assert "unknown joint 'fr3_joint1'" in finding.found


def test_a_pose_of_another_tool_is_found() -> None:
    pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')
    budgets = {**FRANKA.budgets_s, 'ee_pose': 0.1}
    inputs = {**FRANKA.inputs, 'ee_pose': 'pose'}
    findings = described(made_up_urdf(FRANKA), inputs=inputs, budgets_s=budgets)
    [finding] = [f for f in findings if f.about == 'pose: description']
    assert finding.level is Level.FAULT
    assert 'put fr3_hand_tcp 0.' in finding.found


def test_a_stream_that_is_not_needed_is_no_fault() -> None:
    facts = with_topic(IMAGE, writers=())(healthy())
    without = replace(facts, policy=with_spec(cameras=())(facts).policy)
    assert bad(examine(without)) == []


def test_depth_has_to_be_registered() -> None:
    spec = replace(SPEC, cameras=(CameraSpec('corner2', 48, 64, depth=True),))
    camera = replace(SAWYER.cameras[0], depth_topic='depth')
    arm = replace(SAWYER, cameras=(camera,))
    metres = np.full((48, 64), 0.8, dtype='<f4')
    metres[:30] = np.nan
    depth = Message(
        header=header('ir'),
        width=64,
        height=48,
        encoding='32FC1',
        is_bigendian=0,
        step=256,
        data=metres.tobytes(),
    )
    info = Message(header=header('cam'), k=[60.0, 0, 32, 0, 60, 24, 0, 0, 1], width=64, height=48)
    base = healthy()
    topics = {w.name: Topic(w.name, (Endpoint('/d', w.type),)) for w in wanted_inputs(arm, spec)}
    facts = replace(
        base,
        arm=arm,
        policy=replace(POLICY, spec=spec),
        topics={**base.topics, **topics},
        streams={
            **base.streams,
            'camera/corner2/depth': stream(depth, rate_hz=20.0),
            'camera/corner2/camera_info': stream(info, rate_hz=20.0),
        },
    )
    found = {(f.level.value, f.found) for f in bad(examine(facts))}
    assert found == {
        ('fault', "depth is in the frame 'ir', camera_info in 'cam'"),
        ('note', 'only 38% of the pixels have a depth'),
    }


def test_a_policy_that_answers_need_not_be_in_time() -> None:
    facts = with_spec(output_kind=OutputKind.ANSWERS)(healthy())
    assert [f.about for f in examine(facts) if f.about == 'policy: time'] == []


def test_joints_of_two_drivers_are_joined() -> None:
    facts = with_stream('joint_states', two_drivers())(healthy())
    found = [f for f in examine(facts) if f.about.startswith('joint_states')]
    assert {f.level for f in found} == {Level.OK}
    assert '8 joints, all finite' in [f.found for f in found]


@pytest.mark.parametrize(
    ('trained_only', 'said', 'level', 'found'),
    [
        (True, 'open the drawer!', Level.OK, "it was trained on 'Open a drawer'"),
        (True, 'shut it', Level.FAULT, "nearest is 'Open a drawer'"),
        (False, 'shut it', Level.NOTE, "nearest is 'Open a drawer'"),
        (False, ' ', Level.FAULT, 'the instruction is blank'),
    ],
)
def test_an_instruction_is_held_against_what_the_policy_was_trained_on(
    trained_only: bool, said: str, level: Level, found: str
) -> None:
    words = Instructions(('Open a drawer',), trained_only)
    facts = with_spec(instructions=words)(healthy())
    findings = examine(with_stream('instruction', stream(Message(data=said)))(facts))
    (finding,) = (each for each in findings if each.about == 'policy: words')
    assert finding.level is level
    assert found in finding.found
