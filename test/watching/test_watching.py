"""What is shown of a recording, and that two viewers of others are given it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.made_recording import ARM, JOINTS, Recording, header, image, pose, said, stamp

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.writer import message
from robomamba_ros.cli.main import main
from robomamba_ros.spatial.transforms import compose
from robomamba_ros.types import Pose
from robomamba_ros.watching.shown import Line, Number, Picture, Shown, Trace, Watched, Words

FOCAL, SIDE = 100.0, 8


def path_message(points: np.ndarray) -> Any:
    poses = []
    for index, (x, y, z) in enumerate(points.tolist()):
        made = pose(50.0 * index, {'x': x, 'turn': 0.0})
        made.pose.position.y, made.pose.position.z = y, z
        poses.append(made)
    return message('nav_msgs/msg/Path', header=header(100), poses=poses)


def info_message() -> Any:
    fields = {'height': SIDE, 'width': SIDE, 'distortion_model': '', 'd': np.zeros(0)}
    matrix = np.array([FOCAL, 0, SIDE / 2, 0, FOCAL, SIDE / 2, 0, 0, 1.0])
    region = message(
        'sensor_msgs/msg/RegionOfInterest',
        x_offset=0,
        y_offset=0,
        height=0,
        width=0,
        do_rectify=False,
    )
    return message(
        'sensor_msgs/msg/CameraInfo',
        header=header(100),
        **fields,
        k=matrix,
        r=np.eye(3).ravel(),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=region,
    )


def diagnostics(**values: str) -> Any:
    pairs = [message('diagnostic_msgs/msg/KeyValue', key=k, value=v) for k, v in values.items()]
    status = message(
        'diagnostic_msgs/msg/DiagnosticStatus',
        level=1,
        name='controller_node',
        message='holding: a reason',
        hardware_id='',
        values=pairs,
    )
    return message('diagnostic_msgs/msg/DiagnosticArray', header=header(150), status=[status])


def in_front_of_camera() -> np.ndarray:
    """Return points (2, 3) in the base frame that the camera sees at (4, 4) and (14, 9)."""
    [camera] = [each for each in ARM.cameras if each.name == 'corner2']
    seen = np.array([[0.0, 0.0, 1.0], [0.2, 0.1, 2.0]])
    straight = np.array([0.0, 0.0, 0.0, 1.0])
    return np.array([compose(camera.base_T_camera, Pose(p, straight)).position for p in seen])


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    recording = Recording().run(0, 200)
    recording.add(90, '/camera/corner2/camera_info', info_message())
    recording.add(110, '/predicted_path', path_message(in_front_of_camera()))
    recording.add(120, '/active_instruction', said('open the drawer'))
    recording.add(
        150,
        '/diagnostics',
        diagnostics(inference_p50_ms='21.5', limited_share='0.1', policy='7', nothing_ms='nan'),
    )
    return recording.write(tmp_path / 'bag.mcap')


def shown(bag: Path) -> list[Shown]:
    watched = Watched(ARM)
    with Bag(bag) as opened:
        names = {topic.name: name for name in watched.types if (topic := opened.find(name))}
        return [
            each
            for m in opened.messages(list(names))
            for each in watched.read(names[m.topic], m.content, m.log_ns)
        ]


def test_cameras_joints_path_limits_and_states_are_shown(bag: Path) -> None:
    found = shown(bag)
    pictures = [each for each in found if isinstance(each, Picture)]
    assert {(each.path, each.rgb.shape) for each in pictures} == {('cameras/corner2', (8, 8, 3))}
    assert len(pictures) == 4
    numbers = {each.path: each.value for each in found if isinstance(each, Number)}
    assert numbers[f'joints/{JOINTS[0]}/measured'] == pytest.approx(0.05 * 0.19)
    lower, upper = (numbers[f'joints/{JOINTS[0]}/{end}'] for end in ('lower', 'upper'))
    assert (lower, upper) == ARM.joints[0].position
    assert numbers['end_effector/x_m/measured'] == pytest.approx(0.019)
    assert numbers['latencies/controller_node/inference_p50_ms'] == 21.5
    assert numbers['limits/controller_node/limited_share'] == 0.1
    assert not [path for path in numbers if path.endswith(('policy', 'nothing_ms'))]
    words = {each.path: (each.text, each.level) for each in found if isinstance(each, Words)}
    assert words['state/controller_node'] == ('holding: a reason', 1)
    assert words['instruction'] == ('open the drawer', 0)
    [line] = [each for each in found if isinstance(each, Line)]
    np.testing.assert_allclose(line.points, in_front_of_camera())


def test_the_predicted_path_lies_where_the_camera_sees_it(bag: Path) -> None:
    traces = [each for each in shown(bag) if isinstance(each, Trace)]
    # Only over images that came after it.
    assert len(traces) == 2
    for trace in traces:
        assert trace.over == 'cameras/corner2'
        np.testing.assert_allclose(trace.pixels, [[4.0, 4.0], [14.0, 9.0]], atol=1e-6)


def test_commands_and_chunks_are_shown_when_they_are_due() -> None:
    watched = Watched(ARM)
    sent = pose(500, {'x': 0.3, 'turn': 0.0})
    [x, *_] = watched.read('target_pose', sent, 0)
    assert isinstance(x, Number)
    assert (x.path, x.value) == ('end_effector/x_m/commanded', 0.3)
    duration = message('builtin_interfaces/msg/Duration', sec=0, nanosec=50_000_000)
    point = message(
        'trajectory_msgs/msg/JointTrajectoryPoint',
        positions=np.array([0.25]),
        velocities=np.zeros(0),
        accelerations=np.zeros(0),
        effort=np.zeros(0),
        time_from_start=duration,
    )
    chunk = message(
        'trajectory_msgs/msg/JointTrajectory',
        header=header(500),
        joint_names=['gripper'],
        points=[point],
    )
    now_ns = stamp(500).sec * 10**9 + stamp(500).nanosec + 30_000_000
    values = {
        n.path: (n.stamp_ns - now_ns, n.value) for n in watched.read('joint_chunk', chunk, now_ns)
    }
    assert values['chunk/age_on_arrival_ms'] == (-30_000_000, pytest.approx(30.0))
    assert values['chunk/gripper'] == (20_000_000, 0.25)


def test_what_cannot_be_read_is_said_once() -> None:
    watched = Watched(ARM)
    wrong = image(0)
    wrong.encoding = 'bgr8'
    topic = ARM.cameras[0].topic
    [problem] = watched.read(topic, wrong, 5)
    assert isinstance(problem, Words)
    assert (problem.path, problem.level) == (f'problems/{topic.strip("/")}', 1)
    assert list(watched.read(topic, wrong, 6)) == []


def test_without_a_viewer_the_command_says_what_to_do(
    bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['watch', str(bag), '--arm', 'sawyer_sim']) == 2
    assert 'give --rerun, --foxglove or both' in capsys.readouterr().err


@pytest.mark.parametrize('viewer', ['rerun', 'foxglove'])
def test_a_bag_behind_an_option_is_not_written_over(
    bag: Path, viewer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bag.read_bytes()
    assert main(['watch', '--arm', 'sawyer_sim', f'--{viewer}', str(bag)]) == 2
    assert f'{bag} exists already' in capsys.readouterr().err
    assert bag.read_bytes() == content


def test_rerun_is_given_what_is_shown(bag: Path, tmp_path: Path) -> None:
    pytest.importorskip('rerun', reason="rerun-sdk is not installed: pip install -e '.[watch]'")
    file = tmp_path / 'run.rrd'
    assert main(['watch', str(bag), '--arm', 'sawyer_sim', '--rerun', str(file)]) == 0
    content = file.read_bytes()
    assert content[:4] in (b'RRF2', b'RRIO')
    for path in ('cameras/corner2', 'world/predicted_path', 'state/controller_node'):
        assert path.encode() in content


def test_foxglove_is_given_what_is_shown(bag: Path, tmp_path: Path) -> None:
    pytest.importorskip(
        'foxglove', reason="foxglove-sdk is not installed: pip install -e '.[watch]'"
    )
    # Another program's reader.
    make_reader = pytest.importorskip('mcap.reader', reason='mcap is not installed').make_reader

    file = tmp_path / 'run.mcap'
    assert main(['watch', str(bag), '--arm', 'sawyer_sim', '--foxglove', str(file)]) == 0
    with file.open('rb') as stream:
        found = [
            (schema.name, channel.topic)
            for schema, channel, _ in make_reader(stream).iter_messages()
        ]
    assert found.count(('foxglove.RawImage', '/cameras/corner2')) == 4
    assert ('foxglove.SceneUpdate', '/world/predicted_path') in found
    assert ('foxglove.ImageAnnotations', '/cameras/corner2/predicted_path') in found
    assert ('foxglove.Log', '/state/controller_node') in found
