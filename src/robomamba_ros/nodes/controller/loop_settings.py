"""What the parameters of the controller node make of its setpoint loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robomamba_ros.control.motion.blending import Blending
from robomamba_ros.control.setpoints.lockstep import LockstepGate
from robomamba_ros.control.setpoints.senders import sends_trajectories
from robomamba_ros.control.setpoints.setpoint_loop import SetpointLoop
from robomamba_ros.control.setpoints.start import SEEN_NS
from robomamba_ros.errors import ConfigError
from robomamba_ros.robots.arm import ArmContract


def loop_of(
    parameters: Mapping[str, Any], arm: ArmContract, *, simulated_time: bool
) -> SetpointLoop:
    """Return the loop; it supervises an arm that is there, and that it commands."""
    decay, dry_run = parameters['ensemble_decay'], parameters['dry_run']
    return SetpointLoop(
        arm,
        blending=Blending(parameters['crossfade_steps'], decay if decay >= 0.0 else None),
        foresight=sends_trajectories(arm) and not dry_run,
        supervised=not dry_run and (parameters['mode'] != 'lockstep' or is_physical(arm)),
        age_factor=parameters['budget_factor'],
        enable_timeout_s=parameters['enable_timeout_s'],
        simulated_time=simulated_time,
    )


def gate_of(parameters: Mapping[str, Any], arm: ArmContract) -> LockstepGate | None:
    """Return what makes states wait for chunks in lockstep, None in realtime.

    Raises ConfigError where it is not said for which chunk a state waits.
    """
    if parameters['mode'] != 'lockstep':
        return None
    if parameters['execute_steps'] == 0:
        raise ConfigError("mode lockstep needs the parameter 'execute_steps' above 0")
    return LockstepGate(parameters['execute_steps'], SEEN_NS if is_physical(arm) else 0)


def is_physical(arm: ArmContract) -> bool:
    """Whether an arm is supervised in lockstep too: one in physics, behind its own controllers.

    Meta-World's hand is drawn to poses by a spring, and may be anywhere.
    """
    return sends_trajectories(arm)
