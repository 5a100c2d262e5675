"""What was tried against an arm to make it jump, lock or move by itself (support/tried)."""

from __future__ import annotations

import pytest
from support.tried import (
    POSITIONS,
    TRAJECTORIES,
    Found,
    activated_late,
    bench_of,
    blocked_under_tolerance,
    cameras_die,
    enabled_while_it_stops,
    instruction_at_the_end,
    paused_and_stopped,
    stopped_while_it_brakes,
    switched_while_it_holds,
    turned_base,
)

from robomamba_ros.control.setpoints.setpoint_loop import LoopState
from robomamba_ros.control.setpoints.transitions import Transitions
from robomamba_ros.types import NANOSECONDS

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

# Room for rounding.
MOST = 1.0 + 1e-4
STOPPED = [
    ('ur5e', TRAJECTORIES),
    ('franka_fr3', POSITIONS),
    ('ur5e', 'target_pose'),
]


@pytest.mark.parametrize(('name', 'kind'), STOPPED)
def test_enable_waits_until_a_stop_is_over_though_the_arm_stands(name, kind) -> None:
    for found in enabled_while_it_stops(name, kind):
        assert found.worst <= MOST
        assert found.said.startswith('still stopping (the arm does not follow: ')


def test_without_that_the_command_jumps(monkeypatch) -> None:
    monkeypatch.setattr(Transitions, 'check_at_rest', lambda _: None)
    found = next(enabled_while_it_stops('franka_fr3', POSITIONS))
    assert found.worst > 100.0


def test_an_arm_that_is_paused_in_a_stop_is_not_enabled_before_it_goes_on() -> None:
    for found in paused_and_stopped('ur5e', TRAJECTORIES):
        assert found.worst <= MOST
        assert found.said == 'the speed scaling is 0 %, so the robot is paused'


@pytest.mark.parametrize(('name', 'kind'), [('hsr', TRAJECTORIES), ('franka_fr3', POSITIONS)])
def test_an_emergency_stop_while_it_brakes_leaves_nothing_to_catch_up(name, kind) -> None:
    for found in stopped_while_it_brakes(name, kind):
        assert found.worst <= MOST


def test_an_instruction_at_the_end_of_a_chunk_has_the_time_of_any_other() -> None:
    for found in instruction_at_the_end('so101', TRAJECTORIES):
        assert found.said == ''
        assert found.worst <= MOST


def test_a_clock_that_goes_back_during_a_stop_locks_nothing() -> None:
    bench = bench_of('so101', TRAJECTORIES)
    bench.run(0.5)
    bench.loop.fault('stop')
    bench.tick_ns -= 3 * NANOSECONDS
    bench.tick()
    bench.run(1.0)
    assert bench.state is LoopState.HOLDING
    assert bench.enable(), bench.refused


@pytest.mark.parametrize('name', ['ur5e', 'hsr'])
def test_a_controller_that_was_switched_while_it_held_is_not_gone_on_with(name) -> None:
    says, silent = switched_while_it_holds(name, TRAJECTORIES)
    assert says.worst == 0.0
    assert 'it was switched off and on, or somebody else commands it; enable' in says.said
    # Without its word, the next chunk makes up for what nobody knows.
    assert silent.worst > 1.5
    assert silent.said == ''


def test_a_controller_that_is_activated_too_late_moves_nothing() -> None:
    (found,) = activated_late('ur5e', TRAJECTORIES)
    assert found.worst == 0.0
    assert found.said.startswith('the arm does not follow')


def test_a_base_that_was_turned_while_its_controller_was_off_stays_there() -> None:
    (found,) = turned_base('hsr', TRAJECTORIES)
    assert found == Found(found.shares, 'holding', 'turned by 0.0000 rad')


def test_a_camera_that_dies_leaves_twice_the_steps_to_be_executed() -> None:
    notes = [found.note for found in cameras_die('so101', TRAJECTORIES)]
    assert notes == ['50 ms steps: goes on for 1.02 s', '100 ms steps: goes on for 2.02 s']


def test_an_arm_that_is_blocked_is_noticed_before_its_controller_gives_up() -> None:
    (found,) = blocked_under_tolerance('ur5e', TRAJECTORIES)
    assert found.said.startswith('the arm does not follow')
    # Its own step back to where the arm is moves no joint.
    assert found.note.endswith('the joints do 0.00 of a limit')
