"""The settings of a joint_trajectory_controller under which the limits of an arm hold.

The rule is here alone: controller_node refuses to move by it, and the doctor says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.parts import Output

# Each lets a new trajectory begin where the last one put the joints. The first is that of current
# versions, the second that of older ones. Where there is the third (ros2_controllers 6.8), a
# trajectory that runs is replaced from its own course by default.
FROM_DESIRED = (
    'interpolate_from_desired_state',
    'open_loop_control',
    'allow_trajectory_replacement',
)
# Each names what slows the time of trajectories, or is empty: that of current versions
# (joint_trajectory_controller_parameters.yaml of ros2_controllers), and of Universal Robots
# (scaled_joint_trajectory_controller_parameters.yaml of Universal_Robots_ROS2_Driver).
SCALED_BY = ('speed_scaling.state_interface', 'speed_scaling_interface_name')
# All that is read of a controller.
CONTROLLER_PARAMETERS = ('joints', 'allow_partial_joints_goal', *FROM_DESIRED, *SCALED_BY)


class Problem(NamedTuple):
    """What keeps limits from holding at a controller: what it is about, the finding, the remedy."""

    about: str
    found: str
    remedy: str


def depends_on_settings(output: Output) -> bool:
    """Return whether limits hold at the controller of an output only by its settings."""
    return output.kind == 'joint_trajectory' and output.part != 'gripper'


def can_be_asked(output: Output) -> bool:
    """Return whether the controller of an output has settings that say how it takes commands."""
    return depends_on_settings(output) or (
        output.kind == 'forward_position' and output.part != 'gripper'
    )


def problems_of(
    output: Output, topic: str, readers: Mapping[str, Mapping[str, Any]], arm: ArmContract
) -> list[Problem]:
    """Return what keeps limits from holding by those who read a topic of commands.

    readers: the settings of each node, those that it has. Who reads along, as a recorder does, has
    none and is passed over.
    """
    found = [
        problem
        for name, settings in readers.items()
        for problem in (
            _joints(output, name, settings, arm.names_of(output.part)),
            _start(name, settings) if depends_on_settings(output) else None,
            _scaling(name, settings, arm) if depends_on_settings(output) else None,
        )
        if problem is not None
    ]
    told = any(setting in settings for settings in readers.values() for setting in FROM_DESIRED)
    if readers and depends_on_settings(output) and not (told or output.assume_settings):
        found.append(
            Problem(
                'settings',
                f'{", ".join(sorted(readers))} on {topic}: its settings cannot be read, so nobody '
                'knows whether limits hold there',
                'start the joint_trajectory_controller, or write `controller_settings: assume` at '
                'this output of the arm contract to move the arm without asking',
            )
        )
    return found


def _start(controller: str, settings: Mapping[str, Any]) -> Problem | None:
    known = [name for name in FROM_DESIRED if name in settings]
    if not known or any(settings[name] for name in known):
        return None
    name = controller.rpartition('/')[2]
    return Problem(
        'streaming',
        f'{controller} has {known[0]} false: it begins each trajectory where the joints are, '
        'behind where they were sent, and limits do not hold there',
        f'write `{known[0]}: true` under `{name}: ros__parameters:` in the file of its controllers',
    )


def _scaling(controller: str, settings: Mapping[str, Any], arm: ArmContract) -> Problem | None:
    """Return that a robot slows trajectories and nobody hears by how much.

    Each newer one would hurry the arm to where it would be at full speed. It is never behind for
    long enough to be noticed by where it is.
    """
    scaled = [name for name in SCALED_BY if settings.get(name)]
    if not scaled or arm.speed_scaling is not None:
        return None
    return Problem(
        'scaling',
        f'{controller} slows trajectories by {settings[scaled[0]]}, which the arm contract does '
        'not read, and limits do not hold when it does',
        'name the topic that tells it in the contract, as `speed_scaling: {topic: '
        'speed_scaling_state_broadcaster/speed_scaling, budget_s: 0.2}`',
    )


def _joints(
    output: Output, controller: str, settings: Mapping[str, Any], sent: Sequence[str]
) -> Problem | None:
    joints = settings.get('joints')
    if not joints or output.kind not in ('joint_trajectory', 'forward_position'):
        return None
    remedy = 'give the controller and the arm contract the same joints'
    partial = output.kind == 'joint_trajectory' and settings.get('allow_partial_joints_goal')
    if set(sent) != set(joints) and not (partial and set(sent) < set(joints)):
        found = f'{controller} moves {", ".join(joints)}; sent are {", ".join(sent)}'
        return Problem('joints', found, remedy)
    if output.kind == 'forward_position' and list(sent) != list(joints):
        return Problem(
            'joints',
            f'{controller} has the order {", ".join(joints)}; positions are sent as '
            f'{", ".join(sent)}',
            f'{remedy}, in the same order',
        )
    return None
