"""What is shown: poses commanded, to come, and given up; bounded, and empty at rest."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from support.made_arms import MADE, write_arm

from robomamba_ros.control.setpoints.preview import Preview
from robomamba_ros.control.setpoints.setpoint_loop import SetpointLoop
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import NANOSECONDS, ActionChunk, ActionSpace, Pose, RobotState

ARM = load_arm('sawyer_sim')
DT = ARM.period_ns
START_NS = 5 * NANOSECONDS
HOME = Pose(np.array([0.0, 0.6, 0.2]), np.array([0.0, 0.0, 0.0, 1.0]))


def chunk(stamp_ns, step, horizon=20):
    actions = np.tile([step, 0.0, 0.0], (horizon, 1))
    return ActionChunk(stamp_ns, DT, actions, ActionSpace.EE_DELTA, ('ee_dx', 'ee_dy', 'ee_dz'))


def started(arm=ARM, kinematics=None, state=None):
    loop = SetpointLoop(arm, kinematics=kinematics, supervised=False)
    loop.enable(True)
    loop.update_state(state or RobotState(START_NS, HOME, 1.0))
    return loop


def along_x(poses):
    return [pose.position[0] for pose in poses]


def test_nothing_is_shown_before_a_chunk():
    loop = started()
    assert loop.scene(START_NS).preview() == Preview()
    loop.tick(START_NS)
    assert loop.scene(START_NS).preview().pending == ()


def test_a_chunk_is_pending_and_becomes_executed():
    loop = started()
    loop.add_chunk(chunk(START_NS, 0.001), START_NS)
    assert along_x(loop.scene(START_NS).preview().pending) == pytest.approx(0.001 * np.arange(21))
    for i in range(9):
        loop.tick(START_NS + i * DT)
    shown = loop.scene(START_NS + 8 * DT).preview()
    assert along_x(shown.pending) == pytest.approx(0.001 * np.arange(8, 21), abs=1e-9)
    # Every 50 ms is every fourth command; the first one is reached a period after the start.
    assert along_x(shown.executed) == pytest.approx([0.001, 0.005], abs=1e-9)
    assert shown.discarded == ()


def test_what_had_passed_and_what_was_replaced_is_discarded_and_forgotten_at_a_reset():
    loop = started()
    loop.add_chunk(chunk(START_NS, 0.001), START_NS)
    for i in range(10):
        loop.tick(START_NS + i * DT)
    loop.add_chunk(chunk(START_NS + 7 * DT, 0.002), START_NS + 10 * DT)
    discarded = along_x(loop.scene(START_NS + 10 * DT).preview().discarded)
    assert discarded[:4] == pytest.approx([0.007, 0.009, 0.011, 0.013], abs=1e-9)
    assert discarded[4:] == pytest.approx(0.001 * np.arange(10, 21), abs=1e-9)
    loop.reset(at_once=True)
    assert loop.scene(START_NS + 10 * DT).preview() == Preview()


def test_a_long_chunk_is_shown_by_a_bounded_number_of_poses():
    loop = started()
    loop.add_chunk(chunk(START_NS, 1e-5, 5000), START_NS)
    for i in range(0, 400, 2):
        loop.update_state(RobotState(START_NS + i * DT, HOME, 1.0))
        loop.tick(START_NS + i * DT)
    shown = loop.scene(START_NS + 399 * DT).preview()
    assert 90 < len(shown.pending) <= 100
    assert along_x(shown.pending)[-1] == pytest.approx(0.05, abs=1e-6)
    assert len(shown.executed) == 40


def test_chunks_of_joints_are_shown_where_there_are_kinematics(tmp_path):
    made = MADE['six']
    arm = write_arm(tmp_path, made.document(), made.urdf())
    kinematics = Kinematics(arm)
    joints = np.array([0.2, -0.5, 0.7, 0.1, -0.4, 0.3])
    state = RobotState(
        START_NS, kinematics.forward(joints), 1.0, dict(zip(made.names, joints, strict=True))
    )
    actions = joints + np.linspace(0.01, 0.2, 20)[:, None]
    given = ActionChunk(START_NS, DT, actions, ActionSpace.JOINT_POSITION, tuple(made.names))
    loop = started(arm, kinematics, state)
    loop.add_chunk(given, START_NS)
    pending = loop.scene(START_NS).preview().pending
    assert len(pending) == 21
    expected = made.matrix(given.actions[-1])[:3, 3]
    np.testing.assert_allclose(pending[-1].position, expected, atol=1e-9)
    without = started(arm, None, state)
    without.add_chunk(given, START_NS)
    assert without.scene(START_NS).preview().pending == ()


def test_another_thread_draws_what_control_goes_on_with():
    """A scene stays what it is, and what is worked out of its path is the path of the command."""
    drawn, alone = started(), started()
    for loop in (drawn, alone):
        loop.add_chunk(chunk(START_NS, 0.001), START_NS)
        loop.tick(START_NS)
    scene, before = drawn.scene(START_NS), drawn.scene(START_NS).preview()
    ticks = iter(range(1, 10))

    def control() -> None:
        for i in islice(ticks, 1):
            both = [loop.tick(START_NS + i * DT).pose for loop in (drawn, alone)]
            assert np.array_equal(both[0].position, both[1].position)

    shown = scene.preview(control)
    assert next(ticks, None) is None
    assert along_x(shown.pending) == along_x(before.pending)
    assert along_x(shown.executed) == along_x(before.executed)
