"""Moves the command of an arm: from rest, along a course, to rest; remembers where it went.

Decides nothing: the setpoint loop says what to follow and when to stop.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robomamba_ros.control.history import StateHistory
from robomamba_ros.control.motion.blending import Blending, Hold
from robomamba_ros.control.motion.course import Course, Plan, advance
from robomamba_ros.control.motion.forecast import Foresight
from robomamba_ros.control.motion.joint_motion import JointMotion, measured_anchor, start_motion
from robomamba_ros.control.motion.pose_motion import Anchor, Motion
from robomamba_ros.control.motion.timeline import Timeline, check_times, executed_steps, gap
from robomamba_ros.control.motion.trajectory import Trajectory
from robomamba_ros.control.setpoints.commanded import Commanded
from robomamba_ros.control.setpoints.held import Held
from robomamba_ros.control.setpoints.preview import Scene, Stretch, discarded_at_seam
from robomamba_ros.control.setpoints.status import ChunkReceipt
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import ActionChunk, RobotState, Setpoint

# How many times the delay of a change controllers of trajectories may take to hold the arm where it
# was measured at a start. What they held before, some way off where it hangs, nobody else knows.
_SETTLING = 2


class Commander:
    """The command of an arm, period by period.

    Times are the arm's own (see ArmTime).

    active_limits, problem: those that kept the last command from its point, and why it cannot be
    followed (see Motion); empty where no course was. following: what was commanded, against what is
    done. anew: whether the newest trajectory is the first one since the arm was at rest. held: the
    last command, as controllers of streams hold it.
    """

    def __init__(
        self,
        arm: ArmContract,
        blending: Blending,
        kinematics: Kinematics | None,
        *,
        foresight: bool,
    ) -> None:
        self._arm = arm
        self._blending = blending
        self.use_kinematics(kinematics)
        self._motion: Motion | None = None
        self.held = Held(arm)
        self._gripper = 0.0
        self._timeline: Timeline | None = None
        # What is wanted, and what is done: the same, but for the delay in which controllers of
        # trajectories come onto another way. changed: it is wanted since the last step.
        self._course: Course | None = None
        self._plan, self._changed = Plan(), False
        # Where to come to rest, None for straight on.
        self._rest: Anchor | None = None
        self._discarded: tuple[Stretch, ...] = ()
        self._commanded = Commanded(arm)
        self.following = self._commanded.following
        self.tick_ns = 0
        self.anew, self._rested = False, True
        # From when on controllers of trajectories are known to be where the arm was started.
        self._settled_ns: int | None = None
        self._foresight = Foresight(arm) if foresight else None
        self._foresight_current = True
        self.active_limits: tuple[str, ...] = ()
        self.problem = ''

    def use_kinematics(self, kinematics: Kinematics | None) -> None:
        """Take the arm's kinematics, None for none."""
        self.kinematics = kinematics
        self._drawing_kinematics = None if kinematics is None else kinematics.copy()

    @property
    def started(self) -> bool:
        """Whether anything is commanded."""
        return self._motion is not None

    @property
    def at_rest(self) -> bool:
        """Whether the command stands still for good, and controllers of trajectories know it."""
        if self._motion is None or self._foresight is None:
            return self.still
        announced = self._foresight_current and not self._changed
        over = self._plan.is_over(self.tick_ns) and self._foresight.is_over(self.tick_ns)
        return self.still and announced and over

    @property
    def still(self) -> bool:
        """Whether the command stands still now, though it may be about to move."""
        return self._motion is None or self._motion.at_rest

    @property
    def joints(self) -> dict[str, float]:
        """The position that each joint was told to be in last [rad or m]; {} before the first."""
        if self._motion is None:
            return {}
        told = self._motion.commanded.joints.tolist()
        return {j.name: p for j, p in zip(self._arm.joints, told, strict=False)}

    @property
    def settling_ns(self) -> int:
        """How long controllers of trajectories may take to hold the arm where it was started."""
        return 0 if self._foresight is None else _SETTLING * self._foresight.delay_ns

    @property
    def end_ns(self) -> int | None:
        """When the chunk that is followed ends [ns]; None without one."""
        return None if self._course is None else self._course.end_ns

    def start(self, state: RobotState | None, references: Mapping[str, float]) -> None:
        """Stand where the arm is; raises ObservationError where that is not known.

        references: joints that their controllers hold, with where those want them [rad or m].
        """
        here = self.held.start(measured_anchor(self._arm, state))
        pairs = zip(self._arm.joints[: len(here.joints)], here.joints.tolist(), strict=True)
        joints = np.array([references.get(joint.name, position) for joint, position in pairs])
        self._motion = start_motion(self._arm, self.kinematics, Anchor(here.pose, joints))
        self._gripper = self._gripper if state is None else state.gripper
        self._foresight_current, self._rested = False, True
        self._settled_ns = None

    def take(
        self,
        chunk: ActionChunk,
        now_ns: int,
        measured: StateHistory,
        *,
        seen_ns: int | None = None,
        resting: Anchor | None = None,
    ) -> ChunkReceipt:
        """Follow `chunk` from now on, or as soon as controllers of trajectories can.

        seen_ns: the stamp of the chunk by the clock, which measurements have, where it is not the
        chunk's. resting: where the arm rests, if that is not where it was told to be. Raises
        ActionError or ObservationError where it cannot be followed, and changes nothing.
        """
        check_times(chunk, now_ns, self._timeline)
        motion = self._motion or start_motion(
            self._arm, self.kinematics, measured_anchor(self._arm, measured.newest)
        )
        # Commands come later than their points by the lag, so points are looked up ahead by it.
        lag_ns = motion.lag_ns(chunk.space)
        if resting is None:
            seen_ns = chunk.stamp_ns if seen_ns is None else seen_ns
            resting = self._commanded.anchor(chunk.stamp_ns, seen_ns, lag_ns, measured)
        timeline = motion.timeline(chunk, resting)
        start = timeline.at(now_ns + lag_ns)
        here = (self._commanded.history.at(now_ns) or motion.anchor).like(start)
        path = Hold(here) if self._course is None else self._course.path
        if type(path.at(now_ns)) is not type(start):
            path = Hold(here)
        path = self._blending.join(path, timeline, now_ns)
        self._discarded = discarded_at_seam(self._timeline, timeline, now_ns)
        self._course, self._timeline = Course(path, chunk.end_ns, lag_ns), timeline
        self._rested = self._rested or self.at_rest
        self._rest, self._changed = None, True
        return ChunkReceipt(executed_steps(chunk, now_ns), *gap(here, start))

    def step(self, tick_ns: int) -> Setpoint:
        """Return the command of the period that begins at tick_ns, which must be started."""
        motion, period_ns = self._motion, self._arm.period_ns
        assert motion is not None
        if self._settled_ns is None:
            self._settled_ns = tick_ns + self.settling_ns
        if self._changed and tick_ns >= self._settled_ns:
            begins_ns = tick_ns + (0 if self._foresight is None else self._foresight.delay_ns)
            plan = Plan(self._course, begins_ns, self._plan, self._rest)
            self._plan = plan.since(tick_ns)
            self._changed = self._foresight_current = False
            if self._foresight is not None:
                self._foresight.diverge(begins_ns)
        known = None if self._foresight is None else self._foresight.step(tick_ns)
        if known is not None:
            motion, followed = known.motion, known.followed
            self._motion = motion
        else:
            followed = advance(motion, self._plan, tick_ns, period_ns)
        self.active_limits = motion.active_limits if followed else ()
        self.problem = motion.problem if followed else ''
        if followed is not None:
            opening = followed.path.gripper_at(tick_ns)
            self._gripper = self._gripper if opening is None else opening
        self._commanded.note(tick_ns, motion)
        self.tick_ns = tick_ns
        return motion.setpoint(tick_ns, self._gripper)

    def return_to(self, place: Anchor) -> None:
        """Come to rest at `place` within limits, from now on or as soon as controllers can."""
        if self._motion is not None:
            self.run_out()
            self._rest, self._changed = place, True

    def drop_course(self) -> None:
        """Brake from now on, or as soon as controllers of trajectories can."""
        self._changed = self._changed or self._course is not None
        self.run_out()

    def run_out(self) -> None:
        """Take note that the course is over; what is done ends by itself."""
        self._timeline = self._course = None

    def give_up(self) -> None:
        """Brake at once, as controllers of trajectories have been told to do here."""
        self._drop_plan()
        if self._foresight is not None:
            self._foresight.give_up()

    def end_as_sent(self) -> None:
        """Send controllers of trajectories nothing more: they rest at the end of what they have."""
        self._drop_plan()
        if self._foresight is not None:
            self._foresight.end()

    def stand_still(self) -> None:
        """Go on from rest where the last command was: nothing has moved the arm since."""
        if self._motion is not None:
            self._motion = start_motion(self._arm, self.kinematics, self._motion.commanded)
            self._drop_plan()

    def _drop_plan(self) -> None:
        self.run_out()
        self._plan, self._changed, self._rest = Plan(), False, None

    def forget(self, *, held: bool = False) -> None:
        """Command nothing any more; held: controllers hold what they were told last (see Held)."""
        if self._motion is not None or not held:
            self.held.keep(self._motion.commanded if held and self._motion is not None else None)
        self._motion = None
        self._discarded = ()
        self.forget_times()
        if self._foresight is not None:
            self._foresight.clear()

    def forget_times(self) -> None:
        """Forget when things were commanded or were to be: brake at once."""
        self._commanded.clear()
        self.give_up()
        if self._foresight is not None:
            self._foresight.diverge(0)
        self._foresight_current = False
        self._settled_ns = None

    def catch_up(self, now_ns: int) -> tuple[int, str]:
        """Do the ticks that were missed, as controllers of trajectories did by themselves.

        Returns the tick of `now_ns`, on the grid that the trajectories were computed on, and why
        they are at rest or on the way to it, '' where they are not. Without foresight nothing
        moves the arm but the next command: no tick is missed, and the tick is now.
        """
        motion, foresight, period_ns = self._motion, self._foresight, self._arm.period_ns
        if foresight is None or not isinstance(motion, JointMotion):
            return now_ns, ''
        last_ns = self.tick_ns
        tick_ns = last_ns + (now_ns - last_ns + period_ns // 2) // period_ns * period_ns
        problem = ''
        for missed_ns in range(last_ns + period_ns, tick_ns, period_ns):
            motion, stopped = foresight.advance_missed(motion, missed_ns)
            problem = stopped or problem
            self._motion = motion
            self._commanded.note(missed_ns, motion)
            if motion.at_rest and foresight.is_over(missed_ns):
                break
        return tick_ns, problem

    def trajectory(self) -> Trajectory | None:
        """Return what controllers of trajectories are to be sent after the last step.

        None where what they have still holds, and without foresight.
        """
        if self._foresight is None:
            return None
        if not self._foresight_current and isinstance(self._motion, JointMotion):
            self._foresight.restart(self._motion, self._plan, self.tick_ns)
            self._foresight_current = True
        trajectory = self._foresight.due(self.tick_ns)
        self.anew = self._rested
        self._rested = self._rested and trajectory is None
        return trajectory

    def scene(self, now_ns: int) -> Scene:
        """Return what there is to draw; any thread may ask, and one may draw it."""
        return Scene(
            self._arm,
            self._drawing_kinematics,
            now_ns,
            self._commanded.history.copy(),
            self._course,
            self._timeline,
            self._discarded,
        )
