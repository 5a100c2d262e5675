"""Mamba-based robot policies in real time under ROS 2.

The names in `__all__` are what programs of your own begin with; docs/examples/ has one of each
kind. They are imported when they are first used, so a robot's computer needs no torch for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = '0.1.0'

if TYPE_CHECKING:
    from robomamba_ros.bags.reader import Bag as Bag
    from robomamba_ros.bags.writer import BagWriter as BagWriter
    from robomamba_ros.control.policy.observation_buffer import (
        ObservationBuffer as ObservationBuffer,
    )
    from robomamba_ros.control.policy.observation_buffer import (
        observation_buffer as observation_buffer,
    )
    from robomamba_ros.control.policy.policy_loop import PolicyLoop as PolicyLoop
    from robomamba_ros.control.setpoints.setpoint_loop import SetpointLoop as SetpointLoop
    from robomamba_ros.datasets.lerobot.layout import Feature as Feature
    from robomamba_ros.datasets.lerobot.reader import LeRobotDataset as LeRobotDataset
    from robomamba_ros.datasets.lerobot.writer import LeRobotWriter as LeRobotWriter
    from robomamba_ros.errors import RoboMambaError as RoboMambaError
    from robomamba_ros.evaluation.metaworld import EvaluationConfig as EvaluationConfig
    from robomamba_ros.evaluation.metaworld import evaluate as evaluate
    from robomamba_ros.policies.base import CameraSpec as CameraSpec
    from robomamba_ros.policies.base import PolicySpec as PolicySpec
    from robomamba_ros.policies.base import fake_observation as fake_observation
    from robomamba_ros.policies.registry import load_policy as load_policy
    from robomamba_ros.replay.report import replay_bag as replay_bag
    from robomamba_ros.robots.arm import ArmContract as ArmContract
    from robomamba_ros.robots.arm import load_arm as load_arm
    from robomamba_ros.types import ActionChunk as ActionChunk
    from robomamba_ros.types import ActionSpace as ActionSpace
    from robomamba_ros.types import Observation as Observation
    from robomamba_ros.types import Pose as Pose
    from robomamba_ros.types import RobotState as RobotState
    from robomamba_ros.types import Setpoint as Setpoint

# Each public name, and the module that it is from.
_MODULES = {
    'ActionChunk': 'types',
    'ActionSpace': 'types',
    'ArmContract': 'robots.arm',
    'Bag': 'bags.reader',
    'BagWriter': 'bags.writer',
    'CameraSpec': 'policies.base',
    'EvaluationConfig': 'evaluation.metaworld',
    'Feature': 'datasets.lerobot.layout',
    'LeRobotDataset': 'datasets.lerobot.reader',
    'LeRobotWriter': 'datasets.lerobot.writer',
    'Observation': 'types',
    'ObservationBuffer': 'control.policy.observation_buffer',
    'PolicyLoop': 'control.policy.policy_loop',
    'PolicySpec': 'policies.base',
    'Pose': 'types',
    'RoboMambaError': 'errors',
    'RobotState': 'types',
    'Setpoint': 'types',
    'SetpointLoop': 'control.setpoints.setpoint_loop',
    'evaluate': 'evaluation.metaworld',
    'fake_observation': 'policies.base',
    'load_arm': 'robots.arm',
    'load_policy': 'policies.registry',
    'observation_buffer': 'control.policy.observation_buffer',
    'replay_bag': 'replay.report',
}
__all__ = ['__version__', *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
