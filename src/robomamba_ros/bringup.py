"""The node graph as data, for the launch files and for the command line alike.

Which nodes run, with which parameters, and how the topics of an arm contract are mapped to the
names that the nodes use. Knows nothing about rclpy, launch or torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from robomamba_ros.errors import CheckpointError, ConfigError, unknown_name
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.resources import checkpoint_directory
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.types import MODES


@dataclass(frozen=True)
class NodeSpec:
    """One node: console script, name, namespace, parameters and remappings (from -> to)."""

    executable: str
    name: str
    managed: bool
    namespace: str = ''
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remappings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PolicyOptions:
    """A policy on an arm.

    checkpoint: directory, or name in models/. arm: name in config/arms or path. load: how the
    policy runs. execute_steps: 0 means as the policy was evaluated. enabled: whether the arm moves
    without waiting for ~/enable. The others: parameters of controller_node.
    """

    checkpoint: str
    arm: str = 'sawyer_sim'
    instruction: str = ''
    load: LoadOptions = field(default_factory=LoadOptions)
    mode: str = 'realtime'
    execute_steps: int = 0
    crossfade_steps: int = 0
    ensemble_decay: float = -1.0
    dry_run: bool = False
    gripper_output: str = 'contract'
    enabled: bool = False
    namespace: str = ''


@dataclass(frozen=True)
class SimOptions:
    """The simulated arm: Meta-World task, seed of the objects' places, images per second."""

    task: str
    seed: int = 0
    camera_rate: float = 20.0


def policy_graph(options: PolicyOptions, *, simulated_time: bool = False) -> tuple[NodeSpec, ...]:
    """Return the policy and the controller node. Raises ConfigError, CheckpointError."""
    if options.mode not in MODES:
        raise ConfigError(unknown_name('mode', options.mode, MODES))
    if options.mode == 'lockstep' and not simulated_time:
        raise ConfigError('mode lockstep needs the simulation: a real arm does not wait')
    arm = load_arm(options.arm)
    directory = checkpoint_directory(options.checkpoint)
    steps = options.execute_steps or int(checkpoint_value(directory, 'execute_steps'))
    common = {
        'arm': options.arm,
        'mode': options.mode,
        'execute_steps': steps,
        'use_sim_time': simulated_time,
    }
    policy = {
        'checkpoint': str(directory),
        **asdict(options.load),
        'instruction': options.instruction,
    }
    controller = {
        name: getattr(options, name)
        for name in ('crossfade_steps', 'ensemble_decay', 'dry_run', 'gripper_output', 'enabled')
    }
    inputs = _remappings(_input_topics(arm))
    outputs = _remappings({output.name: output.topic for output in arm.outputs})
    space = options.namespace
    return (
        NodeSpec('policy_node', 'policy_node', True, space, {**common, **policy}, inputs),
        NodeSpec(
            'controller_node',
            'controller_node',
            True,
            space,
            {**common, **controller},
            {**inputs, **outputs},
        ),
    )


def sim_graph(options: PolicyOptions, sim: SimOptions) -> tuple[NodeSpec, ...]:
    """Return the simulated arm with the policy and the controller node that drive it.

    Without an instruction the policy follows the task's own, which the simulation announces.
    """
    policy, controller = policy_graph(options, simulated_time=True)
    directory = checkpoint_directory(options.checkpoint)
    parameters = {
        'arm': options.arm,
        'mode': options.mode,
        'task': sim.task,
        'seed': sim.seed,
        'camera_rate': sim.camera_rate,
        # In lockstep the policy waits for an image at every inference.
        'camera_steps': policy.parameters['execute_steps'],
        'announce_instruction': not options.instruction,
        **_camera_size(directory),
    }
    robot = NodeSpec(
        'sim_node',
        'sim_node',
        False,
        options.namespace,
        parameters,
        controller.remappings,
    )
    return (robot, controller, policy)


def checkpoint_value(directory: Path, *keys: str) -> Any:
    """Return one value of a checkpoint's config.yaml; raises CheckpointError."""
    path = directory / 'config.yaml'
    try:
        value: Any = yaml.safe_load(path.read_text(encoding='utf-8'))
        for key in keys:
            value = value[key]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CheckpointError(
            f'{path} does not say {".".join(keys)} ({type(error).__name__}: {error}); give the '
            'directory of a checkpoint'
        ) from error
    return value


def _camera_size(directory: Path) -> dict[str, int]:
    """Return the parameter that fits the simulated camera to what a policy sees, if it sees."""
    cameras = checkpoint_value(directory).get('cameras')
    return {'camera_size': int(cameras[0]['height'])} if cameras else {}


def _input_topics(arm: ArmContract) -> dict[str, str]:
    topics = dict(arm.inputs)
    for camera in arm.cameras:
        suffix = '/compressed' if camera.transport == 'compressed' else ''
        topics[f'camera/{camera.name}/image{suffix}'] = camera.topic
    return topics


def _remappings(topics: Mapping[str, str]) -> dict[str, str]:
    return {name: topic for name, topic in topics.items() if name != topic}
