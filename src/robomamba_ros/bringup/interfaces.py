"""What each process of a robot needs of the ROS graph, for an arm contract.

The one table of it. Permissions are made from it, and a test holds it against the graph of nodes
that run: a topic or service that is added to a node and not here fails there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from robomamba_ros.bringup.topics import arm_remappings, input_topics
from robomamba_ros.robots.arm import ArmContract

POLICY, CONTROLLER, RECORDER, DOCTOR = (
    'policy_node',
    'controller_node',
    'robomamba_record',
    'doctor',
)
# The name that the person who may command has in the policy; `ros2` names its own nodes.
OPERATOR = 'operator'


@dataclass(frozen=True)
class Interface:
    """What a node publishes, subscribes to, answers, asks for, and the actions of its goals.

    acts: actions it sends goals of; performs: those it serves.

    Names as ROS has them: /x is x, ~/x is the node's own, any other is in its namespace; * stands
    for any text.
    """

    publishes: tuple[str, ...] = ()
    subscribes: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    acts: tuple[str, ...] = ()
    performs: tuple[str, ...] = ()

    def __add__(self, other: Interface) -> Interface:
        """Return both, each name once."""
        return Interface(
            *(
                tuple(dict.fromkeys((*getattr(self, kind.name), *getattr(other, kind.name))))
                for kind in fields(Interface)
            )
        )

    def remapped(self, rules: Mapping[str, str]) -> Interface:
        """Return the interface with the names that remappings lead to."""
        return Interface(
            *(
                tuple(rules.get(name, name) for name in getattr(self, kind.name))
                for kind in fields(Interface)
            )
        )


# Of every node of rclpy, and of one with services for its parameters.
_NODE = Interface(publishes=('/rosout', '/parameter_events'), subscribes=('/clock',))
_PARAMETERS = Interface(
    answers=(
        '~/describe_parameters',
        '~/get_parameter_types',
        '~/get_parameters',
        '~/get_type_description',
        '~/list_parameters',
        '~/set_parameters',
        '~/set_parameters_atomically',
    )
)
_MANAGED = (
    _NODE
    + _PARAMETERS
    + Interface(
        publishes=('/diagnostics', '~/transition_event'),
        answers=(
            '~/change_state',
            '~/get_available_states',
            '~/get_available_transitions',
            '~/get_state',
            '~/get_transition_graph',
            '~/enable',
            '~/reset',
        ),
    )
)
_TEXTS = ('instruction', 'question')
# Of a controller that serves the action, where its package is built.
RUN_POLICY = Interface(
    publishes=('instruction',),
    subscribes=('active_instruction',),
    asks=('policy_node/reset',),
    performs=('~/run_policy',),
)


def interfaces(arm: ArmContract) -> dict[str, Interface]:
    """Return the interface of each node by its name, on the topics of the arm.

    Cameras are all of the contract's, whichever a policy sees by: another policy needs no other
    permissions.
    """
    rules = arm_remappings(arm)
    policy, controller = _policy(arm).remapped(rules), _controller(arm).remapped(rules)
    return {
        POLICY: policy,
        CONTROLLER: controller,
        # It subscribes to what is there, and nobody hears of it but the log.
        RECORDER: _NODE + _PARAMETERS + Interface(subscribes=('/*',)),
        DOCTOR: Interface(
            publishes=('/parameter_events',),
            subscribes=(*_inputs(arm), 'instruction', '/clock'),
            answers=('~/get_type_description',),
            asks=('/*/get_parameters',),
        ).remapped(rules),
        OPERATOR: _NODE
        + Interface(
            publishes=_TEXTS,
            subscribes=('active_instruction', 'answer', '/diagnostics', '/rosout'),
            asks=tuple(
                service.replace('~', node, 1)
                for node, interface in ((POLICY, policy), (CONTROLLER, controller))
                for service in interface.answers
            ),
            acts=(f'{CONTROLLER}/run_policy',),
        ),
    }


def _policy(arm: ArmContract) -> Interface:
    return _MANAGED + Interface(
        publishes=(
            'action_chunk',
            'joint_chunk',
            'pose_target',
            'predicted_path',
            'active_instruction',
            'answer',
        ),
        subscribes=(*_inputs(arm), *_TEXTS),
    )


def _inputs(arm: ArmContract) -> list[str]:
    """Return what a policy reads of an arm; intrinsics only where there is depth."""
    flat = [camera.name for camera in arm.cameras if camera.depth_topic is None]
    left_out = [f'camera/{name}/camera_info' for name in flat]
    return [name for name in input_topics(arm) if name not in left_out]


def _controller(arm: ArmContract) -> Interface:
    topics = list(arm.inputs)
    if arm.has_kinematics and arm.urdf is not None and arm.urdf.topic is not None:
        topics.append('robot_description')
    if arm.speed_scaling is not None:
        topics.append('speed_scaling')
    topics += [f'interlock/{interlock.name}' for interlock in arm.interlocks]
    trajectories = [o for o in arm.outputs if o.kind == 'joint_trajectory' and o.part != 'gripper']
    if trajectories:
        # Whether somebody else moves the arm by the action of its controller, and where that holds
        # the joints.
        topics += ['/*/follow_joint_trajectory/_action/status', '/*/controller_state']
        # What others send it is read along.
        topics += [output.name for output in trajectories]
    return (
        _MANAGED
        + RUN_POLICY
        + Interface(
            publishes=('markers', *(output.name for output in arm.outputs if not output.action)),
            subscribes=('action_chunk', 'joint_chunk', *topics),
            answers=('~/stop',),
            # Whoever subscribes to commands is asked for settings by which limits hold, and every
            # controller_manager for the state of its controllers. Neither can change anything.
            asks=('/*/list_parameters', '/*/get_parameters', '/*/list_controllers'),
            acts=tuple(output.name for output in arm.outputs if output.action),
        )
    )
