"""Starts the simulated Sawyer with a policy that drives it; `ros2 launch` passes name:=value."""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node

from robomamba_ros.bringup import PolicyOptions, SimOptions, sim_graph
from robomamba_ros.policies.base import LoadOptions

ARGUMENTS = {
    'checkpoint': ('', 'directory of the policy, or its name in models/'),
    'task': ('drawer-open', 'Meta-World task'),
    'seed': ('0', 'fixes where the objects lie'),
    'mode': ('realtime', 'realtime, or lockstep: simulated time waits for every command'),
    'instruction': ('', "what to do; the default is the task's own"),
    'device': ('cpu', 'where the policy runs: cpu, cuda'),
    'dtype': ('float32', 'type that the large parts of the policy compute in, or bfloat16'),
    'cache': ('none', 'what is kept between inferences: none, prefix, stream'),
    'threads': ('1', 'CPU threads of an inference'),
    'execute_steps': ('0', 'actions before the next inference; 0: as the policy was evaluated'),
    'namespace': ('', 'namespace of the nodes'),
}


def make_nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the nodes for the arguments of this launch."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    options = PolicyOptions(
        checkpoint=given['checkpoint'],
        instruction=given['instruction'],
        load=LoadOptions(given['device'], given['dtype'], given['cache'], int(given['threads'])),
        mode=given['mode'],
        execute_steps=int(given['execute_steps']),
        enabled=True,
        namespace=given['namespace'],
    )
    sim = SimOptions(given['task'], seed=int(given['seed']))
    return [
        (LifecycleNode if spec.managed else Node)(
            package='robomamba_ros',
            executable=spec.executable,
            name=spec.name,
            namespace=spec.namespace,
            parameters=[dict(spec.parameters)],
            remappings=list(spec.remappings.items()),
            output='screen',
        )
        for spec in sim_graph(options, sim)
    ]


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` runs."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=make_nodes)])
