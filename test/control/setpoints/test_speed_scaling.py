"""A robot that slows the time of its trajectories: it is followed at rest, and stops what moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.bench import ROUNDING, STEP_NS, Bench
from support.slider import ARM, ROOM, slide

from robomamba_ros.control.setpoints.decisions import SCALE, Decisions
from robomamba_ros.control.setpoints.setpoint_loop import LoopState
from robomamba_ros.simulation.disagreement import Disagreement
from robomamba_ros.types import EE_DELTA_NAMES, NANOSECONDS, ActionSpace

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')


def moving(way: str = 'joints', seconds: float = 0.4) -> Bench:
    """Return a bench whose arm moves at a fifth of its speed, by joints or by its end effector.

    seconds: since it was told to.
    """
    options = Disagreement(controller_rate_hz=100.0)
    bench = Bench(ARM, options, believed=replace(ARM, workspace=ROOM))
    # A start has to have been measured.
    bench.tick(3)
    step_s = STEP_NS / NANOSECONDS
    if way == 'joints':
        actions = np.full((50, 1), 0.2 * ARM.joints[0].velocity * step_s)
        bench.add(actions, bench.names[:1])
    else:
        actions = np.zeros((50, 6))
        actions[:, 1] = 0.5 * ARM.cartesian.velocity * step_s
        bench.add(actions, EE_DELTA_NAMES, ActionSpace.EE_DELTA)
    bench.tick(round(100.0 * seconds))
    assert bench.state is LoopState.TRACKING
    return bench


def test_a_slider_that_is_moved_while_the_arm_moves_costs_no_limit_afterwards(monkeypatch) -> None:
    found = slide(0.1, seed=1, late=0, times=4)
    assert max(found.after.values()) <= 1.0 + ROUNDING, found.after
    # The controller's own change of speed is another matter.
    assert found.step['acceleration'] > 5.0
    # Followed instead, as it is heard, it does.
    monkeypatch.setattr(Decisions, 'slow', lambda *_: None)
    assert slide(0.1, seed=1, late=0, times=4).after['jerk'] > 3.0


@pytest.mark.parametrize('way', ['joints', 'end effector'])
# As it begins, when it has been sent a way and not gone any of it, and in the middle.
@pytest.mark.parametrize('seconds', [0.12, 0.41, 0.47])
def test_it_rests_at_the_end_of_what_it_was_sent_and_is_sent_nothing_more(way, seconds) -> None:
    bench = moving(way, seconds)
    bench.fake.speed_scaling = 0.5
    bench.tick()
    assert bench.state is LoopState.STOPPING
    assert bench.loop.status.reason == (
        'the speed scaling went from 100 % to 50 % while the arm moved; enable to move again'
    )
    sent, periods = bench.sent['arm'], 0
    while bench.state is LoopState.STOPPING:
        bench.tick()
        periods += 1
    assert bench.sent['arm'] == sent
    assert periods > 20
    # What it was sent ends where the loop has gone meanwhile.
    bench.fake.advance(bench.now_ns + NANOSECONDS // 10)
    assert bench.speed == 0.0
    told = bench.loop.command().setpoint.joints
    assert [told[name] for name in bench.names] == pytest.approx(bench.joints, abs=1e-9)


def test_what_a_robot_is_slowed_by_less_than_counts_does_not_stop_it() -> None:
    bench = moving()
    bench.fake.speed_scaling = 1.0 - 0.9 * SCALE
    bench.run(0.2)
    assert bench.state is LoopState.TRACKING
    # Little by little it is slowed by more.
    bench.fake.speed_scaling = 1.0 - 1.8 * SCALE
    bench.tick()
    assert bench.state is LoopState.STOPPING


def test_a_paused_robot_is_not_enabled_and_its_release_enables_nothing() -> None:
    bench = moving()
    bench.fake.speed_scaling = 0.0
    bench.run(1.0)
    assert bench.state is LoopState.STOPPING
    assert not bench.enable()
    assert bench.refused == 'the speed scaling is 0 %, so the robot is paused'
    bench.fake.speed_scaling = 1.0
    bench.run(1.0)
    assert bench.state is LoopState.HOLDING
    assert bench.enable()
    # At rest a slider may be moved: its speed is what the next motion is planned for.
    bench.fake.speed_scaling = 0.5
    bench.run(0.2)
    assert bench.state is LoopState.WAITING
    bench.fake.speed_scaling = 0.0
    bench.tick()
    assert bench.state is LoopState.HOLDING
    assert 'so the robot is paused; enable to move again' in bench.loop.status.reason
