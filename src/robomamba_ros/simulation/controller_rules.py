"""How released versions of joint_trajectory_controller (JTC) replace one trajectory by another.

Read in `update` of joint_trajectory_controller.cpp and `blend_with_active_trajectory` of
github.com/ros-controls/ros2_controllers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """What a JTC does with a new message.

    at_update: it takes effect at the next update of the controller, not on receipt.
    looks_ahead: an update commands where the joints are to be one update period later. The new way
        is taken to begin one period earlier than it does, so one period of motion is skipped.
    replaces: a trajectory that runs is left where it was at the last update, whatever
        interpolate_from_desired_state says (`allow_trajectory_replacement`).
    ends_in_motion: a last velocity other than 0 is accepted by default
        (`allow_nonzero_velocity_at_trajectory_end`). The position there is held nevertheless, so
        the joints stop within an update.

    With at_update, and where a trajectory is replaced, one period of motion is done twice instead.
    """

    at_update: bool = False
    looks_ahead: bool = False
    replaces: bool = False
    ends_in_motion: bool = False


# ideal: the limit of a controller whose update period is 0; no released version is that good.
# humble: 2.54; 4.8 hands over like it. jazzy: 4.42, and UR's scaled ones. kilted: 5.17. master: 6.8
# and later.
VERSIONS = {
    'ideal': Rules(),
    'humble': Rules(at_update=True, ends_in_motion=True),
    'jazzy': Rules(at_update=True, looks_ahead=True),
    'kilted': Rules(at_update=True, looks_ahead=True),
    'master': Rules(at_update=True, looks_ahead=True, replaces=True),
}
