from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.bags.resampling import Break, Resampler, Sample
from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.commands import Command, Target
from robomamba_ros.types import NANOSECONDS, Pose, RobotState

MS = 1_000_000
DT = 50 * MS
BUDGET = 200 * MS
UPRIGHT = np.array([0.0, 0.0, 0.0, 1.0])
TASK = (0, 'task')


def state(stamp_ns: int) -> RobotState:
    """Return a state whose x and joint are its time [s]."""
    time_s = stamp_ns / NANOSECONDS
    return RobotState(stamp_ns, Pose(np.array([time_s, 0, 0]), UPRIGHT), 0.5, {'j': time_s})


def image(stamp_ns: int) -> Any:
    return lambda: np.full((2, 2, 3), stamp_ns // MS % 251, np.uint8)


def command(stamp: int) -> Command:
    return Command(lambda _: Target(joints={'j': stamp}), stamp * MS)


def resampler(cameras: Iterable[str] = ('top',), parts: tuple[str, ...] = ()) -> Resampler:
    made = Resampler(DT, dict.fromkeys(cameras, BUDGET), BUDGET, parts)
    made.set_label(TASK)
    return made


def feed(
    made: Resampler,
    images: Iterable[int],
    states: Iterable[int],
    camera: str = 'top',
    lag_ms: int = 0,
) -> list[Sample | Break]:
    """Give images and states, stamps in ms, in the order in which they would arrive."""
    events = [(stamp + lag_ms, 0, stamp) for stamp in images] + [(s, 1, s) for s in states]
    found: list[Sample | Break] = []
    for _, kind, stamp in sorted(events):
        if kind:
            made.add_state(state(stamp * MS))
        else:
            made.add_image(camera, stamp * MS, image(stamp * MS))
        found += made.samples()
    return found


def ticks(found: Iterable[Sample | Break]) -> list[int | None]:
    return [each.stamp_ns // MS if isinstance(each, Sample) else None for each in found]


def test_streams_of_the_rate_come_out_as_they_are() -> None:
    found = feed(resampler(), range(1000, 2000, 50), range(1000, 2000, 50))
    # The last one has no state after it yet.
    assert ticks(found) == list(range(1000, 1950, 50))
    for each in found:
        assert isinstance(each, Sample)
        assert each.images['top'][0, 0, 0] == each.stamp_ns // MS % 251
        assert each.state.stamp_ns == each.stamp_ns
        assert each.next_state.stamp_ns == each.stamp_ns + DT
        assert each.label == TASK


def test_states_are_interpolated_and_images_are_the_newest_not_after() -> None:
    made = resampler()
    found = feed(made, range(1000, 1400, 33), range(993, 1400, 7))
    assert ticks(found) == [1000, 1050, 1100, 1150, 1200, 1250, 1300]
    for each in found:
        assert isinstance(each, Sample)
        assert each.state.joints['j'] == pytest.approx(each.stamp_ns / NANOSECONDS)
        assert each.next_state.pose.position[0] == pytest.approx((each.stamp_ns + DT) / 1e9)
    # 1033, 1099, 1132 (1165 is more than a quarter of a step late), 1198, 1231, 1297
    shown = [each.images['top'][0, 0, 0] for each in found if isinstance(each, Sample)]
    assert shown == [stamp % 251 for stamp in (1000, 1033, 1099, 1132, 1198, 1231, 1297)]
    assert made.report.repeats['top'] == 0
    assert made.report.ages_ns['top'] == (17 + 1 + 18 + 2 + 19 + 3) * MS


def test_jitter_costs_no_image() -> None:
    jitter = np.random.default_rng(0).integers(-5, 6, 200)
    made = resampler()
    feed(made, [1000, *(1050 + 50 * np.arange(200) + jitter)], range(900, 11_100, 10))
    assert ticks(made.samples(final=True)) == [11_000]
    assert made.report.samples == 201
    assert made.report.repeats['top'] == 0


@pytest.mark.parametrize('lag_ms', [0, 30, 150])
def test_late_arrival_changes_nothing(lag_ms: int) -> None:
    once = feed(resampler(), range(1000, 3000, 40), range(990, 3100, 10))
    late = feed(resampler(), range(1000, 3000, 40), range(990, 3400, 10), lag_ms=lag_ms)
    assert ticks(late)[: len(once)] == ticks(once)
    for one, other in zip(once, late, strict=False):
        assert isinstance(one, Sample)
        assert isinstance(other, Sample)
        assert (one.images['top'] == other.images['top']).all()


def test_a_camera_that_stops_ends_the_episode_when_its_image_is_too_old() -> None:
    made = resampler()
    images = [*range(1000, 1500, 50), *range(2010, 2300, 50)]
    found = feed(made, images, range(1000, 2800, 10))
    # The image of 1450 serves until 1650; then the next image begins an episode at its stamp.
    assert ticks(found) == [
        *range(1000, 1651, 50),
        None,
        *range(2010, 2461, 50),
        None,
    ]
    assert made.report.repeats['top'] == 4 + 4
    reason = "no image of camera 'top' within 0.2 s"
    assert made.report.breaks == {reason: 2}


def test_states_too_far_apart_end_the_episode() -> None:
    made = resampler()
    states = [*range(1000, 1500, 10), *range(1800, 2400, 10)]
    found = feed(made, range(1000, 2400, 50), states)
    assert ticks(found) == [*range(1000, 1401, 50), None, *range(1800, 2301, 50)]
    assert made.report.breaks == {'no states of the arm within 0.2 s of each other': 1}


def test_what_comes_out_of_order_is_left_out_and_counted() -> None:
    made = resampler()
    found = feed(made, range(1000, 1400, 50), range(1000, 1500, 10))
    made.add_image('top', 1150 * MS, image(0))
    made.add_state(state(1100 * MS))
    assert made.report.late == {'top': 1, 'states': 1}
    assert ticks(found) == list(range(1000, 1301, 50))


def test_a_clock_that_starts_over_begins_an_episode() -> None:
    made = resampler()
    first = feed(made, range(50_000, 50_500, 50), range(50_000, 50_500, 10))
    second = feed(made, range(1000, 1300, 50), range(1000, 1300, 10))
    found = [*first, *second]
    assert ticks(found) == [*range(50_000, 50_450, 50), None, *range(1000, 1250, 50)]
    assert made.report.breaks == {'the clock went back': 1}


def test_a_clock_that_jumps_ahead_is_not_walked_tick_by_tick() -> None:
    day = 86_400_000
    made = resampler()
    found = feed(made, range(0, 250, 50), range(0, 250, 50))
    found += feed(made, range(day, day + 250, 50), range(day, day + 250, 50))
    assert ticks(found) == [*range(0, 200, 50), None, *range(day, day + 200, 50)]
    assert made.report.breaks == {'the clock jumped ahead': 1}
    assert made.report.missing == {}
    assert made.report.jumps == [(200 * MS, day * MS)]


def test_clocks_that_jump_with_every_message_are_counted_and_a_few_are_said() -> None:
    made = resampler()
    for k in range(1000):
        time_ms = 10**9 * (k % 2) + 20 * k
        feed(made, [time_ms], [time_ms])
    assert made.report.jump_count > 400
    assert len(made.report.describe_jumps()) == 6


def test_a_camera_that_is_silent_costs_no_memory() -> None:
    made = resampler(('top', 'wrist'))
    feed(made, range(0, 60_000, 50), range(0, 60_000, 10))
    kept = [len(stream._entries) for stream in (made._images['top'], made._states)]
    assert kept == [25, 121]


def test_no_sample_spans_a_jump_of_the_arm() -> None:
    made = resampler()
    for stamp in range(1000, 1500, 10):
        made.add_state(state(stamp * MS), "joint 'j'" if stamp == 1260 else '')
        if stamp % 50 == 0:
            made.add_image('top', stamp * MS, image(stamp * MS))
    found = list(made.samples(final=True))
    # A frame at 1200 says where the arm is at 1250, which is before the jump.
    assert ticks(found) == [*range(1000, 1201, 50), None, *range(1300, 1401, 50)]
    assert made.report.missing == {"joint 'j' jumped, as where a scene is reset": 1}


def test_labels_cut_and_hold_from_their_time_on() -> None:
    made = Resampler(DT, {'top': BUDGET}, BUDGET)
    made.set_label(None)
    found = feed(made, range(1000, 1300, 50), range(1000, 1300, 10))
    made.set_label((1, 'one'))  # from 1290, the newest stamp, on
    found += feed(made, range(1300, 1600, 50), range(1300, 1600, 10))
    made.set_label((2, 'two'))  # from 1590 on
    found += feed(made, range(1600, 1800, 50), range(1600, 1800, 10))
    made.set_label(None)  # from 1790 on
    found += feed(made, range(1800, 2000, 50), range(1800, 2000, 10))
    assert ticks(found) == [*range(1300, 1600, 50), None, *range(1600, 1800, 50), None]
    labels = [each.label for each in found if isinstance(each, Sample)]
    assert labels == [(1, 'one')] * 6 + [(2, 'two')] * 4


def test_every_camera_is_needed() -> None:
    made = resampler(('top', 'wrist'))
    assert feed(made, range(1000, 2000, 50), range(1000, 2000, 10)) == []
    for stamp in range(1020, 1400, 50):
        made.add_image('wrist', stamp * MS, image(stamp * MS))
    found = list(made.samples(final=True))
    # Ticks are at images of the first camera; the other one's is 30 ms old, then too old.
    assert ticks(found) == [*range(1050, 1551, 50), None]
    assert made.report.ages_ns['wrist'] == (8 * 30 + 80 + 130 + 180) * MS


def test_an_image_that_cannot_be_decoded_breaks() -> None:
    def broken() -> Any:
        raise ObservationError('7 bytes cannot be decoded')

    made = resampler()
    feed(made, range(1000, 1200, 50), range(1000, 1200, 10))
    made.add_image('top', 1200 * MS, broken)
    found = feed(made, range(1250, 1400, 50), range(1200, 1400, 10))
    assert ticks(found) == [1150, None, 1250, 1300]
    assert made.report.breaks == {'7 bytes cannot be decoded': 1}


def test_commands_hold_until_the_next_one() -> None:
    made = resampler(parts=('arm',))
    feed(made, [1000], [1000])
    for stamp in (1075, 1110):
        made.add_command('arm', stamp * MS, command(stamp))
    found = [*feed(made, range(1050, 1500, 50), range(1010, 1500, 10)), *made.samples(final=True)]
    assert ticks(found)[:3] == [1100, 1150, 1200]
    assert made.report.missing == {'no command to the arm yet': 2}
    pairs = [
        (each.targets['arm'].joints['j'], each.next_targets['arm'].joints['j'])
        for each in found
        if isinstance(each, Sample)
    ]
    assert pairs[:3] == [(1075, 1110), (1110, 1110), (1110, 1110)]


@pytest.mark.parametrize('part', ['arm', 'gripper'])
def test_a_stream_of_commands_that_stops_ends_the_episode(part: str) -> None:
    made = resampler(parts=(part,))
    made.add_command(part, 1000 * MS, command(1000))
    found = [*feed(made, range(1000, 2500, 50), range(1000, 2500, 10)), *made.samples(final=True)]
    # A gripper is told once; an arm is told where to be all the time.
    assert (
        ticks(found)
        == [*range(1000, 2401 if part == 'gripper' else 1451, 50), None][
            : None if part == 'arm' else -1
        ]
    )
    reason = {'no command to the arm within 0.5 s': 1} if part == 'arm' else {}
    assert made.report.breaks == reason


def test_the_end_gives_what_is_there() -> None:
    made = resampler()
    assert ticks(feed(made, [1000, 1050, 1100], [1000, 1050, 1100])) == [1000, 1050]
    made.add_state(state(1160 * MS))
    assert ticks(made.samples(final=True)) == [1100]
    assert list(made.samples(final=True)) == []
    assert made.report.missing == {}


stamps = st.lists(st.integers(0, 3000), min_size=1, max_size=60).map(sorted)


@settings(deadline=None, max_examples=60)
@given(stamps, stamps, st.integers(0, 300))
def test_samples_keep_their_rules_for_any_streams(
    images: list[int], states: list[int], lag_ms: int
) -> None:
    made = resampler()
    found = [*feed(made, images, states, lag_ms=lag_ms), *made.samples(final=True)]
    last: int | None = None
    for each in found:
        if isinstance(each, Break):
            assert last is not None
            last = None
            continue
        tick = each.stamp_ns // MS
        assert last is None or tick == last + 50
        last = tick
        shown = [stamp for stamp in images if stamp <= tick + 12.5]
        assert tick - max(shown) <= 200
        assert any(stamp % 251 == each.images['top'][0, 0, 0] for stamp in shown)
        before = max(stamp for stamp in states if stamp <= tick)
        after = min(stamp for stamp in states if stamp >= tick)
        assert after - before <= 200
        assert each.state.joints['j'] == pytest.approx(tick / 1000)
