"""The documented rules of ros2_controllers' joint_trajectory_controller, each with numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest

from robomamba_ros.errors import ActionError
from robomamba_ros.simulation.trajectory_controller import (
    JointTrajectory,
    TrajectoryController,
    TrajectoryPoint,
)
from robomamba_ros.types import NANOSECONDS

NAMES = ('pan', 'lift')
START = np.array([0.5, -0.5])
NOW = 100 * NANOSECONDS


def ns(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def point(time_s, positions, velocities=None, accelerations=None) -> TrajectoryPoint:
    arrays = (None if v is None else np.array(v, float) for v in (velocities, accelerations))
    return TrajectoryPoint(ns(time_s), np.array(positions, float), *arrays)


def trajectory(*points, stamp_ns=0, names=NAMES) -> JointTrajectory:
    return JointTrajectory(stamp_ns, names, points)


@pytest.fixture
def controller() -> TrajectoryController:
    return TrajectoryController(NAMES, START, NOW)


def send(controller, sent, at_s=0.0, measured=START) -> None:
    still = np.zeros(2)
    controller.accept(sent, NOW + ns(at_s), TrajectoryPoint(NOW + ns(at_s), measured, still))


def at(controller, *times_s) -> np.ndarray:
    return np.array([controller.step(NOW + ns(t), START) for t in times_s])


# What is followed


def test_stamp_zero_starts_on_receipt_and_the_last_point_is_held(controller):
    send(controller, trajectory(point(1.0, [1.5, 0.5])))
    assert at(controller, 0.0, 0.25, 0.5)[:, 0].tolist() == [0.5, 0.75, 1.0]
    assert not controller.arrived
    assert at(controller, 1.0, 7.0).tolist() == [[1.5, 0.5], [1.5, 0.5]]
    assert controller.arrived


def test_joints_come_in_any_order(controller):
    send(controller, trajectory(point(1.0, [7.0, 8.0], [0, 0]), names=('lift', 'pan')))
    assert at(controller, 1.0)[0].tolist() == [8.0, 7.0]


def test_positions_alone_are_joined_by_lines_on_which_velocity_jumps(controller):
    send(controller, trajectory(point(1.0, [1.5, 0.5]), point(2.0, [0.5, 0.5])))
    pan = at(controller, 0.9, 1.0, 1.1)[:, 0]
    np.testing.assert_allclose(pan, [1.4, 1.5, 1.4])


def test_positions_and_velocities_are_joined_by_a_cubic(controller):
    # From rest at 0.5 to 1.5 with velocity 2, then to rest: the cubic of Hermite.
    send(
        controller,
        trajectory(point(1.0, [1.5, 0.5], [2.0, 0.0]), point(2.0, [3.0, 0.5], [0.0, 0.0])),
    )
    assert at(controller, 0.5)[0, 0] == pytest.approx(0.5 + 0.5 - 2.0 / 8)
    step = 1e-6
    before, here, after = at(controller, 1.0 - step, 1.0, 1.0 + step)[:, 0]
    assert here == pytest.approx(1.5)
    assert (here - before) / step == pytest.approx(2.0, abs=1e-4)
    assert (after - here) / step == pytest.approx(2.0, abs=1e-4)


def test_with_accelerations_the_way_is_quintic_and_acceleration_is_continuous(controller):
    still = point(1.0, [1.5, 0.5], [0, 0], [0, 0])
    send(controller, trajectory(still, point(2.0, [2.5, 0.5], [0, 0], [0, 0])))
    # The quintic from rest to rest passes 10 t^3 - 15 t^4 + 6 t^5.
    assert at(controller, 1.25)[0, 0] == pytest.approx(1.5 + 0.103515625)
    step = 1e-3
    path = at(controller, *(1.0 + step * np.arange(-3, 4)))[:, 0]
    assert np.abs(np.diff(path, n=2) / step**2).max() < 0.3


def test_a_first_point_at_zero_is_a_step(controller):
    send(controller, trajectory(point(0.0, [2.0, 2.0], [0, 0]), point(1.0, [3.0, 2.0], [0, 0])))
    assert at(controller, 0.0)[0].tolist() == [2.0, 2.0]


def test_a_stamp_ahead_is_awaited_and_its_first_point_approached_from_here(controller):
    sent = trajectory(point(1.0, [1.5, 0.5]), point(2.0, [1.5, 0.5]), stamp_ns=NOW + ns(1.0))
    send(controller, sent)
    assert at(controller, 1.0, 2.0)[:, 0].tolist() == [1.0, 1.5]


def test_of_a_stamp_that_has_passed_the_rest_is_followed_after_a_step(controller):
    sent = trajectory(point(1.0, [1.5, 0.5]), point(3.0, [3.5, 0.5]), stamp_ns=NOW - ns(2.0))
    send(controller, sent)
    assert at(controller, 0.0, 0.5, 1.0)[:, 0].tolist() == [2.5, 3.0, 3.5]


def test_the_way_to_a_first_point_ahead_begins_here_though_the_stamp_has_passed(controller):
    send(controller, trajectory(point(3.0, [1.5, 0.5]), stamp_ns=NOW - ns(2.0)))
    assert at(controller, 0.5)[0, 0] == 1.0


def test_a_new_trajectory_replaces_the_whole_old_one_from_the_desired_state(controller):
    send(controller, trajectory(point(1.0, [1.5, 0.5], [1.0, 0.0]), point(3, [9, 9], [0, 0])))
    at(controller, 0.9)
    before = at(controller, 1.0)[0]
    send(controller, trajectory(point(1.0, [2.5, 0.5], [0.0, 0.0])), 1.0, measured=START)
    after = at(controller, 1.0 + 1e-6)[0]
    assert (after - before)[0] / 1e-6 == pytest.approx(1.0, abs=1e-3)
    assert at(controller, 2.0, 3.0)[:, 0].tolist() == [2.5, 2.5]


def test_without_the_desired_state_it_begins_where_the_joints_are_measured():
    controller = TrajectoryController(NAMES, START, NOW, from_desired=False)
    send(controller, trajectory(point(1.0, [1.5, 0.5])))
    assert at(controller, 0.5)[0, 0] == 1.0
    # They lag: the new trajectory pulls them back.
    send(controller, trajectory(point(1.0, [1.5, 0.5])), 0.5, measured=np.array([0.8, -0.2]))
    assert at(controller, 0.5)[0].tolist() == [0.8, -0.2]


def test_what_is_measured_without_acceleration_is_left_by_a_quintic_too():
    controller = TrajectoryController(NAMES, START, NOW, from_desired=False)
    send(controller, trajectory(point(1.0, [1.5, 0.5], [0, 0], [0, 0])))
    # From rest to rest: 10 t^3 - 15 t^4 + 6 t^5, where a cubic is at 3 t^2 - 2 t^3.
    assert at(controller, 0.25)[0, 0] == pytest.approx(0.5 + 0.103515625)


# What is rejected

ENDS = [
    ((trajectory(point(1.0, [1.0]), names=('pan',))), 'not those of the controller: pan, lift'),
    (trajectory(point(1, [1, 1]), names=('pan', 'roll')), r'\(pan, roll\) are not those'),
    (trajectory(point(1, [1, 1]), names=('pan', 'pan')), r'\(pan, pan\) are not those'),
    (trajectory(point(1.0, []), names=()), r'\(none\) are not those'),
    (trajectory(), 'has no points'),
    (trajectory(point(1, [1, 1]), point(1, [2, 2])), r'points 0 and 1 .* increasing: 1.000000 s'),
    (trajectory(point(1, [1, 1], [0, 1e-3])), 'velocity of lift at the last point is 0.001, not 0'),
    (trajectory(point(1, [1])), 'point 0 has 1 positions for 2 joints'),
    (trajectory(point(1, [1, 1], [0])), 'point 0 has 1 velocities for 2 joints'),
    (trajectory(point(1, [1, np.nan])), 'positions that are not finite'),
    (trajectory(point(1, [1, 1], None, [0, 0])), 'accelerations and no velocities'),
    (trajectory(point(1, [1, 1]), stamp_ns=NOW - ns(1.5)), 'ended 0.500 s ago'),
]


@pytest.mark.parametrize(('sent', 'reason'), ENDS)
def test_what_a_controller_rejects_leaves_it_on_its_way(controller, sent, reason):
    send(controller, trajectory(point(1.0, [1.5, 0.5])))
    with pytest.raises(ActionError) as error:
        send(controller, sent)
    assert re.search(reason, str(error.value))
    assert at(controller, 0.5)[0, 0] == 1.0


def test_velocities_only_at_the_last_point_count(controller):
    send(controller, trajectory(point(1, [1, 1], [3, 3]), point(2, [1, 1], [0, 1e-8])))
    assert at(controller, 2.0)[0].tolist() == [1.0, 1.0]
