"""Starts the policy and the controller node for an arm; `ros2 launch` passes name:=value."""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from robomamba_ros.bringup import PolicyOptions, policy_graph
from robomamba_ros.policies.base import LoadOptions

ARGUMENTS = {
    'checkpoint': ('', 'directory of the policy, or its name in models/'),
    'arm': ('sawyer_sim', 'arm contract: a name in config/arms, or the path of a YAML file'),
    'instruction': ('', 'what to do; the topic `instruction` changes it'),
    'device': ('cpu', 'where the policy runs: cpu, cuda'),
    'dtype': ('float32', 'type that the large parts of the policy compute in, or bfloat16'),
    'cache': ('none', 'what is kept between inferences: none, prefix, stream'),
    'threads': ('1', 'CPU threads of an inference'),
    'execute_steps': ('0', 'actions before the next inference; 0: as the policy was evaluated'),
    'crossfade_steps': ('0', 'steps over which a new chunk takes over'),
    'enabled': ('false', 'move at once, without waiting for controller_node/enable'),
    'namespace': ('', 'namespace of the nodes'),
}


def make_nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the nodes for the arguments of this launch."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    options = PolicyOptions(
        checkpoint=given['checkpoint'],
        arm=given['arm'],
        instruction=given['instruction'],
        load=LoadOptions(given['device'], given['dtype'], given['cache'], int(given['threads'])),
        execute_steps=int(given['execute_steps']),
        crossfade_steps=int(given['crossfade_steps']),
        enabled=given['enabled'].lower() == 'true',
        namespace=given['namespace'],
    )
    return [
        LifecycleNode(
            package='robomamba_ros',
            executable=spec.executable,
            name=spec.name,
            namespace=spec.namespace,
            parameters=[dict(spec.parameters)],
            remappings=list(spec.remappings.items()),
            output='screen',
        )
        for spec in policy_graph(options)
    ]


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` runs."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make_nodes)])
