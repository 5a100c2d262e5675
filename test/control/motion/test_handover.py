"""Where a trajectory takes over from the one before it."""

from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.control.motion.handover import Handover, Quintic
from robomamba_ros.control.motion.trajectory import Trajectory
from robomamba_ros.robots.parts import Joint
from robomamba_ros.types import NANOSECONDS

PERIOD_NS, LEAD_NS = 10_000_000, 40_000_000
PERIOD_S = PERIOD_NS / 1e9
JOINTS = [Joint('pan', 'arm', (-1.0, 1.0), 2.0, 5.0, 100.0, None)]
NOW = 3_000_000_000


def spline(commands: list[float]) -> Trajectory:
    """Return the points of commands, the first and the last of which are there for ever."""
    c = np.array([commands[0], *commands, commands[-1], commands[-1]])[:, None]
    before, here, after = c[:-2], c[1:-1], c[2:]
    times_ns = tuple(NOW + PERIOD_NS * i for i in range(len(here)))
    return Trajectory(
        times_ns,
        (before + 4 * here + after) / 6,
        (after - before) / (2 * PERIOD_S),
        (after - 2 * here + before) / PERIOD_S**2,
    )


def ramp(acceleration: float, count: int) -> list[float]:
    return (0.5 * acceleration * (PERIOD_S * np.arange(count)) ** 2).tolist()


@pytest.fixture
def handover() -> Handover:
    return Handover(JOINTS, [0], PERIOD_NS, LEAD_NS)


def test_a_quintic_has_the_derivatives_of_both_ends_and_stays_in_the_hull_of_its_points():
    random = np.random.default_rng(2)
    start, end = random.normal(size=(2, 3, 4))
    way = Quintic(start, end, 0.7)
    np.testing.assert_allclose(way.at(0.0), start)
    np.testing.assert_allclose(way.at(0.7), end)
    positions, *hulls = way.derivatives()
    times = np.linspace(0.0, 0.7, 201)
    path = np.array([way.at(time) for time in times])
    for order, hull in enumerate((positions, *hulls[:2])):
        assert (path[:, order] <= hull.max(axis=0) + 1e-9).all()
        assert (path[:, order] >= hull.min(axis=0) - 1e-9).all()
    # Each is the derivative of the one before.
    for order in range(2):
        slopes = np.gradient(path[:, order], times, axis=0)[1:-1]
        np.testing.assert_allclose(slopes, path[1:-1, order + 1], atol=2e-2)
    jerk = np.gradient(path[:, 2], times, axis=0)[1:-1]
    assert (jerk <= hulls[2].max(axis=0) + 1e-6).all()


def test_on_a_steady_way_the_first_point_lies_the_lead_ahead(handover):
    way = spline(ramp(2.0, 30))
    handover.begin(way, NOW)
    later_ns = NOW + 10 * PERIOD_NS
    times_ns, points = handover.begin(way, later_ns)
    assert times_ns[0] == later_ns + LEAD_NS
    assert len(points) == len(times_ns) == len([t for t in way.times_ns if t >= times_ns[0]])
    assert points.shape[1:] == (3, 1)


def test_where_the_way_turns_within_the_lead_the_first_point_is_nearer(handover):
    # 5 rad/s^2 to and fro by the whole jerk: no quintic over four periods of that can keep it.
    up = [1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    accelerations = np.array([*up, *(-a for a in up)])
    velocities = np.cumsum(accelerations) * PERIOD_S
    commands = [0.0, 0.0, *(np.cumsum(velocities) * PERIOD_S)]
    way = spline([*commands, *commands[::-1]])
    handover.begin(way, NOW)
    leads = []
    for i in range(1, 30):
        times_ns, _ = handover.begin(way, NOW + i * PERIOD_NS)
        leads.append((times_ns[0] - NOW) // PERIOD_NS - i)
    assert set(leads) == {1, 2, 3, 4}


def test_half_a_period_is_the_nearest(handover):
    way = spline(ramp(2.0, 30))
    handover.begin(way, NOW)
    short = Handover(JOINTS, [0], PERIOD_NS, 1_000_000)
    for late_ns, first in ((0, 1), (4_000_000, 1), (6_000_000, 2)):
        times_ns, _ = short.begin(way, NOW + late_ns)
        assert times_ns[0] == NOW + first * PERIOD_NS


def test_a_rest_elsewhere_is_taken_the_time_that_limits_ask_for(handover):
    rest = spline([0.0])
    handover.begin(rest, NOW)
    moved = Trajectory((NOW,), np.array([[0.3]]), np.zeros((1, 1)), np.zeros((1, 1)))
    (time_ns,), _ = handover.begin(moved, NOW + LEAD_NS)
    # From rest to rest a quintic accelerates by 10 / sqrt(3) times the way by the time squared; its
    # bound is a little above that.
    lead_s = (time_ns - NOW - LEAD_NS) / 1e9
    most = 10.0 / np.sqrt(3.0) * 0.3
    assert most / lead_s**2 < 5.0 < 1.2 * most / (lead_s / 2) ** 2


def test_a_controller_that_is_elsewhere_comes_onto_the_way_beyond_the_lead(handover):
    handover.begin(spline([0.0]), NOW - NANOSECONDS)
    rest = spline([0.002] * 40)
    moved = Trajectory((NOW,), *(each[:1] for each in (rest.positions, rest.velocities)), [[0.0]])
    (arrival_ns,), _ = handover.begin(moved, NOW)
    assert arrival_ns == NOW + 4 * LEAD_NS
    # It is on its way there for 120 ms more, and in 40 ms could not do it.
    times_ns, _ = handover.begin(rest, NOW + LEAD_NS)
    assert NOW + 2 * LEAD_NS < times_ns[0] <= arrival_ns


@pytest.mark.parametrize('sag', [-0.02, 0.001, 0.02])
def test_a_controller_that_was_sent_nothing_yet_may_want_the_joints_elsewhere(handover, sag):
    (arrival_ns,), points = handover.begin(spline([0.5]), NOW)
    start = np.array([[0.5 + sag], [0.0], [0.0]])
    way = Quintic(start, points[0], (arrival_ns - NOW) / NANOSECONDS)
    assert handover._share(way) <= 1.0


def test_what_has_passed_ends_at_its_rest(handover):
    way = spline(ramp(1.0, 10))
    handover.begin(way, NOW)
    times_ns, points = handover.begin(way, NOW + 10**9)
    assert times_ns == [NOW + 10**9 + LEAD_NS]
    assert points[0, 0] == pytest.approx(ramp(1.0, 10)[-1])
