from __future__ import annotations

import numpy as np
import pytest

from robomamba_ros.robots.parts import CartesianLimits, Joint, Workspace
from robomamba_ros.simulation.limit_record import JointRecord, PoseRecord
from robomamba_ros.spatial.transforms import move_in_base
from robomamba_ros.types import Pose

PERIOD = 0.01
JOINTS = [
    Joint('pan', 'arm', (-1.0, 1.0), 1.0, 10.0, 1000.0, 0.0),
    Joint('wheel', 'arm', (-np.inf, np.inf), 2.0, 20.0, None, None),
]


@pytest.fixture
def record() -> JointRecord:
    return JointRecord(JOINTS, PERIOD, np.zeros(2))


def test_motion_at_its_limits_keeps_them(record):
    # Jerk 1000 for one period builds the acceleration of 10 that ten periods hold, up to 1 rad/s.
    velocity = np.minimum(np.arange(1, 31) * 10.0 * PERIOD, 1.0)
    for pan in np.cumsum(velocity * PERIOD):
        record.add(np.array([pan, 2.0 * pan]))
    shares = {name: peak.share for name, peak in record.peaks.items()}
    assert shares['velocity'] == pytest.approx(1.0)
    assert shares['acceleration'] == pytest.approx(1.0)
    assert shares['jerk'] == pytest.approx(1.0)
    assert not any(peak.exceeded for peak in record.peaks.values())


@pytest.mark.parametrize(
    ('path', 'quantity', 'name', 'share'),
    [
        ([[0.0, 0.021]], 'velocity', 'wheel', 1.05),
        # From rest to 0.15 rad/s in one period.
        ([[0.0015, 0.0]], 'acceleration', 'pan', 1.5),
        # 7 rad/s^2 to and 7 back: what changes in the second period is 1.4 times the jerk.
        ([[0.0007, 0.0], [0.0007, 0.0]], 'jerk', 'pan', 1.4),
        # Outside, the share goes on from 1 by the distance.
        ([[1.25, 0.0]], 'position', 'pan', 1.25),
        ([[-1.25, 0.0]], 'position', 'pan', 1.25),
    ],
)
def test_a_violation_is_kept_with_its_joint(record, path, quantity, name, share):
    for positions in path:
        record.add(np.array(positions))
    peak = record.peaks[quantity]
    assert (peak.name, peak.exceeded) == (name, True)
    assert peak.share == pytest.approx(share)
    for _ in range(5):
        record.add(np.array(path[-1]))
    assert record.peaks['velocity'].share >= 1e-3
    assert record.peaks[quantity].share >= share - 1e-9


def test_one_end_is_enough_for_a_violation():
    joint = Joint('slide', 'arm', (0.0, np.inf), 1.0, 1.0, None, None)
    record = JointRecord([joint], PERIOD, np.zeros(1))
    record.add(np.array([50.0]))
    assert record.peaks['position'].share == 0.0
    record.add(np.array([-0.1]))
    assert record.peaks['position'].exceeded


def test_what_has_no_limit_has_no_peak():
    record = JointRecord(JOINTS[1:], PERIOD, np.zeros(1))
    record.add(np.array([5.0]))
    assert 'jerk' not in record.peaks


LIMITS = CartesianLimits(1.0, 10.0, 10.0, 2.0, 20.0, 20.0, 1000.0)
BOX = Workspace(np.array([-1.0, -1.0, 0.0]), np.array([1.0, 1.0, 2.0]))
START = Pose(np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.0, 1.0]))


def test_an_end_effector_is_judged_by_norms():
    record = PoseRecord(LIMITS, BOX, PERIOD, START)
    pose = START
    # 0.06, 0.08 m/s: together 0.1, gained in one period.
    for _ in range(3):
        pose = move_in_base(pose, np.array([6e-4, 8e-4, 0.0]), np.array([0.0, 1.2e-3, 1.6e-3]))
        record.add(pose)
    peaks = record.peaks
    assert peaks['velocity'].share == pytest.approx(0.1)
    assert peaks['acceleration'].share == pytest.approx(1.0)
    assert peaks['jerk'].share == pytest.approx(1.0)
    assert peaks['rotation_velocity'].value == pytest.approx(0.2)
    assert peaks['rotation_acceleration'].value == pytest.approx(20.0)
    assert 'rotation_jerk' not in peaks
    assert not any(peak.exceeded for peak in peaks.values())


def test_an_end_effector_outside_of_the_workspace_is_a_violation():
    record = PoseRecord(LIMITS, BOX, PERIOD, START)
    record.add(Pose(np.array([0.0, 0.0, -0.1]), START.quaternion))
    assert record.peaks['position'].exceeded
    assert record.peaks['position'].name == 'z'
    assert record.peaks['velocity'].share == pytest.approx(110.0)
