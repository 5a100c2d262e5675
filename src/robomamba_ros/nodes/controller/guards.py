"""Reports to the setpoint loop what outside of this process must hold for the arm to move.

It checks publishers, controllers, interlocks and speed scaling; the loop decides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robomamba_ros.control.setpoints.setpoint_loop import SetpointLoop
from robomamba_ros.nodes.common.publishers_watch import Publishers
from robomamba_ros.nodes.controller.controller_states import ControllerState
from robomamba_ros.nodes.controller.controller_watch import ActivityWatch, SettingsWatch
from robomamba_ros.nodes.controller.goals_watch import GoalsWatch
from robomamba_ros.nodes.controller.interlocks import InterlockInput, SpeedScalingInput
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.controller_settings import can_be_asked, depends_on_settings


class Guards:
    """Sets the interlocks of a loop.

    now_ns: the time of control. robot: whether a real one is there to say what its contract waits
    for. dry_run: nothing is commanded, so only inputs count. on_missing: told what is not looked
    at, in one line each. Raises ConfigError.
    """

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        loop: SetpointLoop,
        now_ns: Callable[[], int],
        on_missing: Callable[[Exception], None],
        *,
        robot: bool,
        dry_run: bool,
    ) -> None:
        self._loop = loop
        self._now_ns = now_ns
        self._set: dict[str, str] = {}
        outputs = () if dry_run else arm.outputs
        allowed = {stream: arm.publishers.get(stream, 1) for stream in arm.inputs}
        allowed |= {'action_chunk': 1, 'joint_chunk': 1}
        allowed |= {output.name: output.publishers for output in outputs}
        self.publishers = Publishers(node, allowed)
        self._settings = {
            output.name: SettingsWatch(node, output, arm)
            for output in outputs
            if can_be_asked(output)
        }
        self._activity = ActivityWatch(node, tuple(o.name for o in outputs), on_missing)
        # Those that go on by themselves with what they were sent.
        ways = [output for output in outputs if depends_on_settings(output)]
        self._ways = {output.name for output in ways}
        self._goals = GoalsWatch(node, tuple(output.name for output in ways))
        self._states = [
            ControllerState(node, output, arm, loop, now_ns, on_missing) for output in ways
        ]
        self._said: dict[str, InterlockInput | SpeedScalingInput] = {}
        if not robot and (arm.interlocks or arm.speed_scaling):
            node.get_logger().warning(
                f"interlocks and speed scaling of arm '{arm.name}' are not looked at, as the "
                "parameter 'interlocks' is false: no real arm may move so"
            )
        try:
            if robot and not dry_run:
                self._listen(node, arm, on_missing)
        except Exception:
            self.destroy()
            raise
        # From the first moment on: nothing may move before it has been looked at.
        self.look()
        self.check(now_ns())

    def _listen(self, node: Any, arm: ArmContract, on_missing: Callable[[Exception], None]) -> None:
        for each in arm.interlocks:
            said = InterlockInput(node, each, self._now_ns, on_missing)
            self._said[f'interlock {each.name}'] = said
        if arm.speed_scaling is not None:
            self._said['speed scaling'] = SpeedScalingInput(
                node, arm.speed_scaling, self._now_ns, self._loop.set_speed_scale
            )

    def look(self) -> None:
        """Look at the graph, and ask who has to be asked; a few times a second."""
        self.publishers.look()
        # Who else commands a controller of trajectories may have it on another way by now, which a
        # stop would leave by a jump. What it was sent ends at rest by itself.
        taken = not self.publishers.problems.keys().isdisjoint(self._ways)
        self._tell('publishers', self.publishers.problem, taken=taken)
        for name, settings in self._settings.items():
            settings.look()
            self._tell(name, settings.problem())
        self._goals.look()
        self._activity.look()
        self._tell('activity', self._activity.problem())
        for each in (*self._states, *self._said.values()):
            each.look()

    def check(self, now_ns: int) -> None:
        """Hold what was said against the time; in every control period."""
        for state in self._states:
            state.check(now_ns)
        for name, said in self._said.items():
            self._tell(name, said.problem(now_ns))
        self._tell('goals', self._goals.problem(), taken=True)

    @property
    def problems(self) -> str:
        """Why the arm may not be moved now, '' where it may."""
        return '; '.join(filter(None, self._set.values()))

    def _tell(self, name: str, problem: str, *, taken: bool = False) -> None:
        if problem != self._set.get(name, ''):
            self._set[name] = problem
            self._loop.set_interlock(name, problem, taken=taken)

    def destroy(self) -> None:
        """Disconnect."""
        for each in (
            *self._settings.values(),
            self._goals,
            self._activity,
            *self._states,
            *self._said.values(),
        ):
            each.destroy()
