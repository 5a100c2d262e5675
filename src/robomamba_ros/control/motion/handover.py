"""How a joint_trajectory_controller gets from one trajectory onto the next within limits.

Between two points it goes by a quintic, and from its desired state on receipt to the first point.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from robomamba_ros.control.motion.trajectory import Trajectory
from robomamba_ros.robots.following import joint_tolerance
from robomamba_ros.robots.parts import Joint
from robomamba_ros.types import NANOSECONDS, Float64Array

# Room for rounding, as a share of a limit.
_ROUNDING = 1e-6
# How often the lead is doubled, at most, for the way to a single point.
_DOUBLINGS = 7
# How many times the lead ahead the first point may lie where no nearer one can be reached.
_FURTHEST = 4
# Into how many pieces a curve is cut, where its hull exceeds a limit.
_CUTS = 4
# How far joints at rest may sag, as a time at their limit of velocity [s].
_SAG_S = 0.01


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


@dataclass(frozen=True)
class _Way:
    """Times (k,) and derivatives (k, 3, n) of a trajectory, with where it was begun."""

    times_ns: list[int]
    points: Float64Array

    def at(self, now_ns: int) -> Float64Array:
        """Return positions, velocities and accelerations (3, n) at a time."""
        after = max(bisect_right(self.times_ns, now_ns), 1)
        if after == len(self.times_ns):
            return np.asarray(self.points[-1])
        begin_ns = self.times_ns[after - 1]
        duration_s = (self.times_ns[after] - begin_ns) / NANOSECONDS
        way = Quintic(self.points[after - 1], self.points[after], duration_s)
        return way.at(max(now_ns - begin_ns, 0) / NANOSECONDS)


class Handover:
    """Where the trajectories of some joints begin, one after the other.

    lead_ns: how far ahead the first point is to lie. The further, the better a controller bears
    that messages do not all travel equally long; the quintic to it, though, cuts what lies
    between. So it is the point furthest within lead_ns to which that quintic exceeds no limit. A
    controller that is elsewhere than on the way gets the nearest one beyond for which that holds.

    Where a controller does not say so, nobody knows where it wants the joints to be before it was
    sent anything: servos let them sag. To a first point of rest it gets the time to come from there
    within limits.
    """

    def __init__(
        self, joints: Sequence[Joint], columns: Sequence[int], period_ns: int, lead_ns: int
    ) -> None:
        self._columns = list(columns)
        self._period_ns, self._lead_ns = period_ns, lead_ns
        self._lower, self._upper = np.array([joint.position for joint in joints]).T
        self._tolerance = joint_tolerance(joints)
        self._sag = np.minimum(self._tolerance, _SAG_S * np.array([j.velocity for j in joints]))
        limits = [(j.velocity, j.acceleration, j.jerk or np.inf) for j in joints]
        self._most = np.array(limits).T
        # What the controller follows, from when it was sent. Until the first point of that is
        # reached there may be several: it is not known where it began.
        self._ways: list[_Way] = []
        self._reached_ns = 0

    @property
    def end_ns(self) -> int:
        """When the controller ends what it was sent [ns]; long ago where that is nothing."""
        return self._ways[0].times_ns[-1] if self._ways else -(2**63)

    def begin(
        self,
        way: Trajectory,
        now_ns: int,
        resting: Float64Array | None = None,
        desired: Float64Array | None = None,
    ) -> tuple[list[int], Float64Array]:
        """Return the times (k,) and derivatives (k, 3, n) to send of `way` now.

        resting: where joints (n,) at rest were measured. The controller may begin there, too:
        another one may have moved them, or it was activated since. It does for sure where they are
        further from where it was told to be than an arm that follows can be. desired: positions,
        velocities and accelerations (3, n) at which it begins, where it says so itself.
        """
        if desired is not None:
            self._ways = [_Way([now_ns], desired[None])]
        all_points = np.stack([way.positions, way.velocities, way.accelerations], axis=1)
        points = all_points[:, :, self._columns]
        times_ns = list(way.times_ns)
        near = [] if self._ways else self._near(points[0])
        starts = self._starts(now_ns, points[0], resting)
        # Nearer than half a period a controller could not come onto it.
        nearest = bisect_left(times_ns, now_ns + self._period_ns // 2)
        within, beyond = (
            bisect_right(times_ns, now_ns + many * self._lead_ns) for many in (1, _FURTHEST)
        )
        if nearest >= len(times_ns) - 1:
            first = len(times_ns) - 1
            times_ns[-1] = self._arrival_ns([*starts, *near], points[-1], now_ns)
        else:
            within = max(within, nearest + 1)
            shares: dict[int, float] = {}
            for i in (*range(within - 1, nearest - 1, -1), *range(within, beyond)):
                duration_s = (times_ns[i] - now_ns) / NANOSECONDS
                shares[i] = max(self._share(Quintic(s, points[i], duration_s)) for s in starts)
                if shares[i] <= 1.0 + _ROUNDING:
                    break
            first = min(shares, key=lambda i: shares[i])
        times_ns, points = times_ns[first:], points[first:]
        self._reached_ns = times_ns[0]
        self._ways = [
            _Way([now_ns, *times_ns], np.concatenate([start[None], points])) for start in starts
        ]
        return times_ns, points

    def _starts(
        self, now_ns: int, first: Float64Array, resting: Float64Array | None
    ) -> list[Float64Array]:
        """Return where the controller may be now, derivatives (3, n) each."""
        if now_ns >= self._reached_ns:
            del self._ways[1:]
        # The first trajectory of all begins where the joints are.
        starts = [way.at(now_ns) for way in self._ways] or [first]
        if resting is not None:
            away = np.abs(resting - starts[0][0])
            if (away > self._tolerance).any():
                starts = []
            if not starts or away.any():
                starts.append(np.stack([resting, np.zeros_like(resting), np.zeros_like(resting)]))
        return starts

    def _near(self, here: Float64Array) -> list[Float64Array]:
        """Return states (3, n) on both sides of `here`, as far as joints may sag."""
        lower, upper = np.minimum(self._lower, here[0]), np.maximum(self._upper, here[0])
        sides = (np.clip(here[0] + sign * self._sag, lower, upper) for sign in (-1.0, 1.0))
        return [np.stack([side, here[1], here[2]]) for side in sides]

    def _arrival_ns(self, starts: list[Float64Array], point: Float64Array, now_ns: int) -> int:
        """Return when to be at a point of rest: at the lead, or as late as limits ask for."""
        lead_ns = self._lead_ns
        for power in range(_DOUBLINGS + 1):
            lead_ns = self._lead_ns << power
            ways = (Quintic(start, point, lead_ns / NANOSECONDS) for start in starts)
            if max(map(self._share, ways)) <= 1.0:
                break
        return now_ns + lead_ns

    def _share(self, way: Quintic) -> float:
        """Return the largest share that a way takes of any limit; above 1 it may exceed one.

        The hull of few control points is large, that of the same curve in pieces hardly larger
        than the curve.
        """
        curves = way.derivatives()
        share = self._largest(curves)
        if share <= 1.0 + _ROUNDING:
            return share
        return self._largest(tuple(_PIECES[len(points)] @ points for points in curves))

    def _largest(self, curves: tuple[Float64Array, ...]) -> float:
        """Return the largest share of a limit at any control point."""
        positions, *derivatives = curves
        outside = np.maximum(self._lower - positions, positions - self._upper).max()
        pairs = zip(derivatives, self._most, strict=True)
        shares = [float((np.abs(values) / most).max()) for values, most in pairs]
        return max(*shares, 1.0 + float(outside) if outside > _ROUNDING else 0.0)


def _pieces(count: int) -> Float64Array:
    """Return what makes of a curve's control points (count,) those of it in pieces (_CUTS count,).

    Of a polynomial it is exact: piece i of a basis polynomial is that polynomial, found by values.
    """
    degree = count - 1
    shares = np.linspace(0.0, 1.0, count)
    powers = np.arange(count)
    choices = np.array([comb(degree, k) for k in powers])

    def basis(at: Float64Array) -> Float64Array:
        return np.asarray(
            choices * at[:, None] ** powers * (1.0 - at[:, None]) ** (degree - powers)
        )

    each = [np.linalg.solve(basis(shares), basis((i + shares) / _CUTS)) for i in range(_CUTS)]
    return np.concatenate(each)


_PIECES = {count: _pieces(count) for count in (3, 4, 5, 6)}


def _on_bezier(points: Float64Array, share: float) -> Float64Array:
    """Return the point of a Bezier curve at a share 0..1, after de Casteljau."""
    while len(points) > 1:
        points = points[:-1] + share * (points[1:] - points[:-1])
    return np.asarray(points[0])
