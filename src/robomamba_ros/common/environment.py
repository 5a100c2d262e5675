"""What this package runs with, as a report of a problem needs it; imports none of it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from robomamba_ros import __version__
from robomamba_ros.common.machine import read_processor

# What results and failures depend on: the distribution's name, as pip knows it.
PACKAGES = (
    *('numpy', 'torch', 'numba', 'triton', 'safetensors', 'tokenizers', 'transformers'),
    *('opencv-python-headless', 'pin', 'mujoco', 'metaworld', 'rosbags', 'lerobot'),
    *('ros-rclpy', 'ros-rmw-fastrtps-cpp', 'onnxruntime', 'websockets', 'huggingface_hub'),
)


def environment_text() -> str:
    """Return this package's version, and a line for each thing that it runs with."""
    ros = os.environ.get('ROS_DISTRO', 'none in the environment')
    middleware = os.environ.get('RMW_IMPLEMENTATION', 'not chosen')
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f'{name} {version(name)}')
        except PackageNotFoundError:
            missing.append(name)
    return '\n'.join(
        (
            f'robomamba_ros {__version__}',
            f'Python        {platform.python_version()}, {platform.platform()}',
            f'processor     {read_processor().name}, {os.cpu_count()} threads',
            f'ROS           ROS_DISTRO: {ros}; RMW_IMPLEMENTATION: {middleware}',
            f'packages      {", ".join(found)}',
            f'not installed {", ".join(missing) or "nothing"}',
        )
    )
