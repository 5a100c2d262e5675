"""Chunks that ask for what no arm can do, at random, beside faults of inputs and of people."""

from __future__ import annotations

import numpy as np
from support.bench import STEP_NS, Bench

from robomamba_ros.control.setpoints.setpoint_loop import LoopState
from robomamba_ros.types import EE_DELTA_NAMES, NANOSECONDS, ActionSpace

EVENTS = (
    *('steps', 'flips', 'spikes', 'huge', 'nan', 'empty', 'late', 'early', 'overlap', 'short'),
    *('poses', 'wild poses', 'disable', 'reset', 'blackout', 'stall', 'nothing'),
)


def storm(bench: Bench, events: int = 12) -> Bench:
    """Let events happen that are drawn at random."""
    bench.tick(3)
    for _ in range(events):
        happen(bench, str(bench.random.choice(EVENTS)), int(bench.random.integers(1, 25)))
    return bench


def happen(bench: Bench, event: str, ticks: int) -> None:
    """Let something happen and go on for `ticks` periods."""
    random, arm = bench.random, bench.arm
    if bench.state in (LoopState.HOLDING, LoopState.DISABLED):
        # Somebody looks, and enables it again.
        bench.run(0.2)
        bench.enable()
        bench.tick(2)
    if event in ('disable', 'reset', 'blackout', 'stall'):
        _interrupt(bench, event, ticks)
    elif event.endswith('poses') or arm.takes_poses:
        step = arm.cartesian.velocity * STEP_NS / NANOSECONDS
        turn = arm.cartesian.rotation_velocity * STEP_NS / NANOSECONDS
        scale = 10.0 ** random.uniform(0, 4) if event == 'wild poses' else 0.7
        way = scale * _shaped(random, event, np.array([step] * 3 + [turn] * 3))
        bench.add(way, EE_DELTA_NAMES, ActionSpace.EE_DELTA, ahead_ns=_ahead_ns(event))
    elif event != 'nothing':
        speeds = np.array([joint.velocity for joint in arm.joints])
        way = _shaped(random, event, speeds * STEP_NS / NANOSECONDS)
        bench.add(way, ahead_ns=_ahead_ns(event))
    if event == 'overlap':
        for _ in range(3):
            bench.tick(int(random.integers(1, 4)))
            happen(bench, 'flips', 0)
    bench.tick(ticks)


def _interrupt(bench: Bench, event: str, ticks: int) -> None:
    if event == 'disable':
        bench.loop.enable(False)
        bench.tick(int(bench.random.integers(0, 30)))
        bench.enable()
    elif event == 'reset':
        bench.loop.reset()
    elif event == 'blackout':
        bench.tick(ticks + 20, fresh=False)
        bench.enable()
    else:
        for _ in range(int(bench.random.integers(1, 12))):
            bench.pass_time()


def _ahead_ns(event: str) -> int:
    return {'late': -8 * STEP_NS, 'early': STEP_NS}.get(event, 0)


def _shaped(random: np.random.Generator, event: str, full: np.ndarray) -> np.ndarray:
    """Return deltas (k, n) where `full` is what full speed makes in a step."""
    n = len(full)
    signs = random.choice([-1.0, 1.0], (20, n))
    if event == 'flips':
        return full * np.repeat(signs[:5], random.integers(1, 6), axis=0)
    if event == 'spikes':
        return full * signs * 10.0 * (random.random((20, n)) < 0.15)
    if event == 'huge':
        return full * signs * 10.0 ** random.uniform(1, 30)
    if event == 'nan':
        return np.where(random.random((20, n)) < 0.1, np.nan, full * signs)
    if event == 'empty':
        return np.zeros((0, n))
    if event == 'short':
        return full * signs[:1]
    # Steps: fast for a while, at rest for a while.
    return np.repeat(full * random.uniform(-1, 1, (5, n)) * (random.random((5, 1)) < 0.7), 4, 0)
