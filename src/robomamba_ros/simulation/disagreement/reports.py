"""What a fake arm reports of its joints: how often, how late, and with which stamps."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.simulation.disagreement.config import Disagreement
from robomamba_ros.types import NANOSECONDS, Float64Array

# Samples that wait to be read; older ones are lost, as in a queue of messages.
_DEPTH = 100


@dataclass(frozen=True)
class Sample:
    """Positions and velocities by joint [rad or m, per s], as said at stamp_ns."""

    stamp_ns: int
    positions: Mapping[str, float]
    velocities: Mapping[str, float]


def joint_messages(arm: ArmContract, disagreement: Disagreement) -> list[tuple[str, list[str]]]:
    """Return the messages in which an arm says its joints: stream and names of each.

    Of several streams the gripper has the last; of one it has a message of its own where split.
    """
    streams, hand = arm.joint_streams, list(arm.names_of('gripper'))
    others = [name for name in arm.measured_joints if name not in hand]
    if len(streams) > 1:
        parts = len(streams) - bool(hand)
        shares = [list(share) for share in np.array_split(np.array(others), parts)]
        return list(zip(streams, [*shares, hand][: len(streams)], strict=True))
    if disagreement.split_states and hand:
        return [(streams[0], hand), (streams[0], others)]
    return [(streams[0], [*others, *hand])]


class Reports:
    """Samples of joints `names`, of which those in `wrapped` (n,) may be said within -pi .. pi.

    dead: whether nothing is measured any more.
    """

    def __init__(
        self,
        disagreement: Disagreement,
        names: Sequence[str],
        endless: Float64Array,
        period_ns: int,
        now_ns: int,
    ) -> None:
        self.dead = False
        self._names = list(names)
        self._wrapped = endless if disagreement.wraps and endless.any() else None
        self._restamps = disagreement.restamps
        rate_hz = disagreement.state_rate_hz
        self._interval_ns = round(NANOSECONDS / rate_hz) if rate_hz else period_ns
        self._latency_ns = round(disagreement.state_latency_s * NANOSECONDS)
        self._next_ns = now_ns + self._interval_ns
        self._last: tuple[Float64Array, Float64Array] | None = None
        self._waiting: deque[tuple[int, Sample]] = deque(maxlen=_DEPTH)

    def restart(self, now_ns: int) -> None:
        """Take note that the clock was set."""
        self._next_ns = now_ns
        self._waiting.clear()

    def take(self, now_ns: int, positions: Float64Array, velocities: Float64Array) -> None:
        """Measure the joints (n,) if it is time to."""
        if now_ns < self._next_ns:
            return
        self._next_ns += self._interval_ns
        if not self.dead:
            self._last = positions, velocities
        elif not self._restamps:
            return
        if self._last is None:
            return
        sent_ns = now_ns + self._latency_ns
        self._waiting.append((sent_ns, self._sample(sent_ns if self._restamps else now_ns)))

    def due(self, now_ns: int) -> list[Sample]:
        """Return the samples that have arrived by now, oldest first, each once."""
        found = []
        while self._waiting and self._waiting[0][0] <= now_ns:
            found.append(self._waiting.popleft()[1])
        return found

    def _sample(self, stamp_ns: int) -> Sample:
        assert self._last is not None
        positions, velocities = self._last
        if self._wrapped is not None:
            turned = np.remainder(positions + np.pi, 2.0 * np.pi) - np.pi
            positions = np.where(self._wrapped, turned, positions)
        return Sample(
            stamp_ns,
            dict(zip(self._names, positions.tolist(), strict=True)),
            dict(zip(self._names, velocities.tolist(), strict=True)),
        )
