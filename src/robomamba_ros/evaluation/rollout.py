"""One episode in the simulation, in process, through the same control code as on a robot.

The virtual clock stands still while the policy computes, or, with a latency, goes on for a fixed
number of control periods: either way the same seed gives the same episode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from robomamba_ros.control.policy.observation_buffer import observation_buffer
from robomamba_ros.control.policy.policy_loop import PolicyLoop
from robomamba_ros.control.setpoints.setpoint_loop import SetpointLoop
from robomamba_ros.policies.base import ChunkPolicy
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.simulation.metaworld import CAMERA, DT_NS, MetaWorldSim
from robomamba_ros.types import ActionChunk, Float64Array, UInt8Array


@dataclass(frozen=True)
class Episode:
    """How an episode went.

    commanded, measured: (steps, 3) end-effector positions, base frame [m], one row per control
    period; mean_jerk: mean norm of the third difference of the measured position [m/s^3].
    """

    task: str
    seed: int
    success: bool
    steps: int
    commanded: Float64Array
    measured: Float64Array

    @property
    def mean_jerk(self) -> float:
        """Smoothness: mean norm of the measured end effector's jerk [m/s^3]."""
        if len(self.measured) < 4:
            return 0.0
        jerk = np.diff(self.measured, n=3, axis=0) / (DT_NS * 1e-9) ** 3
        return float(np.linalg.norm(jerk, axis=1).mean())


def run_episode(
    sim: MetaWorldSim,
    policy: ChunkPolicy,
    arm: ArmContract,
    seed: int,
    *,
    execute_steps: int,
    latency_steps: int = 0,
    instruction: str | None = None,
    view: Callable[[UInt8Array], UInt8Array] | None = None,
    watch: Callable[[], None] | None = None,
) -> Episode:
    """Run the simulation's task from a seed until success or its last step.

    execute_steps: actions run before the next inference; latency_steps: control periods between an
    observation and its chunk; instruction: instead of the task's own; view: what the policy sees
    of an image, for tests of whether it looks. watch: called in every control period, for who
    wants to see the simulation as it goes.
    """
    sim.reset(None, seed)
    policy.reset()
    buffer = observation_buffer(policy.spec, arm)
    buffer.set_instruction(sim.instruction if instruction is None else instruction)
    inference = PolicyLoop(policy, buffer, execute_steps=execute_steps)
    # Nine tasks reach further than the arm's contract says.
    control = SetpointLoop(replace(arm, workspace=sim.workspace), supervised=False)
    control.enable(True)
    pending: tuple[int, ActionChunk] | None = None
    commanded: list[Float64Array] = []
    measured: list[Float64Array] = []

    def image() -> UInt8Array:
        return sim.render() if view is None else view(sim.render())

    while not sim.done:
        if watch is not None:
            watch()
        now_ns = sim.steps * DT_NS
        state = sim.state(now_ns)
        buffer.add_state(state)
        if policy.spec.cameras:
            buffer.add_image(CAMERA, now_ns, image)
        control.update_state(state)
        if pending is None and inference.due(now_ns):
            pending = (sim.steps + latency_steps, inference.infer(now_ns))
        if pending is not None and sim.steps >= pending[0]:
            control.add_chunk(pending[1], now_ns)
            pending = None
        setpoint = control.tick(now_ns)
        target = sim.target_position
        if setpoint is not None and setpoint.pose is not None:
            target = setpoint.pose.position
        measured.append(state.pose.position)
        commanded.append(target)
        sim.step(target, 1.0 if setpoint is None else setpoint.gripper)
    return Episode(sim.task, seed, sim.success, sim.steps, np.array(commanded), np.array(measured))
