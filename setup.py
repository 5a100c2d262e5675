"""Package metadata: pip and colcon both read this file, so that there is one source of truth."""

import re
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'robomamba_ros'
HERE = Path(__file__).resolve().parent
VERSION = re.search(
    r"__version__ = '([^']+)'", (HERE / 'src' / NAME / '__init__.py').read_text()
).group(1)

# The decoder that tells damage in a JPEG, beside OpenCV, which draws over it.
JPEG = 'simplejpeg>=1.7,<2'
POLICY = [
    JPEG,
    'torch>=2.4,<3',
    'safetensors>=0.4,<1',
    'tokenizers>=0.20,<1',
    'numba>=0.60,<1',
    'opencv-python-headless>=4.9,<6',
]
VLM = [*POLICY, 'transformers>=5,<6']
# The authors' kernels are built against the torch that is installed: docs/mamba.md has the command.
# Triton comes with torch for CUDA; 3.2 is torch 2.6's. Every kernel was compiled with 3.2 and 3.4.
CUDA = [*POLICY, 'triton>=3.2,<4']
# xacro expands what makers publish; where it is missing, the error names the remedy.
KINEMATICS = ['pin>=3,<5', 'xacro>=2.1,<3']
BAGS = ['rosbags>=0.11.9,<0.12', 'tqdm>=4.66,<5', JPEG]
LEROBOT = ['pyarrow>=17,<27', 'av>=15,<19', 'opencv-python-headless>=4.9,<6', 'tqdm>=4.66,<5']
SIM = ['mujoco>=3.2,<4', 'metaworld>=3,<4', 'opencv-python-headless>=4.9,<6']
# openpi's protocol; its own client pins NumPy below 2.
REMOTE = ['websockets>=13,<18', 'msgpack>=1,<2']
# One forward pass of a policy as ONNX, and its check.
EXPORT = ['onnx>=1.17,<2', 'onnxscript>=0.5,<1', 'onnxruntime>=1.20,<2']
# What is watched, in the viewers of others: large, and on the screen's machine alone.
WATCH = [*BAGS, 'rerun-sdk>=0.23,<1', 'foxglove-sdk>=0.16,<1', 'opencv-python-headless>=4.9,<6']
HUB = ['huggingface_hub>=0.24,<3']
TRAIN = [*POLICY, *SIM, 'tqdm>=4.66,<5', 'tensorboard>=2.16,<3']
# rclpy needs a middleware and does not pull one.
ROS = [
    'ros-rclpy==7.1.6',
    'ros-rmw-fastrtps-cpp==8.4.3',
    'ros-jazzy-common-interfaces==5.3.6',
    'ros-jazzy-lifecycle-msgs==2.0.3',
]
# A policy on the simulated arm over ROS 2, and nothing beside it.
DEMO = [*POLICY, *SIM, *ROS]
DEV = [
    *TRAIN,
    *KINEMATICS,
    *BAGS,
    *LEROBOT,
    *REMOTE,
    *HUB,
    *EXPORT,
    # URDFs of real arms for the tests, and no code.
    'example-robot-data>=6,<7',
    # Another program that decodes images: ours give the same pixels.
    'rosbags-image>=0.10,<0.11',
    *ROS,
    # From 3.7 on its interpreter, in which the tests run without a GPU, takes any NumPy.
    'triton>=3.7,<4',
    'transformers>=5,<6',
    'pytest>=8.3,<10',
    'pytest-xdist>=3.5,<4',
    'hypothesis>=6.100,<7',
    'ruff~=0.17.5',
    'mypy~=2.4',
    'colcon-core>=0.18,<1',
    'colcon-ros>=0.5,<1',
    'colcon-python-setup-py>=0.2.9,<1',
    # colcon calls setup.py, whose commands later releases remove.
    'setuptools>=64,<80',
]


def shared(folder: str) -> list[tuple[str, list[str]]]:
    """Return data_files entries that put the whole tree under share/robomamba_ros."""
    by_directory: dict[str, list[str]] = {}
    for path in sorted((HERE / folder).rglob('*')):
        if path.is_file() and '__pycache__' not in path.parts:
            relative = path.relative_to(HERE)
            by_directory.setdefault(str(relative.parent), []).append(str(relative))
    return [(f'share/{NAME}/{directory}', files) for directory, files in by_directory.items()]


setup(
    name=NAME,
    version=VERSION,
    description='Mamba-based robot policies in real time under ROS 2',
    license='Apache-2.0',
    maintainer='robomamba_ros maintainers',
    maintainer_email='maintainers@robomamba-ros.invalid',
    python_requires='>=3.10',
    package_dir={'': 'src'},
    packages=find_packages('src'),
    package_data={NAME: ['py.typed', '**/*.css']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        *shared('launch'),
        *shared('config'),
        *shared('models'),
    ],
    zip_safe=False,
    install_requires=[
        'numpy>=1.26,<3',
        'pyyaml>=6,<7',
        'transforms3d>=0.4.2,<1',
        # As the commands of ROS 2 have it; Ubuntu 22.04 packages 1.8.
        'argcomplete>=1.8,<4',
    ],
    extras_require={
        'policy': POLICY,
        'vlm': VLM,
        'cuda': CUDA,
        'kinematics': KINEMATICS,
        'bags': BAGS,
        'lerobot': LEROBOT,
        'remote': REMOTE,
        'hub': HUB,
        'watch': WATCH,
        'export': EXPORT,
        'sim': SIM,
        'train': TRAIN,
        'ros': ROS,
        'demo': DEMO,
        'dev': DEV,
    },
    entry_points={
        'console_scripts': [
            f'robomamba = {NAME}.executables:robomamba',
            f'policy_node = {NAME}.executables:policy_node',
            f'controller_node = {NAME}.executables:controller_node',
            f'sim_node = {NAME}.executables:sim_node',
            f'fake_arm_node = {NAME}.executables:fake_arm_node',
            f'bag_player_node = {NAME}.executables:bag_player_node',
        ]
    },
)
