"""What a setpoint loop says about itself: its state and the reason, and how it took a chunk in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class LoopState(str, Enum):
    """What the loop does with the arm.

    disabled: commands nothing. waiting: holds still until the first chunk. tracking: follows a
    chunk. stopping: brakes along the way it moves. resetting: brakes, then forgets and waits.
    holding: at rest after a stop. docs/architecture.md has the transitions.
    """

    DISABLED = 'disabled'
    WAITING = 'waiting'
    TRACKING = 'tracking'
    STOPPING = 'stopping'
    RESETTING = 'resetting'
    HOLDING = 'holding'


# The arm moves and comes to rest.
STOPS = (LoopState.STOPPING, LoopState.RESETTING)


@dataclass(frozen=True)
class LoopStatus:
    """The state of the loop and, where it does not track, the reason in words."""

    state: LoopState
    reason: str


@dataclass(frozen=True)
class ChunkReceipt:
    """How a chunk was taken in.

    trimmed_steps: whole steps of it that had passed already. seam_jump_m, seam_jump_rad: way and
    turn between where it puts the end effector now and where it was commanded to be.
    seam_jump_joint: the same of the joint that jumps most [rad or m], for chunks of joints.
    """

    trimmed_steps: int
    seam_jump_m: float = 0.0
    seam_jump_rad: float = 0.0
    seam_jump_joint: float = 0.0
