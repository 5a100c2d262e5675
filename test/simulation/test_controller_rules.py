"""Handovers of released joint_trajectory_controllers, against what their compiled sources gave."""

from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.errors import ActionError
from robomamba_ros.simulation.controller_rules import VERSIONS
from robomamba_ros.simulation.trajectory_controller import (
    JointTrajectory,
    TrajectoryController,
    TrajectoryPoint,
)
from robomamba_ros.types import NANOSECONDS

START_NS = 100 * NANOSECONDS
LEAD_S = 0.06
# Speeds in the updates around a message, of a joint that is told to go on with 1 rad/s [rad/s].
AT_1_KHZ = {
    'ideal': (1.0, 1.0, 1.0, 1.0),
    'humble': (1.0, 0.0, 1.0, 1.0),
    'jazzy': (1.0, 2.0, 1.0, 1.0),
    'kilted': (1.0, 2.0, 1.0, 1.0),
    'master': (1.0, 0.0, 1.0, 1.0),
}


def made_up(share):
    """Return the share of a distance that the quintic from rest to rest has made at a share."""
    return 10 * share**3 - 15 * share**4 + 6 * share**5


# One update behind, with 6 to go to the first point; one ahead, with 7 to go, of which the first
# update takes two. Compiled sources: 0 1.04 1.17 of the former and 1.86 .78 of the latter.
BEHIND = 1.0 + np.diff([made_up(k / 6) for k in range(4)])
AHEAD = 1.0 - np.diff([made_up(k / 7) for k in range(6)])
AT_100_HZ = {
    'ideal': (1.0, 1.0, 1.0, 1.0),
    'humble': (1.0, 0.0, *BEHIND[:2]),
    'jazzy': (1.0, AHEAD[0] + AHEAD[1], *AHEAD[2:4]),
    # Its first update goes on from where it was at the last one.
    'master': (1.0, BEHIND[0] - 1.0, *BEHIND[1:3]),
}


def line(now_ns: int, first_s: float) -> JointTrajectory:
    """Return the way at 1 rad/s from START_NS on, from first_s after now_ns, for a second."""
    points = []
    for since_s in np.arange(first_s, first_s + 1.0, 0.01):
        position = (now_ns - START_NS) / NANOSECONDS + since_s
        values = (np.array([value]) for value in (position, 1.0, 0.0))
        points.append(TrajectoryPoint(round(since_s * NANOSECONDS), *values))
    end = points[-1]
    still = TrajectoryPoint(end.time_ns + NANOSECONDS, end.positions, np.zeros(1), np.zeros(1))
    return JointTrajectory(0, ('pan',), (*points, still))


def handed_over(version: str, rate_hz: int, *, from_desired=True, lag=0.0) -> np.ndarray:
    """Return the speeds in the updates around a message that repeats the way."""
    period_ns = NANOSECONDS // rate_hz
    now_ns, start = START_NS, np.zeros(1)
    controller = TrajectoryController(
        ('pan',),
        start,
        now_ns,
        from_desired=from_desired,
        rules=VERSIONS[version],
        period_ns=period_ns,
    )
    here = start
    controller.accept(line(now_ns, LEAD_S), now_ns, TrajectoryPoint(now_ns, start, start))
    at: list[float] = []
    again = round(0.3 * rate_hz)
    for update in range(1, again + 6):
        now_ns += period_ns
        if update == again:
            measured = TrajectoryPoint(now_ns, here - lag, np.ones(1))
            sent_ns = now_ns - period_ns
            controller.accept(line(sent_ns, LEAD_S), sent_ns, measured)
        here = controller.step(now_ns, here)
        at.append(float(here[0]))
    return np.diff(at)[again - 3 : again + 1] * rate_hz


@pytest.mark.parametrize('version', AT_1_KHZ)
def test_a_message_on_the_way_repeats_or_skips_one_update(version):
    np.testing.assert_allclose(handed_over(version, 1000), AT_1_KHZ[version], atol=0.02)


def test_the_quintics_are_those_of_the_compiled_sources():
    np.testing.assert_allclose(BEHIND[:2], [1.04, 1.17], atol=5e-3)
    np.testing.assert_allclose(AT_100_HZ['jazzy'][1:3], [1.86, 0.78], atol=5e-3)


@pytest.mark.parametrize('version', AT_100_HZ)
def test_a_slow_controller_makes_up_for_it_on_the_way_to_the_first_point(version):
    np.testing.assert_allclose(handed_over(version, 100), AT_100_HZ[version], atol=1e-9)


@pytest.mark.parametrize('version', ['humble', 'jazzy'])
def test_from_the_measured_state_a_lag_becomes_a_step_back(version):
    speeds = handed_over(version, 1000, from_desired=False, lag=0.02)
    assert speeds.min() < -15.0


def test_a_controller_that_replaces_goes_on_from_its_desired_state_whatever_it_is_told():
    assert handed_over('master', 1000, from_desired=False, lag=0.02).min() == pytest.approx(
        0.0, abs=1e-3
    )


def test_time_scaling_begins_anew_with_every_message():
    period_ns = NANOSECONDS // 500
    controller = TrajectoryController(
        ('pan',), np.zeros(1), START_NS, rules=VERSIONS['jazzy'], period_ns=period_ns
    )
    controller.scaling = 0.5
    still = TrajectoryPoint(START_NS, np.zeros(1), np.zeros(1))
    controller.accept(line(START_NS, LEAD_S), START_NS, still)
    now_ns, here, path = START_NS, np.zeros(1), []
    for update in range(1, 401):
        now_ns += period_ns
        if update % 50 == 0:
            # What is sent assumes that the arm is as far as its time: 1 rad/s.
            controller.accept(line(now_ns, LEAD_S), now_ns, still)
        here = controller.step(now_ns, here)
        path.append(float(here[0]))
    speeds = np.diff(path) * 500
    # At half the speed it lags by 0.05 rad in the 0.1 s of a chunk and makes up for them at once.
    assert speeds.max() > 1.5
    assert path[-1] == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize('version', VERSIONS)
def test_humble_alone_takes_a_trajectory_that_ends_in_motion_and_stops_dead(version):
    controller = TrajectoryController(('pan',), np.zeros(1), START_NS, rules=VERSIONS[version])
    ends = TrajectoryPoint(NANOSECONDS, np.ones(1), np.ones(1))
    still = TrajectoryPoint(START_NS, np.zeros(1), np.zeros(1))
    sent = JointTrajectory(0, ('pan',), (ends,))
    if version != 'humble':
        with pytest.raises(ActionError, match='velocity of pan at the last point is 1, not 0'):
            controller.accept(sent, START_NS, still)
        return
    controller.accept(sent, START_NS, still)
    times_ns = START_NS + np.array([0.0, 0.98, 0.99, 1.0, 1.01]) * NANOSECONDS
    at = [controller.step(int(now_ns), np.zeros(1))[0] for now_ns in times_ns]
    # On the cubic 2 t^2 - t^3 until the end, and then at once at rest.
    np.testing.assert_allclose(np.diff(at)[1:] * 100, [1.0293, 1.0099, 0.0], atol=1e-9)
