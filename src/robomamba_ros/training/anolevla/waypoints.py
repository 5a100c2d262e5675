"""Where the hand goes, as demonstrations say it by themselves.

Localisation needs no simulator: what matters in a scene is where the demonstrator's hand went.
Seen from any frame these are the place at which the gripper next opened or closed, the place at
which the segment ended, and the hand itself (the end-effector waypoints of Liu et al. 2025, arXiv
2507.02190, "cVLA", without its text).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.training.anolevla.samples import Indices, Samples
from robomamba_ros.types import GRIPPER_NAME, Float32Array, Float64Array

# A gripper that moves by less within a segment holds still: in the channel's unit, and as a share
# of how far it moves in all the data.
LEAST_MOTION, LEAST_SHARE = 0.05, 0.25
# Past the middle by this share of its motion it has changed; noise about the middle is no change.
HYSTERESIS = 0.1


def waypoints(samples: Samples, hands: Float64Array) -> Float32Array:
    """Return (n, 3, 3) [m]: of each sample the next gripper change, the end, and the hand.

    hands (n, 3): where the hand is, in any fixed frame; the result is in the same. Where the
    gripper does not change any more, the end of the segment stands for its place. A segment is what
    one episode does for one instruction.
    """
    points = np.repeat(hands[:, None], 3, axis=1).astype(np.float32)
    channel = gripper_channel(samples.meta.action_names)
    commands = None if channel is None else samples.column('actions')[:, :, channel]
    valid = samples.column('valid')
    motion = 0.0 if commands is None else float(np.ptp(commands[valid])) if valid.any() else 0.0
    for rows in segments(samples):
        steps = samples.step[rows]
        points[rows, :2] = hands[rows[-1]]
        if commands is None:
            continue
        series = _series(commands[rows], valid[rows], steps - steps[0])
        changes = steps[0] + changes_of(series, max(LEAST_MOTION, LEAST_SHARE * motion))
        # The last frame that was kept may lie before the last command.
        changes = changes[changes <= steps[-1]]
        following = np.searchsorted(changes, steps, side='right')
        due = np.flatnonzero(following < len(changes))
        at = changes[following[due]]
        for axis in range(3):
            points[rows[due], 0, axis] = np.interp(at, steps, hands[rows, axis])
    return points


def gripper_channel(names: tuple[str, ...]) -> int | None:
    """Return which action is that of a gripper, by its name; None without one."""
    found = [number for number, name in enumerate(names) if GRIPPER_NAME in name.lower()]
    return found[0] if found else None


def segments(samples: Samples) -> Iterator[Indices]:
    """Yield the positions of the samples of each segment, in the order of their steps."""
    order = np.lexsort((samples.step, samples.episode, samples.instruction))
    keys = np.column_stack((samples.instruction, samples.episode))[order]
    starts = np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1
    yield from np.split(order, starts)


def changes_of(commands: Float64Array, least: float) -> Indices:
    """Return the steps at which commands (t,) of a gripper go from one side to the other.

    A motion of less than `least` in all is none.
    """
    low, high = float(np.min(commands)), float(np.max(commands))
    if high - low < least:
        return np.empty(0, dtype=np.int64)
    middle, margin = 0.5 * (low + high), HYSTERESIS * (high - low)
    side = np.where(commands > middle + margin, 1, np.where(commands < middle - margin, -1, 0))
    clear = np.flatnonzero(side)
    changed: Indices = clear[1:][np.diff(side[clear]) != 0]
    return changed


def _series(chunks: NDArray[Any], valid: NDArray[np.bool_], steps: Indices) -> Float64Array:
    """Return the commands of a segment, step by step, out of chunks (n, H) that begin at `steps`.

    Between chunks that do not meet the last command holds.
    """
    due = steps[:, None] + np.arange(chunks.shape[1])
    known = np.where(valid, due, 0)
    series = np.full(int(known.max()) + 1, np.nan)
    series[due[valid]] = chunks[valid]
    held = np.maximum.accumulate(np.where(np.isnan(series), 0, np.arange(len(series))))
    series = series[held]
    return np.where(np.isnan(series), np.nanmin(series, initial=np.inf), series)
