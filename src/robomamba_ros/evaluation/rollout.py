"""One episode in the simulation, in process, through the same control code as on a robot.

The virtual clock stands still while the policy computes, or, with a latency, goes on for a fixed
number of control periods: either way the same seed gives the same episode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from robomamba_ros.control.policy.observation_buffer import observation_buffer
from robomamba_ros.control.policy.policy_loop import PolicyLoop
from robomamba_ros.control.setpoints.openings import OnChange
from robomamba_ros.control.setpoints.senders import (
    Command,
    TrajectorySender,
    TwistSender,
    lead_ns,
    sends_trajectories,
)
from robomamba_ros.control.setpoints.setpoint_loop import SetpointLoop
from robomamba_ros.control.setpoints.start import SEEN_NS
from robomamba_ros.control.setpoints.status import STOPS
from robomamba_ros.errors import ActionError
from robomamba_ros.policies.base import ChunkPolicy
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.parts import Output
from robomamba_ros.simulation.joint_trajectory import JointTrajectory, joint_trajectory
from robomamba_ros.simulation.simulation import Simulation
from robomamba_ros.types import ActionChunk, Float64Array, UInt8Array


@dataclass(frozen=True)
class Episode:
    """How an episode went.

    commanded, measured: (steps, 3) end-effector positions, base frame [m], one row per control
    period of dt_ns; mean_jerk: mean norm of the third difference of the measured position
    [m/s^3].
    """

    task: str
    seed: int
    success: bool
    steps: int
    commanded: Float64Array
    measured: Float64Array
    dt_ns: int

    @property
    def mean_jerk(self) -> float:
        """Smoothness: mean norm of the measured end effector's jerk [m/s^3]."""
        if len(self.measured) < 4:
            return 0.0
        jerk = np.diff(self.measured, n=3, axis=0) / (self.dt_ns * 1e-9) ** 3
        return float(np.linalg.norm(jerk, axis=1).mean())


def run_episode(
    sim: Simulation,
    policy: ChunkPolicy,
    arm: ArmContract,
    seed: int,
    *,
    execute_steps: int,
    latency_steps: int = 0,
    instruction: str | None = None,
    view: Callable[[UInt8Array], UInt8Array] | None = None,
    watch: Callable[[], None] | None = None,
    ends: Callable[[], bool] | None = None,
) -> Episode:
    """Run the simulation's task from a seed until success, its last step, or a stop of the arm.

    execute_steps: actions run before the next inference; latency_steps: control periods between an
    observation and its chunk; instruction: instead of the task's own; view: what the policy sees
    of an image, for tests of whether it looks. watch: called in every control period, for who
    wants to see the simulation as it goes. ends: asked in every control period whether the episode
    ends there for another reason.
    """
    sim.reset(None, seed)
    policy.reset()
    buffer = observation_buffer(policy.spec, arm)
    buffer.set_instruction(sim.instruction if instruction is None else instruction)
    inference = PolicyLoop(policy, buffer, execute_steps=execute_steps)
    controls = _Controls(sim, arm)
    pending: tuple[int, ActionChunk] | None = None
    commanded: list[Float64Array] = []
    measured: list[Float64Array] = []

    def image(camera: str) -> UInt8Array:
        return sim.render(camera) if view is None else view(sim.render(camera))

    refused = False
    # After a stop somebody would have to look at the robot; here its episode ends, at rest.
    while not (sim.done or (refused and controls.at_rest) or (ends is not None and ends())):
        if watch is not None:
            watch()
        now_ns = sim.steps * sim.dt_ns
        state = sim.state(now_ns)
        buffer.add_state(state)
        for camera in policy.spec.cameras:
            if camera.name in sim.cameras:
                buffer.add_image(camera.name, now_ns, partial(image, camera.name))
        controls.loop.update_state(state)
        begun = sim.steps >= controls.first_step and not refused
        if begun and pending is None and inference.due(now_ns):
            pending = (sim.steps + latency_steps, inference.infer(now_ns))
        if pending is not None and sim.steps >= pending[0]:
            try:
                controls.loop.add_chunk(pending[1], now_ns)
            except ActionError:
                if not controls.supervised:
                    raise
                refused = True
            pending = None
        measured.append(state.pose.position)
        commanded.append(controls.step(now_ns))
    return Episode(
        sim.task,
        seed,
        sim.success,
        sim.steps,
        np.array(commanded),
        np.array(measured),
        sim.dt_ns,
    )


class _Controls:
    """The control of a robot, and what its controllers are sent.

    supervised: whether it stops where the robot does not do what it is told. Not so Sawyer, whose
    hand is drawn to poses by a spring. first_step: from when on the robot was seen at rest.
    """

    def __init__(self, sim: Simulation, arm: ArmContract) -> None:
        self._sim = sim
        self.supervised = sim.urdf is not None
        self.first_step = -(-SEEN_NS // sim.dt_ns) if self.supervised else 0
        kinematics = None if sim.urdf is None else Kinematics(arm, sim.urdf, watch=True)
        # Some tasks reach further than the arm's contract says.
        self.loop = SetpointLoop(
            replace(arm, workspace=sim.workspace),
            kinematics=kinematics,
            foresight=sends_trajectories(arm),
            supervised=self.supervised,
        )
        self.loop.enable(True)
        self._senders = {
            output.part: TrajectorySender(arm, output)
            for output in arm.outputs
            if output.kind == 'joint_trajectory' and output.part != 'gripper'
        }
        self._twists = {
            output.part: TwistSender(arm, output)
            for output in arm.outputs
            if output.kind == 'twist'
        }
        hand = arm.output('gripper')
        self._gripper: _GripperWays | None = None
        if hand is not None and hand.kind == 'joint_trajectory':
            self._gripper = _GripperWays(arm, hand)

    @property
    def at_rest(self) -> bool:
        """Whether it brakes no more."""
        return self.loop.status.state not in STOPS

    def step(self, now_ns: int) -> Float64Array:
        """Advance by a control period; returns where the end effector was told to be (3,) [m]."""
        setpoint, command = self.loop.tick(now_ns), self.loop.command()
        target = self._sim.target_position
        if setpoint is not None and setpoint.pose is not None:
            target = setpoint.pose.position
        ways: dict[str, JointTrajectory] = {}
        for part, sender in self._senders.items():
            sent = None if command is None else sender.send(command, now_ns)
            if sent is not None:
                ways[part] = joint_trajectory([joint.name for joint in sender.joints], *sent)
        if self._gripper is not None:
            ways.update(self._gripper.ways(command))
        told = {
            part: sender.stop() if command is None else sender.send(command)
            for part, sender in self._twists.items()
        }
        twists = {part: twist for part, twist in told.items() if twist is not None}
        self._sim.follow(setpoint, ways, twists)
        return target


class _GripperWays(OnChange):
    """The trajectories of a gripper that takes them: one point each, when its opening changes."""

    def __init__(self, arm: ArmContract, output: Output) -> None:
        super().__init__(arm.control_rate_hz)
        self._arm, self._lead_ns = arm, lead_ns(arm, output)
        self._new: dict[str, JointTrajectory] = {}

    def go_to(self, opening: float) -> bool:
        """Keep the trajectory, for `ways`."""
        gripper = self._arm.gripper
        assert gripper is not None
        point = np.array([[[gripper.position(opening)], [0.0], [0.0]]])
        names = self._arm.names_of('gripper')
        self._new['gripper'] = joint_trajectory(names, [self._lead_ns], point)
        return True

    def ways(self, command: Command | None) -> dict[str, JointTrajectory]:
        """Return what its controller is sent in a period, by part."""
        if command is None:
            self.stop()
        else:
            self.send(command)
        new, self._new = self._new, {}
        return new
