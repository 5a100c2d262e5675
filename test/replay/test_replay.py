"""A policy on the recording of an episode that it drove."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.html_page import read_page

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.writer import BagWriter
from robomamba_ros.cli.main import main
from robomamba_ros.errors import ConfigError, DataError, ObservationError
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.nodes.common.chunk_messages import ChunkJoiner
from robomamba_ros.policies.location import checkpoint_directory
from robomamba_ros.replay.latency import fixed_latency
from robomamba_ros.replay.metrics import metrics
from robomamba_ros.replay.predictions import Predictions
from robomamba_ros.replay.run import Replay
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.spatial.camera import project
from robomamba_ros.spatial.transforms import compose, inverse
from robomamba_ros.types import NANOSECONDS, ActionChunk, Pose

ARM = load_arm('sawyer_sim')
START_NS = 7 * NANOSECONDS
EXECUTE_STEPS = 10
COMMAND = ['--policy', 'anolevla-mt10', '--arm', 'sawyer_sim', '--execute-steps', '10']


def replay(path: Path, policy: Any, output: Path, arm: Any = ARM, **options: Any) -> Replay:
    """Replay a bag; `output` gets the predictions."""
    options = {'execute_steps': EXECUTE_STEPS, **options}
    with Bag(path) as bag, BagWriter(output) as writer:
        predictions = Predictions(writer, ARM.base_frame)
        done = Replay(bag, arm, policy, predictions, stopwatch=lambda: 0.0, **options)
        done.run()
    return done


def figures(done: Replay, policy: Any) -> dict[str, float]:
    return metrics(done.trace, done.comparison, policy.spec.action_names)


def chunks_in(path: Path) -> list[ActionChunk]:
    """Return the chunks of a predictions file as the controller would have received them."""
    joiner = ChunkJoiner(ARM.base_frame)
    found = []
    with Bag(path) as bag:
        for each in bag.messages(['/action_chunk', '/joint_chunk']):
            add = joiner.add_targets if each.topic == '/action_chunk' else joiner.add_joints
            if chunk := add(each.content):
                found.append(chunk)
    return found


def test_a_replay_predicts_what_the_policy_predicted_when_it_drove(
    episode: Any, bag_path: Path, tmp_path: Path
) -> None:
    done = replay(bag_path, episode.policy, tmp_path / 'p.mcap')
    received = chunks_in(tmp_path / 'p.mcap')
    assert len(received) == len(episode.chunks) == 9
    for sent, chunk in zip(episode.chunks, received, strict=True):
        assert chunk.stamp_ns == sent.stamp_ns + START_NS
        for name in sent.names:
            assert np.array_equal(chunk.channel(name), sent.channel(name))
    assert done.trace.problems.count == done.trace.refused.count == 0
    assert done.trace.stalls == []


def test_two_replays_give_the_same_bytes_and_figures(bag_path: Path, tmp_path: Path) -> None:
    reports = []
    for name in ('one', 'two'):
        command = ['replay', str(bag_path), *COMMAND, '--latency-ms', '30', '--output']
        assert main([*command, str(tmp_path / name)]) == 0
        reports.append(json.loads((tmp_path / name / 'report.json').read_text()))
        for policy in reports[-1]['policies']:
            assert len(policy.pop('wall_time')['inference_samples_ms']) == 9
        for key in ('created', 'command'):
            del reports[-1][key]
    assert reports[0] == reports[1]
    first, second = (tmp_path / name / 'predictions.mcap' for name in ('one', 'two'))
    assert first.read_bytes() == second.read_bytes()


def with_turned_axes(folder: Path) -> Path:
    """Return the shipped checkpoint with its action channels named in another order."""
    checkpoint = folder / 'turned'
    shutil.copytree(checkpoint_directory('anolevla-mt10'), checkpoint)
    config = checkpoint / 'config.yaml'
    text = config.read_text()
    turned = text.replace('- ee_dx\n- ee_dy\n- ee_dz\n', '- ee_dz\n- ee_dx\n- ee_dy\n')
    assert turned != text
    config.write_text(turned)
    return checkpoint


def bgr(image: Any) -> Any:
    return image[:, :, ::-1]


@pytest.mark.parametrize('fault', ['none', 'channels', 'colours', 'latency'])
def test_thresholds_catch_a_fault_and_name_it(episode: Any, tmp_path: Path, fault: str) -> None:
    bag = episode.write(tmp_path / 'bag.mcap', view=bgr if fault == 'colours' else lambda i: i)
    policy = str(with_turned_axes(tmp_path)) if fault == 'channels' else 'anolevla-mt10'
    latency = '100' if fault == 'latency' else '0'
    output = tmp_path / 'out'
    limits = ('position_error_m>0.05', 'observation_to_command_ms.p99>80', 'chunks<9')
    conditions = [word for limit in limits for word in ('--fail-if', limit)]
    command = ['replay', str(bag), '--policy', policy, '--arm', 'sawyer_sim']
    status = main([*command, '--latency-ms', latency, *conditions, '--output', str(output)])
    report = json.loads((output / 'report.json').read_text())
    crossed = [each['condition'] for each in report['thresholds'] if each['crossed']]
    expected = {'none': [], 'latency': [limits[1]]}.get(fault, [limits[0]])
    assert crossed == expected
    assert (status, report['passed']) == (int(bool(expected)), not expected)
    page = (output / 'report.html').read_text()
    for limit in limits:
        row = page.split(f'<code>{limit.replace(">", "&gt;").replace("<", "&lt;")}</code>')[1]
        assert ('crossed' if limit in expected else 'held') in row.split('</tr>')[0]


def test_a_latency_is_seen_in_ages_trimmed_steps_and_seams(
    episode: Any, bag_path: Path, tmp_path: Path
) -> None:
    fast, slow = (
        figures(
            replay(bag_path, episode.policy, tmp_path / 'p.mcap', latency=fixed_latency(ms)),
            episode.policy,
        )
        for ms in (0.0, 100.0)
    )
    assert (fast['observation_to_command_ms.p50'], fast['trimmed_steps.mean']) == (0.0, 0.0)
    assert (slow['observation_to_command_ms.p50'], slow['trimmed_steps.mean']) == (100.0, 8.0)
    assert fast['seam_jump_m.max'] < 1e-9 < 0.01 < slow['seam_jump_m.max']
    # What is predicted does not depend on when it arrives.
    assert slow['action_l1'] == fast['action_l1']


def test_several_policies_stand_on_one_page(bag_path: Path, tmp_path: Path) -> None:
    command = ['replay', str(bag_path), *COMMAND, '--policy', 'hold', '--policy', 'hold']
    assert main([*command, '--fail-if', 'action_l1<0', '--output', str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    labels = ['anolevla-mt10', 'hold-1', 'hold-2']
    assert names == {f'predictions-{n}.mcap' for n in labels} | {'report.html', 'report.json'}
    policies = json.loads((tmp_path / 'report.json').read_text())['policies']
    assert [each['policy'] for each in policies] == labels
    errors = [each['metrics']['position_error_m'] for each in policies]
    assert errors[0] < 0.5 * errors[1]
    assert errors[1] == errors[2]
    page = read_page(tmp_path / 'report.html')
    assert [link for link in page.links if not link.startswith('data:')] == []
    assert all(label in page.text for label in labels)
    # The recorded line and one for each policy in x, y, z and the opening.
    assert (tmp_path / 'report.html').read_text().count('class="measured"') == 4
    assert page.names.count('img') == 5


def test_the_path_is_drawn_where_the_camera_sees_it(
    episode: Any, bag_path: Path, tmp_path: Path
) -> None:
    camera = ARM.cameras[0]
    done = replay(bag_path, episode.policy, tmp_path / 'p.mcap')
    intrinsics = done._inputs.views.intrinsics['corner2']
    pixels = project(episode.points, camera.base_T_camera, intrinsics)
    assert np.abs(pixels - episode.pixels).max() < 0.01
    behind = project(np.array([[2.0, -0.6, 1.4]]), camera.base_T_camera, intrinsics)
    assert np.isnan(behind).all()
    drawn, image = done.filmstrip.images[0], episode.images[0][1]
    changed = np.argwhere((drawn.image != image).any(axis=2))
    here = project(episode.states[0].pose.position[None], camera.base_T_camera, intrinsics)[0]
    assert np.abs(changed[:, ::-1] - here).min(axis=0).max() < 4.0
    assert done.filmstrip.notes == []


def test_without_a_known_camera_the_image_stays_as_it_is_and_a_note_says_why(
    episode: Any, tmp_path: Path
) -> None:
    bag = episode.write(tmp_path / 'bag.mcap', leave_out=('/camera/corner2/camera_info',))
    done = replay(bag, episode.policy, tmp_path / 'p.mcap')
    assert np.array_equal(done.filmstrip.images[0].image, episode.images[0][1])
    assert done.filmstrip.notes == [
        'corner2: the predicted path is not drawn, the bag has no camera_info, or the arm contract '
        'no info_topic'
    ]


def test_the_path_is_drawn_from_where_tf_static_puts_the_camera(
    episode: Any, bag_path: Path, tmp_path: Path
) -> None:
    camera = ARM.cameras[0]
    arm = replace(ARM, cameras=(replace(camera, base_T_camera=None),))
    expected = replay(bag_path, episode.policy, tmp_path / 'p.mcap').filmstrip.images[0].image
    # As a robot has it: base and camera both hang on the world, the camera by its housing.
    world_T_base = Pose(np.array([1.0, -2.0, 0.5]), np.array([0.0, 0.0, 0.6, 0.8]))
    housing_T_optical = Pose(np.zeros(3), np.array([-0.5, 0.5, -0.5, 0.5]))
    world_T_housing = compose(
        compose(world_T_base, camera.base_T_camera), inverse(housing_T_optical)
    )
    frames = [
        ('world', 'base', world_T_base),
        ('world', 'housing', world_T_housing),
        ('housing', 'corner2', housing_T_optical),
    ]
    for kept, drawn in ((frames, True), (frames[:2], False)):
        bag = episode.write(tmp_path / f'{len(kept)}.mcap', frames=kept)
        done = replay(bag, episode.policy, tmp_path / 'p.mcap', arm=arm)
        found = done.filmstrip.images[0].image
        assert np.array_equal(found, expected if drawn else episode.images[0][1])
        reason = 'neither the arm contract nor /tf_static of the bag says where the camera is'
        assert [reason in note for note in done.filmstrip.notes] == ([] if drawn else [True])


def test_a_bag_of_simulated_time_runs_by_its_clock(episode: Any, tmp_path: Path) -> None:
    for name in ('wall', 'clock'):
        bag = episode.write(tmp_path / f'{name}.mcap', clock=name == 'clock')
        replay(bag, episode.policy, tmp_path / f'{name}_p.mcap')
    wall, clock = (tmp_path / f'{name}_p.mcap' for name in ('wall', 'clock'))
    assert [c.stamp_ns for c in chunks_in(clock)] == [c.stamp_ns for c in chunks_in(wall)]
    assert len(chunks_in(clock)) == 9


def test_a_clock_that_goes_back_begins_an_episode(episode: Any, tmp_path: Path) -> None:
    bag = episode.write(tmp_path / 'bag.mcap', clock=True, times=2)
    done = replay(bag, episode.policy, tmp_path / 'p.mcap')
    found = figures(done, episode.policy)
    assert (found['restarts'], found['chunks'], found['problems']) == (1.0, 18.0, 0.0)
    stamps = done.trace.chunk_stamps
    assert stamps[:9] == stamps[9:]


def test_a_gap_in_a_stream_is_a_stall_with_its_reason(episode: Any, tmp_path: Path) -> None:
    def gap(topic: str, time_ns: int) -> bool:
        return topic != '/joint_states' or not 3e8 < time_ns < 7e8

    bag = episode.write(tmp_path / 'bag.mcap', keep=gap)
    done = replay(bag, episode.policy, tmp_path / 'p.mcap')
    (stall,) = done.trace.stalls
    # Joint states are late once they are older than their budget of 0.25 s, and are enabled again.
    assert (stall.start_ns - START_NS) * 1e-9 == pytest.approx(0.55, abs=0.02)
    assert stall.end_ns > START_NS + 7e8
    assert 'joint_states is late' in stall.reasons[0]
    assert figures(done, episode.policy)['age_ms.joint_states.max'] == pytest.approx(400, abs=13)


def test_chunks_that_come_too_late_are_refused_and_counted(
    episode: Any, bag_path: Path, tmp_path: Path
) -> None:
    done = replay(bag_path, episode.policy, tmp_path / 'p.mcap', latency=fixed_latency(700.0))
    assert figures(done, episode.policy)['refused_chunks'] >= 1
    assert 'action_chunk is 0.700 s old' in str(done.trace.refused.most_common(1)[0])


def test_a_topic_may_lack_its_namespace_unless_two_match(episode: Any, tmp_path: Path) -> None:
    bag = episode.write(tmp_path / 'bag.mcap', namespace='/lab/left')
    assert len(replay(bag, episode.policy, tmp_path / 'p.mcap').trace.chunk_stamps) == 9
    (tmp_path / 'two').mkdir()
    for name in ('left', 'right'):
        episode.write(tmp_path / 'two' / f'{name}.mcap', namespace=f'/{name}')
    with pytest.raises(DataError, match=r'/left/joint_states, /right/joint_states.*leading /'):
        replay(tmp_path / 'two', episode.policy, tmp_path / 'p.mcap')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'leave_out': ('/camera/corner2/image',)}, r"'/camera/corner2/image'\. Did you mean"),
        ({'leave_out': ('/joint_states',)}, "unknown topic '/joint_states'"),
        ({'leave_out': ('/instruction',)}, r'no topic instruction; give one with --instruction'),
        ({'encoding': 'bgr8'}, r"no chunk could be predicted: camera 'corner2' sends bgr8.*times"),
        ({'keep': lambda topic, _: topic != '/ee_pose'}, 'ee_pose: nothing received yet'),
        ({'keep': lambda topic, _: False}, 'nothing to read'),
    ],
)
def test_what_a_bag_lacks_is_named(
    episode: Any, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    bag = episode.write(tmp_path / 'bag.mcap', **options)
    with pytest.raises(DataError, match=message):
        replay(bag, episode.policy, tmp_path / 'p.mcap')
    assert not (tmp_path / 'p.mcap').exists()


def test_an_instruction_may_be_given(episode: Any, tmp_path: Path) -> None:
    bag = episode.write(tmp_path / 'bag.mcap', leave_out=('/instruction',))
    first = []
    for text in (episode.instruction, 'Push and close a window'):
        replay(bag, episode.policy, tmp_path / 'p.mcap', instruction=text)
        first.append(chunks_in(tmp_path / 'p.mcap')[0].actions)
    assert np.array_equal(first[0][:, :3], episode.chunks[0].actions[:, :3])
    assert not np.array_equal(first[0], first[1])


class Told:
    """A policy as one that was trained on some instructions."""

    def __init__(self, policy: Any, *trained: str, trained_only: bool) -> None:
        self.spec = replace(policy.spec, instructions=Instructions(trained, trained_only))
        self.reset, self.infer = policy.reset, policy.infer


def test_an_instruction_that_was_not_trained_is_remarked_on_or_refused(
    episode: Any, bag_path: Path, tmp_path: Path
) -> None:
    known = Told(episode.policy, f'{episode.instruction.upper()}!', trained_only=True)
    assert replay(bag_path, known, tmp_path / 'p.mcap').trace.remarks.count == 0
    other = Told(episode.policy, 'Fly a kite', trained_only=False)
    remarks = replay(bag_path, other, tmp_path / 'p.mcap').trace.remarks.most_common()
    assert [str(remark) for remark in remarks] == [
        f"the instruction '{episode.instruction}' is none of the 1 that the policy was trained "
        "on; the nearest is 'Fly a kite'"
    ]
    closed = Told(episode.policy, 'Fly a kite', trained_only=True)
    with pytest.raises(DataError, match=r"no chunk could be predicted: .* is 'Fly a kite'"):
        replay(bag_path, closed, tmp_path / 'p.mcap')
    with pytest.raises(ObservationError, match="nearest is 'Fly a kite'"):
        replay(bag_path, closed, tmp_path / 'p.mcap', instruction='swim')


def test_a_camera_that_the_arm_lacks_is_named(episode: Any, bag_path: Path, tmp_path: Path) -> None:
    spec = episode.policy.spec
    other = replace(spec, cameras=(replace(spec.cameras[0], name='wrist'),))

    class Elsewhere:
        spec = other

        def reset(self) -> None: ...

    with pytest.raises(ConfigError, match=r"'sawyer_sim': 'wrist'\. Valid: corner2"):
        replay(bag_path, Elsewhere(), tmp_path / 'p.mcap')


def test_execute_steps_beyond_the_horizon_are_refused(
    bag_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ['replay', str(bag_path), '--policy', 'anolevla-mt10', '--arm', 'sawyer_sim']
    for steps in ('0', '51'):
        assert main([*command, '--execute-steps', steps, '--output', str(tmp_path)]) == 2
        assert f'execute_steps is {steps}' in capsys.readouterr().err


def test_an_unknown_figure_is_refused_before_the_replay(
    bag_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ['replay', str(bag_path), *COMMAND, '--output', str(tmp_path / 'out')]
    assert main([*command, '--fail-if', 'action_11>0.02']) == 2
    error = capsys.readouterr().err
    assert re.search(r"unknown figure 'action_11'\. Did you mean 'action_l1'\?", error)
    assert list((tmp_path / 'out').iterdir()) == []


def test_a_damaged_bag_is_replayed_as_far_as_it_goes_and_the_report_says_so(
    bag_path: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / 'damaged.mcap'
    damaged.write_bytes(bag_path.read_bytes()[: bag_path.stat().st_size * 6 // 10])
    assert main(['replay', str(damaged), *COMMAND, '--output', str(tmp_path)]) == 0
    report = json.loads((tmp_path / 'report.json').read_text())
    (warning,) = report['bag']['warnings']
    assert re.search(r'damaged\.mcap is damaged: .*`mcap recover`', warning)
    whole = tmp_path / 'whole'
    assert main(['replay', str(bag_path), *COMMAND, '--output', str(whole)]) == 0
    chunks = [chunks_in(folder / 'predictions.mcap') for folder in (tmp_path, whole)]
    assert 3 <= len(chunks[0]) < len(chunks[1])
    for found, expected in zip(*chunks, strict=False):
        assert np.array_equal(found.actions, expected.actions)


def test_a_recording_is_not_written_into(bag_path, tmp_path, capsys) -> None:
    folder = tmp_path / 'recording'
    folder.mkdir()
    shutil.copy(bag_path, folder / 'bag.mcap')
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(['replay', str(folder), *COMMAND, '--output', str(folder)]) == 2
    assert 'is the folder of the recording' in capsys.readouterr().err
    shutil.copy(bag_path, tmp_path / 'predictions.mcap')
    path = str(tmp_path / 'predictions.mcap')
    assert main(['replay', path, *COMMAND, '--output', str(tmp_path)]) == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert main(['replay', path, *COMMAND, '--latency-ms', '1e300']) == 2
    assert 'give from 0 to 1e+06' in capsys.readouterr().err
