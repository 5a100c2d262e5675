"""Bags of a made-up motion of the simulated arm, which turn into data sets."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.made_recording import (
    ARM,
    FPS,
    JOINTS,
    MS,
    SET_BOOL,
    STEP_MS,
    TRIGGER,
    Recording,
    at,
    called,
    convert,
    first_ms,
    flag,
    header,
    image,
    joints,
    lengths,
    pose,
    said,
)
from support.real_robots import real_urdf

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.types import standard_types
from robomamba_ros.bags.writer import message
from robomamba_ros.cli.main import main
from robomamba_ros.datasets.from_bags.conversion import BagDataset, DatasetOptions
from robomamba_ros.datasets.from_bags.samples import SampleOptions
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.errors import ConfigError, DataError
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import EE_POSE_NAMES, ActionSpace


def test_measured_motion_becomes_states_images_and_actions(tmp_path: Path) -> None:
    bag = Recording().run().write(tmp_path / 'bag.mcap')
    data, [result] = convert([bag], tmp_path / 'set')
    # Of the last tick, 1950 ms, the state after it was not recorded.
    assert lengths(data) == [39]
    assert (result.episodes, result.frames, result.samples.commanded) == (1, 39, {})
    assert data.names('action')[-2:] == ('ee_drz', 'gripper')
    assert data.names('observation.state') == (*EE_POSE_NAMES, 'gripper')
    assert data.info.robot_type == 'sawyer_sim'
    for step in (0, 20, 38):
        ms = step * STEP_MS
        where, after = at(ms), at(ms + STEP_MS)
        window = data.window(step, 1)
        assert (window.images['corner2'] == step).all()
        expected = [where['x'], 0.6, 0.2, 0, 0, math.sin(where['turn'] / 2)]
        assert window.state[:6] == pytest.approx(expected, abs=1e-6)
        assert window.state[7] == pytest.approx(where['opening'])
        action = dict(zip(data.names('action'), window.actions[0].tolist(), strict=True))
        assert action['ee_dx'] == pytest.approx(0.005, abs=1e-6)
        assert action['ee_drz'] == pytest.approx(0.01, abs=1e-6)
        assert action['gripper'] == pytest.approx(after['opening'])
        assert window.task == 'move'


@pytest.mark.parametrize('space', list(ActionSpace))
def test_every_action_space_leads_from_state_to_state(tmp_path: Path, space: ActionSpace) -> None:
    bag = Recording().run(stop=500).write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set', space=space)
    states, actions = data.values('observation.state'), data.values('action')
    assert data.names('action')[-1] == data.names('observation.state')[-1] == 'gripper'
    # The gripper's channel is where it is to be, in every space.
    assert actions[:-1, -1] == pytest.approx(states[1:, -1])
    arm, after, before = actions[:-1, :-1], states[1:, :-1], states[:-1, :-1]
    if space in (ActionSpace.EE_POSE, ActionSpace.JOINT_POSITION):
        assert arm == pytest.approx(after, abs=1e-6)
    elif space is ActionSpace.JOINT_DELTA:
        assert arm == pytest.approx(after - before, abs=1e-6)
    else:
        assert arm[:, :3] == pytest.approx(after[:, :3] - before[:, :3], abs=1e-6)


def test_a_pose_action_has_the_sign_of_the_state(tmp_path: Path) -> None:
    recording = Recording().run(stop=500)
    for ms, topic, _, content in recording.messages:
        if topic == '/ee_pose' and ms > 200:
            turned = content.pose.orientation
            turned.z, turned.w = -turned.z, -turned.w
    data, _ = convert(
        [recording.write(tmp_path / 'bag.mcap')], tmp_path / 'set', space=ActionSpace.EE_POSE
    )
    states, actions = data.values('observation.state'), data.values('action')
    assert len(states) == 9
    # Both signs are one rotation: states follow one another without a jump.
    assert (states[:, 6] > 0.99).all()
    assert (actions[:, 6] * states[:, 6] > 0.99).all()


def commanded(ms: float) -> dict[str, float]:
    """Return where the arm is sent at a time: 30 ms ahead of where it is, and a hand wider."""
    return {**at(ms + 30), 'opening': 0.9}


def test_recorded_commands_become_actions(tmp_path: Path) -> None:
    recording = Recording().run()
    for ms in range(0, 2000, 10):
        recording.add(ms, '/target_pose', pose(ms, commanded(ms)))
    recording.add(0, '/gripper', joints(0, commanded(0)))
    bag = recording.write(tmp_path / 'bag.mcap')
    data, [result] = convert([bag], tmp_path / 'set', space=ActionSpace.EE_POSE)
    assert result.samples.commanded == {'arm': '/target_pose', 'gripper': '/gripper'}
    assert lengths(data) == [39]
    actions = data.values('action')
    times = np.arange(39) * STEP_MS + STEP_MS
    assert actions[:, 0] == pytest.approx([commanded(ms)['x'] for ms in times], abs=1e-6)
    assert (actions[:, 7] == np.float32(0.9)).all()
    assert data.values('observation.state')[4, 0] == pytest.approx(at(200)['x'], abs=1e-6)

    measured, _ = convert([bag], tmp_path / 'other', space=ActionSpace.EE_POSE, actions='state')
    assert measured.values('action')[:, 0] == pytest.approx([at(ms)['x'] for ms in times], abs=1e-6)


def with_output(kind: str, topic: str) -> ArmContract:
    from dataclasses import replace

    outputs = [replace(each) for each in ARM.outputs]
    outputs[0] = replace(outputs[0], kind=kind, topic=topic)
    return replace(ARM, outputs=tuple(outputs))


def positions(ms: float) -> list[float]:
    return [commanded(ms)['joint'] * (i + 1) for i in range(len(JOINTS))]


def test_commands_of_joints_are_read_in_the_contracts_order(tmp_path: Path) -> None:
    layout = message('std_msgs/msg/MultiArrayLayout', dim=[], data_offset=0)
    recording = Recording().run()
    for ms in range(0, 2000, 10):
        content = message(
            'std_msgs/msg/Float64MultiArray', layout=layout, data=np.array(positions(ms))
        )
        # It has no stamp: it counts as of the newest one before it.
        recording.add(ms + 1, '/commands', content)
    recording.add(
        500, '/commands', message('std_msgs/msg/Float64MultiArray', layout=layout, data=np.zeros(3))
    )
    bag = recording.write(tmp_path / 'bag.mcap')
    arm = with_output('forward_position', 'commands')
    data, [result] = convert([bag], tmp_path / 'set', arm, ActionSpace.JOINT_POSITION)
    times = [50 * (step + 1) for step in range(39)]
    expected = np.array([positions(ms) for ms in times])
    assert data.values('action')[:, :7] == pytest.approx(expected, abs=1e-6)
    [(problem, count)] = result.samples.problems.items()
    assert count == 1
    assert problem.startswith('/commands: a command has the positions [0.0, 0.0, 0.0]; needed is')


def trajectory(ms: float, names: Iterable[str], points: Iterable[tuple[int, Any]]) -> Any:
    """Return a JointTrajectory; points: time from its start [ms] and positions."""
    return message(
        'trajectory_msgs/msg/JointTrajectory',
        header=header(ms),
        joint_names=list(names),
        points=[
            message(
                'trajectory_msgs/msg/JointTrajectoryPoint',
                positions=np.array(values),
                velocities=np.zeros(0),
                accelerations=np.zeros(0),
                effort=np.zeros(0),
                time_from_start=message(
                    'builtin_interfaces/msg/Duration', sec=0, nanosec=later * MS
                ),
            )
            for later, values in points
        ],
    )


def test_a_trajectory_is_followed_between_its_points(tmp_path: Path) -> None:
    recording = Recording().run()
    for start in range(0, 2000, 500):
        points = [(ms, positions(start + ms)[::-1]) for ms in (0, 200, 499)]
        recording.add(start + 1, '/trajectory', trajectory(start, JOINTS[::-1], points))
    bag = recording.write(tmp_path / 'bag.mcap')
    arm = with_output('joint_trajectory', 'trajectory')
    data, _ = convert([bag], tmp_path / 'set', arm, ActionSpace.JOINT_DELTA)
    # Motion along the points is uniform, so every difference is that of one step.
    expected = np.array([[0.0025 * (i + 1) for i in range(7)]])
    assert lengths(data) == [39]
    assert data.values('action')[:, :7] == pytest.approx(expected.repeat(39, axis=0), abs=1e-6)


def test_commands_of_joints_become_motion_of_the_end_effector(tmp_path: Path) -> None:
    pytest.importorskip('pinocchio', reason='pin is not installed: pip install pin')
    urdf, arm = real_urdf('panda.urdf').read_text(), load_arm('franka_panda')
    names = [joint.name for joint in arm.joints]
    rest = np.array([joint.rest for joint in arm.joints])

    def swung(ms: float) -> Any:
        return rest + 0.1 * ms / 1000

    output = arm.output('arm')
    assert output is not None
    recording = Recording().add(-1, '/robot_description', said(urdf))
    for ms in range(0, 1000, 10):
        measured = message(
            'sensor_msgs/msg/JointState',
            header=header(ms),
            name=[*names, arm.gripper.joint],
            position=np.array([*swung(ms), arm.gripper.open_position]),
            velocity=np.zeros(0),
            effort=np.zeros(0),
        )
        recording.add(ms, f'/{arm.inputs["joint_states"]}', measured)
        sent = trajectory(ms, names, [(0, swung(ms + 20))])
        recording.add(ms, f'/{output.topic}', sent)
    bag = recording.write(tmp_path / 'bag.mcap')
    data, [result] = convert([bag], tmp_path / 'set', arm, ActionSpace.EE_POSE, cameras=())
    assert list(result.samples.commanded) == ['arm']
    kinematics = Kinematics(arm, urdf)
    for step, (state, action) in enumerate(
        zip(data.values('observation.state'), data.values('action'), strict=True)
    ):
        here = kinematics.forward(swung(step * STEP_MS))
        there = kinematics.forward(swung((step + 1) * STEP_MS + 20))
        assert state[:3] == pytest.approx(here.position, abs=1e-6)
        assert action[:3] == pytest.approx(there.position, abs=1e-6)
        assert action[7] == 1.0
    assert len(data) == 19


def test_commands_that_are_not_there_are_asked_for_by_name(tmp_path: Path) -> None:
    bag = Recording().run(stop=300).write(tmp_path / 'bag.mcap')
    with pytest.raises(DataError, match=r'no commands to the arm .* names target_pose, of kind'):
        convert([bag], tmp_path / 'set', actions='command')
    with pytest.raises(DataError, match=r'names speed, of kind twist\. Take actions from the meas'):
        convert([bag], tmp_path / 'set', with_output('twist', 'speed'), actions='command')


def gap(topic: str) -> Callable[[str, int], bool]:
    return lambda name, ms: name == topic and 700 < ms < 1500


def test_a_gap_ends_an_episode_and_short_ones_are_left_out(tmp_path: Path) -> None:
    bag = Recording().run(drop=gap('camera')).write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set')
    # The image of 700 ms serves for 0.5 s; the next one is that of 1500 ms.
    assert (lengths(data), first_ms(data)) == ([25, 9], [0, 1500])
    other, [result] = convert([bag], tmp_path / 'other', min_frames=10)
    assert lengths(other) == [25]
    assert (result.short, result.short_frames, result.frames) == (1, 9, 25)
    assert result.samples.report.breaks == {"no image of camera 'corner2' within 0.5 s": 1}


@pytest.mark.parametrize('stream', ['joint_states', 'ee_pose'])
def test_states_that_stop_end_an_episode(tmp_path: Path, stream: str) -> None:
    bag = Recording().run(drop=gap(stream)).write(tmp_path / 'bag.mcap')
    data, [result] = convert([bag], tmp_path / 'set')
    assert first_ms(data) == [0, 1500]
    # Joints may be 0.25 s older than the pose that they go with.
    assert lengths(data) == [19 if stream == 'joint_states' else 14, 9]
    assert result.samples.problems.total() == (54 if stream == 'joint_states' else 0)


def test_the_instruction_is_the_task_and_another_one_another_episode(tmp_path: Path) -> None:
    recording = Recording().run()
    recording.add(-100, '/instruction', said('open')).add(705, '/instruction', said('close'))
    recording.add(1005, '/instruction', said('')).add(1405, '/instruction', said('close'))
    bag = recording.write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set', task=None)
    assert [episode.tasks for episode in data.episodes] == [('open',), ('close',), ('close',)]
    # It has no stamp and counts as of the newest one before it.
    assert first_ms(data) == [0, 700, 1400]
    assert lengths(data) == [14, 6, 11]
    data, _ = convert([bag], tmp_path / 'fixed', task='do it')
    assert [episode.tasks for episode in data.episodes] == [('do it',)]


def test_a_topic_of_flags_marks_episodes(tmp_path: Path) -> None:
    recording = Recording().run()
    for ms, value in ((202, True), (302, True), (602, False), (1202, True), (1802, False)):
        recording.add(ms, '/recording', flag(value))
    bag = recording.write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set', episodes_by='recording')
    assert first_ms(data) == [200, 1200]
    assert lengths(data) == [8, 12]


def taken_over() -> Recording:
    recording = Recording().run()
    for ms, value in ((1, False), (402, True), (902, False), (1202, True), (1802, False)):
        recording.add(ms, '/take_over', flag(value))
    return recording


def test_what_a_person_did_who_took_over_is_marked_in_whole_episodes(tmp_path: Path) -> None:
    bag = taken_over().write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set', take_overs='mark')
    assert lengths(data) == [39]
    taken = data.values('is_intervention').astype(bool)
    assert data.info.features['is_intervention'].dtype == 'bool'
    # A mark, which has no stamp, counts from the newest stamp before it.
    times = STEP_MS * np.flatnonzero(taken)
    assert times.tolist() == [*range(400, 900, STEP_MS), *range(1200, 1800, STEP_MS)]


def test_corrections_alone_become_episodes_of_their_own(tmp_path: Path) -> None:
    bag = taken_over().write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set', take_overs='only')
    assert first_ms(data) == [400, 1200]
    assert lengths(data) == [10, 12]
    bare = Recording().run(stop=300).write(tmp_path / 'bare.mcap')
    with pytest.raises(DataError, match='has no topic take_over: it does not say when'):
        convert([bare], tmp_path / 'other', take_overs='only')


def test_a_topic_of_names_marks_episodes(tmp_path: Path) -> None:
    recording = Recording().run()
    for ms, text in ((202, 'one'), (602, 'two'), (702, 'two'), (1202, '')):
        recording.add(ms, '/episode', said(text))
    bag = recording.write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set', episodes_by='/episode')
    assert first_ms(data) == [200, 600]
    assert lengths(data) == [8, 12]


def test_calls_of_a_switch_mark_episodes(tmp_path: Path) -> None:
    recording = Recording().run()
    topic = '/recorder/enable/_service_event'
    for number, (ms, value) in enumerate(((202, True), (602, False), (1202, True))):
        # Sent, received, and answered: one call.
        for event in (0, 1, 2, 3):
            recording.add(ms + event, topic, called(ms, SET_BOOL, number, value, event=event))
    bag = recording.write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set', episodes_by='recorder/enable')
    assert first_ms(data) == [200, 1200]
    assert lengths(data) == [8, 15]


def test_a_definition_that_rosbag2_calls_unknown_is_no_damage(tmp_path: Path) -> None:
    recording = Recording().run()
    recording.add(202, '/on/_service_event', called(202, SET_BOOL, 1, True))
    bag = recording.write(tmp_path / 'bag.mcap')
    # The schema and its copy in the summary: type, and syntax of as many letters.
    name = SET_BOOL.encode()
    schema = len(name).to_bytes(4, 'little') + name + (7).to_bytes(4, 'little')
    data = bag.read_bytes()
    assert data.count(schema + b'ros2msg') == 2
    bag.write_bytes(data.replace(schema + b'ros2msg', schema + b'unknown'))
    with Bag(bag) as opened:
        assert opened.warnings == []
    data_set, _ = convert([bag], tmp_path / 'set', episodes_by='on')
    assert first_ms(data_set) == [200]


def test_each_call_of_a_trigger_begins_an_episode(tmp_path: Path) -> None:
    recording = Recording().run()
    for number, ms in enumerate((202, 602)):
        recording.add(ms, '/reset/_service_event', called(ms, TRIGGER, number, event=0))
        recording.add(ms + 5, '/reset/_service_event', called(ms, TRIGGER, number, event=1))
    bag = recording.write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set', episodes_by='/reset')
    assert first_ms(data) == [200, 600]
    assert lengths(data) == [8, 27]


def test_a_call_without_its_contents_is_a_problem(tmp_path: Path) -> None:
    recording = Recording().run(stop=500)
    recording.add(100, '/on/_service_event', called(100, SET_BOOL, 1, True, known=False))
    bag = recording.write(tmp_path / 'bag.mcap')
    sampling = SampleOptions(fps=FPS, task='move', episodes_by='on')
    options = DatasetOptions(ActionSpace.EE_DELTA)
    with BagDataset(tmp_path / 'set', ARM, sampling, options) as made, Bag(bag) as opened:
        result = made.add(opened)
    assert result.episodes == 0
    [problem] = result.samples.problems
    assert 'set the introspection of the service to contents' in problem
    assert not (tmp_path / 'set').exists()


def test_what_marks_episodes_has_to_be_there(tmp_path: Path) -> None:
    bag = Recording().run(stop=300).add(1, '/recording', flag(True)).write(tmp_path / 'bag.mcap')
    with pytest.raises(DataError, match=r"'/recordings'. Did you mean '/recording'"):
        convert([bag], tmp_path / 'set', episodes_by='/recordings')
    with pytest.raises(DataError, match=r"'/ee_pose' .* carries geometry_msgs/msg/PoseStamped"):
        convert([bag], tmp_path / 'set', episodes_by='ee_pose')
    with pytest.raises(DataError, match=r'has no topic active_instruction or instruction: give'):
        convert([bag], tmp_path / 'set', task=None)
    with pytest.raises(DataError, match=r"unknown topic '/note'"):
        convert([bag], tmp_path / 'set', task=None, task_topic='note')
    with pytest.raises(ConfigError, match=r"camera of the arm contract 'sawyer_sim': 'wrist'"):
        convert([bag], tmp_path / 'set', cameras=('wrist',))


def test_a_set_without_cameras(tmp_path: Path) -> None:
    bag = Recording().run(stop=1000).write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set', cameras=())
    assert lengths(data) == [19]
    assert data.cameras == {}


def test_bags_of_one_arm_are_one_set(tmp_path: Path) -> None:
    bags = [
        Recording().run(stop=700).write(tmp_path / 'one.mcap'),
        Recording().run(start=60_000, stop=61_000).write(tmp_path / 'two.mcap'),
    ]
    data, results = convert(bags, tmp_path / 'set')
    assert lengths(data) == [13, 19]
    assert [result.frames for result in results] == [13, 19]


def test_a_clock_that_starts_over_is_another_episode(tmp_path: Path) -> None:
    recording = Recording().run(start=5000, stop=6000)
    again = Recording().run(stop=1000)
    recording.messages += [(ms + 7000, *rest) for ms, *rest in again.messages]
    bag = recording.write(tmp_path / 'bag.mcap')
    data, [result] = convert([bag], tmp_path / 'set')
    assert (lengths(data), first_ms(data)) == ([19, 19], [5000, 0])
    assert result.samples.report.breaks == {'the clock went back': 1}


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    def picture(ms: float) -> Any:
        return image(ms, 8 if ms < 500 else 6)

    bag = Recording().run(picture=picture).write(tmp_path / 'bag.mcap')
    with pytest.raises(
        DataError,
        match=r'bag.mcap: images of /camera/corner2/image are 6 x 6 from 1700000000.500 s on',
    ):
        convert([bag], tmp_path / 'set')


def test_an_image_that_is_not_what_the_contract_says_is_a_problem(tmp_path: Path) -> None:
    def picture(ms: float) -> Any:
        made = image(ms)
        made.encoding = 'bgr8' if 500 <= ms < 700 else 'rgb8'
        return made

    bag = Recording().run(picture=picture).write(tmp_path / 'bag.mcap')
    data, [result] = convert([bag], tmp_path / 'set')
    assert (lengths(data), first_ms(data)) == ([10, 25], [0, 700])
    [reason] = result.samples.report.breaks
    assert reason.startswith("camera 'corner2' sends bgr8, the arm contract says rgb8")


FROM_BAG = ['--arm', 'sawyer_sim', '--fps', '20', '--min-frames', '5', '--task', 'move']


def test_the_command_converts_adds_and_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = str(Recording().run(drop=gap('camera')).write(tmp_path / 'bag.mcap'))
    command = ['dataset', 'from-bag', bag, *FROM_BAG, '--output', str(tmp_path / 'set')]
    channels = ['--state-channels', 'ee_x', 'gripper', '--action-channels', 'ee_dx', 'gripper']
    assert main([*command, *channels]) == 0
    out = capsys.readouterr().out
    assert '2 episodes, 34 frames (1.7 s)' in out
    assert 'actions: measured motion' in out
    assert "episodes ended: 1 x no image of camera 'corner2' within 0.5 s" in out
    assert 'camera corner2: 10 of 34 frames repeat the image before' in out
    assert main([*command, *channels]) == 2
    assert 'is a data set already; --append adds to it' in capsys.readouterr().err
    assert main([*command, *channels, '--append']) == 0
    assert LeRobotDataset(tmp_path / 'set').values('action').shape == (68, 2)
    capsys.readouterr()

    assert main(['dataset', 'info', str(tmp_path / 'set')]) == 0
    out = capsys.readouterr().out
    assert 'LeRobot v3.0, robot sawyer_sim' in out
    assert '4 episodes, 68 frames at 20 per second' in out
    assert "task 'move': 4 episodes" in out
    assert 'observation.images.corner2: 8 x 8, image' in out
    [line] = [line for line in out.splitlines() if line.split()[:1] == ['ee_dx']]
    assert [float(word) for word in line.split()[1:6]] == pytest.approx([0.005] * 5)


def test_a_bag_without_an_episode_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = str(Recording().run(stop=200).write(tmp_path / 'bag.mcap'))
    command = ['dataset', 'from-bag', bag, *FROM_BAG, '--output', str(tmp_path / 'set')]
    assert main(command) == 1
    assert '1 episodes left out as too short, 3 frames' in capsys.readouterr().out
    assert main([*command, '--append', '--action-channels', 'ee_dx', 'ee_du']) == 2
    assert "unknown action channel 'ee_du'" in capsys.readouterr().err
    assert main(['dataset', 'info', str(tmp_path)]) == 2
    assert 'is no LeRobot data set' in capsys.readouterr().err


def test_events_are_decoded_as_ros_writes_them() -> None:
    # Bytes of rclpy's serialize_message for a SetBool.Event with a request.
    data = bytes.fromhex(
        '00010000015500000500000000000000000102030405060708090a0b0c0d0e0f'
        '666173740700000000000000010000000108000000000000'
    )
    store = standard_types()
    definition = store.get_msgdef(SET_BOOL)
    event = definition.deserialize_cdr_le(memoryview(data)[4:], 0, definition.cls, store)[0]
    assert (event.info.event_type, event.info.sequence_number) == (1, 7)
    assert (event.info.stamp.sec, event.request[0].data, event.response) == (5, True, [])
    assert json.dumps(event.info.client_gid.tolist()) == json.dumps(list(range(16)))


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'fps': 0}, 'to have 0 frames per second; give from 1 to 1000'),
        ({'fps': -1}, 'to have -1 frames per second'),
        ({'fps': 10**9}, 'frames per second; give from 1'),
        ({'task': ' .'}, 'the task is blank'),
        ({'task': 'a\udcff'}, 'is not UTF-8'),
        ({'task': 'x' * 10**7}, 'has 10,000,000 characters'),
    ],
)
def test_a_rate_or_task_that_is_none_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SampleOptions(**{'fps': FPS, **options})


def test_a_task_that_no_policy_takes_is_none(tmp_path: Path) -> None:
    recording = Recording().run().add(0, '/instruction', said('open'))
    recording.add(1001, '/instruction', said('x' * 5000))
    bag = recording.write(tmp_path / 'bag.mcap')
    data, [result] = convert([bag], tmp_path / 'set', task=None)
    assert data.tasks == ('open',)
    assert 19 <= sum(lengths(data)) <= 21
    assert any('has 5,000 characters' in problem for problem in result.samples.problems)


def test_a_camera_that_is_named_twice_is_one(tmp_path: Path) -> None:
    bag = Recording().run(stop=500).write(tmp_path / 'bag.mcap')
    _, [result] = convert([bag], tmp_path / 'set', cameras=('corner2', 'corner2'))
    assert result.samples.cameras == ('corner2',)
