"""What prevents motion: late inputs, a state that cannot be a start, interlocks.

Decides nothing about motion. Reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from robomamba_ros.control.freshness import Freshness
from robomamba_ros.control.history import StateHistory
from robomamba_ros.control.motion.joint_motion import measured_anchor
from robomamba_ros.control.motion.pose_motion import Anchor
from robomamba_ros.control.setpoints.following import Following
from robomamba_ros.control.setpoints.references import References
from robomamba_ros.control.setpoints.start import SAMPLES, SPAN_S, enough, start_problem
from robomamba_ros.errors import NotReadyError, ObservationError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import wraps
from robomamba_ros.types import NANOSECONDS, Float64Array, Pose, RobotState

# How far back a start, and over which time a velocity, is measured [ns].
_START_NS, _VELOCITY_NS = NANOSECONDS // 2, NANOSECONDS // 20


class _Start(NamedTuple):
    """A start as it was measured: whether often enough to tell, why it is none, where it is."""

    known: bool
    problem: str
    here: Anchor | None = None


class Supervision:
    """The measured states of an arm, how fresh they are, and standing reasons not to move.

    references: what controllers of trajectories want, as far as they say it.
    missing: why nothing can be commanded yet, such as kinematics; '' for nothing. late_s: how much
    later than it was due the present tick is [s].
    """

    def __init__(self, arm: ArmContract) -> None:
        self._arm = arm
        turning = wraps(arm.joints)
        names = (j.name for j, turns in zip(arm.joints, turning, strict=True) if turns)
        self.measured = StateHistory(wraps=tuple(names))
        self.freshness = Freshness(dict(sorted(arm.budgets_s.items())))
        self.references = References(arm)
        self.late_s = 0.0
        self.interlocks: dict[str, str] = {}
        self.missing = ''

    def add(self, state: RobotState, now_ns: int | None) -> None:
        """Take in a state; raises ObservationError on one that is of no use, which is ignored.

        now_ns: the clock, where it is known. A stamp further ahead of it than the stream's budget
        would otherwise hide every later one.
        """
        stamps = {name: state.stamps.get(name, state.stamp_ns) for name in self._arm.inputs}
        for stream, stamp_ns in stamps.items():
            ahead_s = 0.0 if now_ns is None else (stamp_ns - now_ns) / NANOSECONDS
            if ahead_s > self._arm.budgets_s[stream]:
                raise ObservationError(
                    f'{stream} is stamped {ahead_s:.3f} s ahead of the clock; it is ignored'
                )
        self.measured.add(state)
        for stream, stamp_ns in stamps.items():
            self.freshness.note(stream, stamp_ns)

    def problems(self, now_ns: int) -> str:
        """Return what makes the inputs untrustworthy at now_ns; '' for nothing."""
        return self.missing or '; '.join(self.freshness.problems(now_ns, self.late_s))

    def set_interlock(self, name: str, problem: str) -> bool:
        """Set a standing reason not to move, '' to clear it; tell whether one is set."""
        self.interlocks.pop(name, None)
        if problem:
            self.interlocks[name] = problem
        return bool(problem)

    def check_interlocks(self) -> None:
        """Raise NotReadyError where an interlock is set."""
        if self.interlocks:
            raise NotReadyError('; '.join(self.interlocks.values()))

    def check_start(self, *, measured: bool = False) -> None:
        """Raise NotReadyError where the arm cannot start as it was measured.

        measured: also where it was not measured often enough to tell, or a controller of
        trajectories has yet to say where it wants the joints.
        """
        start = self._start()
        if start.problem and (start.known or measured):
            raise NotReadyError(start.problem)
        if measured and self.references.missing:
            raise NotReadyError(self.references.missing)
        if problem := self.reference_problem():
            raise NotReadyError(problem)

    def reference_problem(self) -> str:
        """Return why a controller of trajectories is no place to start from, '' where all are."""
        newest = self.measured.newest
        if newest is None or not self.references.known or self.resting() is None:
            return ''
        return self.references.problem(newest.joints)

    def resting(self) -> Anchor | None:
        """Return where the arm rests; None where it moves or is not known."""
        return self._start().here

    def following_problem(self, following: Following, own: Callable[[int], int]) -> str:
        """Return why the arm does not do what it is told, by its newest measurement; '' if it does.

        own: the arm's time of a time of the clock.
        """
        newest = self.measured.newest
        if newest is None:
            return ''
        try:
            measured = measured_anchor(self._arm, newest)
        except ObservationError as error:
            return str(error)
        return following.problem(measured, own(newest.stamp_ns))

    def place_of_rest(self) -> Anchor:
        """Return where the arm comes to rest if it brakes from where it was measured last."""
        here, velocity = self.motion()
        if here.pose is not None and self._arm.takes_poses:
            speed = float(np.linalg.norm(velocity))
            way = velocity * (speed / (2.0 * self._arm.cartesian.stop_deceleration))
            return Anchor(Pose(here.pose.position + way, here.pose.quaternion), here.joints)
        brakes = np.array([joint.acceleration for joint in self._arm.joints])
        return Anchor(None, here.joints + velocity * np.abs(velocity) / (2.0 * brakes))

    def _start(self) -> _Start:
        newest = self.measured.newest
        if newest is None:
            return _Start(False, 'the state of the arm is not known yet')
        states = self.measured.since(newest.stamp_ns - _START_NS)
        count = enough([stamp_ns for stamp_ns, _ in states])
        try:
            samples = [measured_anchor(self._arm, state) for _, state in states[-max(count, 1) :]]
        except ObservationError as error:
            return _Start(True, str(error))
        if count == 0:
            return _Start(
                False, f'the arm has not been measured {SAMPLES} times within {SPAN_S} s yet'
            )
        problem = start_problem(self._arm, samples)
        return _Start(True, problem, None if problem else samples[-1])

    def motion(self) -> tuple[Anchor, Float64Array]:
        """Return where the arm was measured last, and its velocity (n,) or (3,) [per s].

        Raises ObservationError where that is not known.
        """
        newest = self.measured.newest
        here = measured_anchor(self._arm, newest)
        assert newest is not None
        before = self.measured.at(newest.stamp_ns - _VELOCITY_NS)
        assert before is not None
        elapsed_s = max(newest.stamp_ns - before.stamp_ns, 1) / NANOSECONDS
        there = measured_anchor(self._arm, before)
        if here.pose is not None and there.pose is not None and self._arm.takes_poses:
            way = here.pose.position - there.pose.position
        else:
            way = here.joints - there.joints
        return here, np.asarray(way / elapsed_s if before is not newest else np.zeros(len(way)))

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """Return the age of each stream that something came from [s]."""
        ages = {stream: self.freshness.age_s(stream, now_ns) for stream in self._arm.inputs}
        return {stream: age_s for stream, age_s in ages.items() if age_s is not None}

    def clear(self) -> None:
        """Forget what was measured, and when."""
        self.measured.clear()
        self.freshness.clear()
