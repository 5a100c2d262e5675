"""Publishes commands in the form that the arm's controllers take, one small class per kind.

Topics have the node's own names (Output.name) and are remapped from the arm contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from robomamba_ros.control.setpoints.senders import Command
from robomamba_ros.errors import ConfigError
from robomamba_ros.nodes.controller.outputs.command import CommandOutput
from robomamba_ros.nodes.controller.outputs.gripper_action import GripperGoal
from robomamba_ros.nodes.controller.outputs.grippers import GripperTrajectory
from robomamba_ros.nodes.controller.outputs.positions import (
    ForwardPosition,
    GripperPosition,
    GripperState,
    TargetPose,
)
from robomamba_ros.nodes.controller.outputs.trajectories import TrajectoryOutput
from robomamba_ros.nodes.controller.outputs.twists import TwistOutput
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output

__all__ = ['Outputs']


class Outputs:
    """Every output of an arm contract; raises ConfigError and BackendError.

    parameters: `gripper_output`, 'contract' or a kind instead of the contract's, `dry_run`: nothing
    is published, and `mode`: lockstep has a message for every period. now_ns: the time of control.
    on_error: called with what goes wrong later. on_other: called, with words, where somebody else
    sends a trajectory.
    """

    def __init__(
        self,
        node: Any,
        arm: ArmContract,
        parameters: Mapping[str, Any],
        now_ns: Callable[[], int],
        on_error: Callable[[Exception], None],
        on_other: Callable[[str], None],
    ) -> None:
        gripper_output = parameters['gripper_output']
        self._all: dict[str, CommandOutput] = {}
        for output in () if parameters['dry_run'] else arm.outputs:
            if output.part == 'gripper' and gripper_output != 'contract':
                output = replace(output, kind=gripper_output)
            try:
                self._all[output.name] = _make(
                    node, arm, output, now_ns, on_error, on_other, parameters['mode']
                )
            except Exception:
                self.destroy()
                raise

    @property
    def counts(self) -> dict[str, int]:
        """How many commands were sent, by the name of the output."""
        return {name: output.count for name, output in self._all.items()}

    @property
    def at_rest(self) -> bool:
        """Whether every part stays at rest if nothing more is published."""
        return all(output.at_rest for output in self._all.values())

    def send(self, command: Command) -> None:
        """Publish what a control period asks for."""
        for output in self._all.values():
            output.send(command)

    def stand_still(self) -> None:
        """Go on from rest: this process stood still for so long that what is streamed has ended."""
        for output in self._all.values():
            output.stand_still()

    def stop(self) -> None:
        """Nothing is commanded any more: come to rest; once per period."""
        for output in self._all.values():
            output.stop()

    def forget(self) -> None:
        """Forget what was sent: a simulation has put the arm elsewhere."""
        for output in self._all.values():
            output.forget()

    def destroy(self) -> None:
        """Stop publishing."""
        while self._all:
            self._all.popitem()[1].destroy()


def _make(
    node: Any,
    arm: ArmContract,
    output: Output,
    now_ns: Callable[[], int],
    on_error: Callable[[Exception], None],
    on_other: Callable[[str], None],
    mode: str,
) -> CommandOutput:
    part, kind = output.part, output.kind
    lockstep_ns = now_ns if mode == 'lockstep' else None
    if part in ('base', 'head') and arm.takes_poses:
        raise ConfigError(
            f"arm '{arm.name}' is commanded by poses, which say nothing about its part '{part}'; "
            'command the arm by joint_trajectory or forward_position, or leave the joints of the '
            'part out of the contract'
        )
    if output.action:
        return GripperGoal(node, arm, output, on_error)
    if kind == 'forward_position' and part != 'gripper':
        return ForwardPosition(node, arm, output)
    if kind == 'joint_trajectory' and part == 'gripper':
        return GripperTrajectory(node, arm, output, lockstep_ns)
    if kind == 'joint_trajectory':
        return TrajectoryOutput(node, arm, output, now_ns, on_other, lockstep_ns)
    if kind == 'joint_state':
        return GripperState(node, arm, output, lockstep_ns)
    if kind == 'twist':
        return TwistOutput(node, arm, output, lockstep_ns)
    kinds: dict[str, Callable[[Any, ArmContract, Output], CommandOutput]] = {
        'target_pose': TargetPose,
        'forward_position': GripperPosition,
    }
    return kinds[kind](node, arm, output)
