"""Recordings whose times are wrong: no stamps, clocks that jump, run ahead, drift or are others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.made_recording import (
    ARM,
    JOINTS,
    MS,
    START_MS,
    Recording,
    at,
    convert,
    first_ms,
    image,
    joints,
    lengths,
    pose,
    said,
)

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.state_jumps import StateJumps
from robomamba_ros.bags.writer import BagWriter, message
from robomamba_ros.cli.main import main
from robomamba_ros.datasets.from_bags.samples import BagSamples, SampleOptions
from robomamba_ros.policies.registry import LoadOptions, load_chunk_policy
from robomamba_ros.replay.predictions import Predictions
from robomamba_ros.replay.run import Replay
from robomamba_ros.types import Pose, RobotState

DAY_MS = 86_400_000


def stamped(content: Any, ms: float) -> Any:
    """Return a message with another stamp, `ms` after the start of recordings."""
    seconds, rest = divmod(round((START_MS + ms) * MS), 10**9)
    content.header.stamp = message('builtin_interfaces/msg/Time', sec=seconds, nanosec=rest)
    return content


def picture(clock: Callable[[float], float]) -> Callable[[float], Any]:
    return lambda ms: stamped(image(ms), clock(ms))


def warnings(path: Path, **options: Any) -> list[str]:
    with Bag(path) as bag:
        BagSamples(bag, ARM, SampleOptions(**{'fps': 20, 'task': 'move', **options}))
        return bag.warnings


def test_a_clock_set_while_recording_ends_an_episode_in_no_time(tmp_path: Path) -> None:
    recording = Recording().run(stop=1000)
    for ms, topic, type_, content in Recording().run(start=1000).messages:
        recording.messages.append((ms, topic, type_, stamped(content, ms + 20 * DAY_MS)))
    # Walked tick by tick these are 34 million ticks.
    data, [result] = convert([recording.write(tmp_path / 'bag.mcap')], tmp_path / 'set')
    assert lengths(data) == [19, 19]
    report = result.samples.report
    assert report.breaks == {'the clock jumped ahead': 1}
    assert report.missing == {}
    assert report.describe_jumps() == [
        'the clock jumped ahead from 1700000000.950 s to 1701728001.000 s'
    ]


def test_one_stamp_in_2069_costs_a_frame(tmp_path: Path) -> None:
    def clock(ms: float) -> float:
        return ms if ms != 500 else 400_000_000_000

    bag = Recording().run(picture=picture(clock)).write(tmp_path / 'bag.mcap')
    data, [result] = convert([bag], tmp_path / 'set')
    assert sum(lengths(data)) == 37
    assert result.samples.report.jump_count == 2


def test_the_first_messages_without_a_stamp_count_as_of_their_recording(tmp_path: Path) -> None:
    recording = Recording()
    for ms, topic, type_, content in Recording().run().messages:
        new = stamped(content, -START_MS) if ms < 50 else content
        recording.messages.append((ms, topic, type_, new))
    bag = recording.write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set')
    # The first picture took 20 ms to the disk; states follow one another to the last.
    assert lengths(data) == [39]
    with Bag(bag) as opened:
        samples = BagSamples(opened, ARM, SampleOptions(fps=20, task='move'))
        for _, found in samples.read():
            list(found)
        assert [text.split(': ', 1)[1] for text in opened.warnings] == [
            f"{count} messages of '{name}' ({topic}) have no stamp; they count as of the time of "
            'their recording'
            for count, name, topic in (
                (5, 'joint_states', '/joint_states'),
                (5, 'ee_pose', '/ee_pose'),
                (1, 'corner2', '/camera/corner2/image'),
            )
        ]


def test_a_camera_without_stamps_beside_a_simulated_clock_takes_the_newest_stamp(
    tmp_path: Path,
) -> None:
    recording = Recording()
    for ms, topic, type_, content in Recording().run().messages:
        time_ms = -START_MS if 'camera' in topic else ms - START_MS + 5000
        recording.messages.append((ms, topic, type_, stamped(content, time_ms)))
    data, [result] = convert([recording.write(tmp_path / 'bag.mcap')], tmp_path / 'set')
    assert lengths(data) == [39]
    # The newest stamp before a picture that came 20 ms late.
    assert data.values('observation.state')[0, 0] == pytest.approx(at(20)['x'], abs=1e-6)
    assert result.samples.report.jump_count == 0


@pytest.mark.parametrize(
    ('clock', 'said'),
    [
        (lambda ms: ms + 300, "of 'corner2' (/camera/corner2/image) are 0.28 s ahead of the times"),
        (lambda ms: ms * 1.05, 'drift by +50 ms each second against the times of recording'),
        (lambda ms: ms - 500, 'are 0.52 s behind the times of recording; where that is its clock'),
        (lambda ms: ms + 7000 - START_MS, 'are of another clock, 1699999993.020 s behind'),
    ],
    ids=['ahead', 'drifting', 'behind', 'since boot'],
)
def test_a_camera_on_another_clock_is_named_with_its_offset(
    tmp_path: Path, clock: Callable[[float], float], said: str
) -> None:
    bag = Recording().run(stop=3000, picture=picture(clock)).write(tmp_path / 'bag.mcap')
    [warning] = warnings(bag)
    assert said in warning
    # Nothing is said of a bag in which all is well.
    assert warnings(Recording().run().write(tmp_path / 'well.mcap')) == []


def test_a_simulated_clock_that_all_streams_share_is_no_fault(tmp_path: Path) -> None:
    recording = Recording()
    for ms, topic, type_, content in Recording().run(stop=3000).messages:
        # At 0.4 of real time, from 7 s on.
        recording.messages.append((ms, topic, type_, stamped(content, 0.4 * ms + 7000 - START_MS)))
    assert warnings(recording.write(tmp_path / 'bag.mcap')) == []


def test_an_offset_puts_a_clock_that_is_ahead_right(tmp_path: Path) -> None:
    bag = Recording().run(picture=picture(lambda ms: ms + 300)).write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set', offsets_s={'corner2': -0.3})
    assert first_ms(data) == [0]
    assert data.values('observation.state')[0, 0] == pytest.approx(at(0)['x'])
    assert warnings(bag, offsets_s={'corner2': -0.3}) == []
    wrong, _ = convert([bag], tmp_path / 'wrong')
    assert wrong.values('observation.state')[0, 0] == pytest.approx(at(300)['x'])


def test_an_offset_of_a_state_stream_moves_its_states(tmp_path: Path) -> None:
    offsets = {'joint_states': -0.1, 'ee_pose': -0.1}
    bag = Recording().run().write(tmp_path / 'bag.mcap')
    data, _ = convert([bag], tmp_path / 'set', offsets_s=offsets)
    assert data.values('observation.state')[0, 0] == pytest.approx(at(100)['x'])


@pytest.mark.parametrize(
    ('offset', 'said'),
    [
        ('head=1', "unknown stream to offset: 'head'. Valid: corner2, ee_pose, joint_states"),
        ('corner2=nan', "the offset of stream 'corner2' is nan, not a time in s"),
    ],
)
def test_a_wrong_offset_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], offset: str, said: str
) -> None:
    bag = Recording().run(stop=300).write(tmp_path / 'bag.mcap')
    command = f'dataset from-bag {bag} --arm sawyer_sim --fps 20 --task move --output'.split()
    assert main([*command, str(tmp_path / 'set'), '--offset', offset]) == 2
    assert said in capsys.readouterr().err


def test_a_reset_between_two_runs_of_a_task_parts_them(tmp_path: Path) -> None:
    recording = Recording().run()
    for ms in range(2000, 4000, 10):
        recording.add(ms, '/joint_states', joints(ms, at(ms - 2000)))
        recording.add(ms, '/ee_pose', pose(ms, at(ms - 2000)))
    for ms in range(2000, 4000, 50):
        recording.add(ms + 20, '/camera/corner2/image', image(ms))
    data, [result] = convert([recording.write(tmp_path / 'bag.mcap')], tmp_path / 'set')
    assert lengths(data) == [39, 39]
    assert result.samples.report.breaks == {"joint 'right_j0' jumped, as where a scene is reset": 1}


def test_motion_beyond_the_limits_of_the_contract_is_no_jump(tmp_path: Path) -> None:
    def fast(ms: float) -> dict[str, float]:
        # Up to 33 rad/s at the last joint, more than seven times its limit.
        phase = np.clip((ms - 500) / 200, 0.0, 1.0)
        return {**at(ms), 'joint': float(0.3 - 0.3 * np.cos(np.pi * phase))}

    recording = Recording()
    for ms in range(0, 2000, 10):
        recording.add(ms, '/joint_states', joints(ms, fast(ms))).add(
            ms, '/ee_pose', pose(ms, at(ms))
        )
    for ms in range(0, 2000, 50):
        recording.add(ms + 20, '/camera/corner2/image', image(ms))
    data, [result] = convert([recording.write(tmp_path / 'bag.mcap')], tmp_path / 'set')
    assert lengths(data) == [39]
    assert result.samples.report.breaks == {}


def test_one_unmarked_episode_comes_with_a_hint(tmp_path: Path) -> None:
    recording = Recording().run().add(0, '/instruction', said('move'))
    recording.add(1000, '/instruction', said('move'))
    recording.add(1, '/button', message('std_msgs/msg/Bool', data=True))
    bag = recording.write(tmp_path / 'bag.mcap')
    data, [result] = convert([bag], tmp_path / 'set', task=None)
    assert lengths(data) == [39]
    assert result.samples.episode_hint(result.episodes) == (
        'the bag became one episode, though its task was said 2 times. If it holds several, name '
        'what parts them with --episodes-by (in the bag: /button)'
    )
    _, [marked] = convert([bag], tmp_path / 'marked', episodes_by='/button')
    assert marked.samples.episode_hint(marked.episodes) == ''


@pytest.mark.parametrize('clock', [False, True], ids=['recorded at 0', '/clock 0 once'])
def test_a_replay_steps_over_a_first_message_without_a_time(tmp_path: Path, clock: bool) -> None:
    recording = Recording().run()
    if clock:
        for ms in (-1, *range(0, 2000, 10)):
            time_ms = ms if ms >= 0 else -START_MS
            content = stamped(joints(0, at(0)), time_ms).header.stamp
            recording.add(ms, '/clock', message('rosgraph_msgs/msg/Clock', clock=content))
    recording.add(-START_MS, '/instruction', said('move'))
    bag_path, output = recording.write(tmp_path / 'bag.mcap'), tmp_path / 'p.mcap'
    with Bag(bag_path) as bag, BagWriter(output) as writer:
        predictions = Predictions(writer, ARM.base_frame)
        done = Replay(
            bag, ARM, load_chunk_policy('hold', LoadOptions()), predictions, stopwatch=lambda: 0.0
        )
        done.run()
        [warning] = [text for text in bag.warnings if 'jumped' in text]
    assert warning.endswith('the clock jumped ahead from 0.000 s to 1700000000.000 s')
    assert (len(done.trace.chunk_stamps), done.trace.stalls) == (16, [])
    assert done.trace.start_ns == START_MS * MS


def test_states_of_a_broken_driver_are_compared_without_overflow() -> None:
    jumps = StateJumps(ARM)
    found = []
    for number, x in enumerate((0.0, 1e308, -1e308, 0.0)):
        pose = Pose(np.array([x, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 1.0]))
        joints = dict.fromkeys(JOINTS, 0.0)
        found.append(jumps.check(RobotState(number * 10**7, pose, 0.5, joints)))
    assert found == ['', '', 'the end effector', '']
