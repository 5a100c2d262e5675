"""How a joint_trajectory_controller gets from one trajectory onto the next within limits.

Between two points it goes by a quintic, and from its desired state on receipt to the first point.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robomamba_ros.control.motion.forecast import Trajectory
from robomamba_ros.robots.following import joint_tolerance
from robomamba_ros.robots.parts import Joint
from robomamba_ros.types import NANOSECONDS, Float64Array

# Room for rounding, as a share of a limit.
_ROUNDING = 1e-6
# How often the lead is doubled, at most, for the way to a single point.
_DOUBLINGS = 7
# How many times the lead ahead the first point may lie where no nearer one can be reached.
_FURTHEST = 4


@dataclass(frozen=True)
class Quintic:
    """The motion (n,) that has positions, velocities and accelerations (3, n) at both ends.

    It is kept as a Bezier curve: a derivative never leaves the hull of its control points.
    """

    start: Float64Array
    end: Float64Array
    duration_s: float

    def derivatives(self) -> tuple[Float64Array, ...]:
        """Return the control points of position (6, n), velocity (5, n), .. and jerk (3, n)."""
        t = self.duration_s
        (p0, v0, a0), (p1, v1, a1) = self.start, self.end
        step, bend = t / 5.0, t * t / 20.0
        before = [p0, p0 + step * v0, p0 + 2.0 * step * v0 + bend * a0]
        after = [p1 - 2.0 * step * v1 + bend * a1, p1 - step * v1, p1]
        points = np.array([*before, *after])
        once = points[1:] - points[:-1]
        twice = once[1:] - once[:-1]
        thrice = twice[1:] - twice[:-1]
        return points, 5.0 / t * once, 20.0 / t**2 * twice, 60.0 / t**3 * thrice

    def at(self, time_s: float) -> Float64Array:
        """Return positions, velocities and accelerations (3, n) at a time of 0..duration_s."""
        share = time_s / self.duration_s
        return np.array([_on_bezier(points, share) for points in self.derivatives()[:3]])


class Handover:
    """Where the trajectories of some joints begin, one after the other.

    lead_ns: how far ahead the first point is to lie. The further, the better a controller bears
    that messages do not all travel equally long; the quintic to it, though, cuts what lies
    between. So it is the point furthest within lead_ns to which that quintic exceeds no limit. A
    controller that is elsewhere than on the way gets the nearest one beyond for which that holds.
    """

    def __init__(
        self, joints: Sequence[Joint], columns: Sequence[int], period_ns: int, lead_ns: int
    ) -> None:
        self._columns = list(columns)
        self._period_ns, self._lead_ns = period_ns, lead_ns
        self._lower, self._upper = np.array([joint.position for joint in joints]).T
        self._tolerance = joint_tolerance(joints)
        limits = [(j.velocity, j.acceleration, j.jerk or np.inf) for j in joints]
        self._most = np.array(limits).T
        # What the controller follows: times (k,) and derivatives (k, 3, n), from when it was sent.
        self._times_ns: list[int] = []
        self._points = np.zeros((0, 3, len(joints)))

    def begin(
        self, way: Trajectory, now_ns: int, resting: Float64Array | None = None
    ) -> tuple[list[int], Float64Array]:
        """Return the times (k,) and derivatives (k, 3, n) to send of `way` now.

        resting: where joints (n,) at rest were measured. The controller may begin there, too:
        another one may have moved them, or it was activated since. It does for sure where they are
        further from where it was told to be than an arm that follows can be.
        """
        all_points = np.stack([way.positions, way.velocities, way.accelerations], axis=1)
        points = all_points[:, :, self._columns]
        times_ns = list(way.times_ns)
        # The first one begins where the joints are.
        here = self._at(now_ns) if self._times_ns else points[0]
        # Nearer than half a period a controller could not come onto it.
        starts = [here]
        if resting is not None:
            there = np.stack([resting, np.zeros_like(resting), np.zeros_like(resting)])
            if (np.abs(resting - here[0]) > self._tolerance).any():
                here, starts = there, []
            starts.append(there)
        nearest = bisect_left(times_ns, now_ns + self._period_ns // 2)
        within, beyond = (
            bisect_right(times_ns, now_ns + many * self._lead_ns) for many in (1, _FURTHEST)
        )
        if nearest >= len(times_ns) - 1:
            first, times_ns[-1] = len(times_ns) - 1, self._arrival_ns(starts, points[-1], now_ns)
        else:
            within = max(within, nearest + 1)
            shares: dict[int, float] = {}
            for i in (*range(within - 1, nearest - 1, -1), *range(within, beyond)):
                duration_s = (times_ns[i] - now_ns) / NANOSECONDS
                shares[i] = max(self._share(Quintic(s, points[i], duration_s)) for s in starts)
                if shares[i] <= 1.0 + _ROUNDING:
                    break
            first = min(shares, key=lambda i: shares[i])
        self._times_ns = [now_ns, *times_ns[first:]]
        self._points = np.concatenate([here[None], points[first:]])
        return times_ns[first:], points[first:]

    def _arrival_ns(self, starts: list[Float64Array], point: Float64Array, now_ns: int) -> int:
        """Return when to be at a point of rest: at the lead, or as late as limits ask for."""
        lead_ns = self._lead_ns
        for power in range(_DOUBLINGS + 1):
            lead_ns = self._lead_ns << power
            ways = (Quintic(start, point, lead_ns / NANOSECONDS) for start in starts)
            if max(map(self._share, ways)) <= 1.0:
                break
        return now_ns + lead_ns

    def _at(self, now_ns: int) -> Float64Array:
        """Return where the controller is, positions, velocities and accelerations (3, n)."""
        times_ns, points = self._times_ns, self._points
        after = max(bisect_right(times_ns, now_ns), 1)
        if after == len(times_ns):
            return np.asarray(points[-1])
        begin_ns = times_ns[after - 1]
        duration_s = (times_ns[after] - begin_ns) / NANOSECONDS
        way = Quintic(points[after - 1], points[after], duration_s)
        return way.at(max(now_ns - begin_ns, 0) / NANOSECONDS)

    def _share(self, way: Quintic) -> float:
        """Return the largest share that a way takes of any limit; above 1 it exceeds one."""
        positions, *derivatives = way.derivatives()
        outside = np.maximum(self._lower - positions, positions - self._upper).max()
        pairs = zip(derivatives, self._most, strict=True)
        shares = [float((np.abs(values) / most).max()) for values, most in pairs]
        return max(*shares, 1.0 + float(outside) if outside > _ROUNDING else 0.0)


def _on_bezier(points: Float64Array, share: float) -> Float64Array:
    """Return the point of a Bezier curve at a share 0..1, after de Casteljau."""
    while len(points) > 1:
        points = points[:-1] + share * (points[1:] - points[:-1])
    return np.asarray(points[0])
