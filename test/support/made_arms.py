"""Arms made for tests: their contracts, their URDFs, and their kinematics by another road."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from transforms3d.euler import euler2mat

from robomamba_ros.robots.arm import ArmContract, load_arm


@dataclass(frozen=True)
class MadeArm:
    """A chain of joints: kind, offset (x, y, z, roll, pitch, yaw) from the last, limits.

    Every joint moves along or about its own z axis, as with Denavit and Hartenberg. mount: pose
    of the base frame in the root of the URDF; tool: pose of the end effector in the last joint.
    """

    kinds: Sequence[str]
    offsets: Sequence[Sequence[float]]
    limits: Sequence[tuple[float, float]]
    mount: Sequence[float] = (0.0,) * 6
    tool: Sequence[float] = (0.0, 0.0, 0.1, 0.0, 0.0, 0.0)
    velocity: float = 2.0
    base: Sequence[str] = field(default=())

    @property
    def names(self) -> list[str]:
        return [f'joint{i}' for i in range(1, len(self.kinds) + 1)]

    def urdf(self) -> str:
        """Return the URDF with a camera, a gripper and shapes beside the chain."""
        text = ['<robot name="made"><link name="root"><visual><geometry>']
        text.append('<mesh filename="package://absent/root.dae"/></geometry></visual></link>')
        text += [_fixed('root', 'base', self.mount), _fixed('root', 'camera', (1, 0, 1, 0, 0, 0))]
        parent = 'root'
        for name, kind, offset, (lower, upper) in zip(
            self.names, self.kinds, self.offsets, self.limits, strict=True
        ):
            ends = '' if kind == 'continuous' else f'lower="{lower}" upper="{upper}"'
            text.append(
                f'<joint name="{name}" type="{kind}">{_origin(offset)}<axis xyz="0 0 1"/>'
                f'<parent link="{parent}"/><child link="{name}_link"/>'
                f'<limit {ends} velocity="{self.velocity}" effort="1"/></joint>'
                f'<link name="{name}_link"/>'
            )
            parent = f'{name}_link'
        text += [
            _fixed(parent, 'tool', self.tool),
            f'<joint name="finger" type="prismatic"><parent link="{parent}"/>'
            '<child link="finger_link"/><axis xyz="0 1 0"/>'
            '<limit lower="0" upper="0.04" velocity="1" effort="1"/></joint>'
            '<link name="finger_link"/></robot>',
        ]
        return '\n'.join(text)

    def document(self) -> dict[str, Any]:
        """Return the contract."""
        joints = [
            {'name': name, 'part': 'base', 'position': [-np.inf, np.inf], 'velocity': 0.5}
            for name in self.base
        ]
        joints += [
            {'name': name, 'position': list(limits), 'velocity': self.velocity}
            for name, limits in zip(self.names, self.limits, strict=True)
        ]
        inputs = {'joint_states': {'topic': 'joint_states', 'budget_s': 0.1}}
        outputs = [
            {'part': 'arm', 'kind': 'joint_trajectory', 'topic': 'arm/joint_trajectory'},
            {'part': 'gripper', 'kind': 'joint_state', 'topic': 'gripper'},
        ]
        if self.base:
            inputs['odometry'] = {'topic': 'odom', 'budget_s': 0.1}
            outputs.append({'part': 'base', 'kind': 'twist', 'topic': 'cmd_vel', 'stamped': False})
        speeds = ('velocity', 'acceleration', 'stop_deceleration')
        return {
            'name': 'made',
            'frames': {'base': 'odom' if self.base else 'base', 'end_effector': 'tool'},
            'urdf': {'file': 'made.urdf'},
            'control_rate_hz': 100.0,
            'joints': [{**joint, 'acceleration': 5.0} for joint in joints],
            'gripper': {'joint': 'finger', 'open_position': 0.04, 'closed_position': 0.0},
            'cameras': [
                {
                    'name': 'wrist',
                    'topic': 'wrist',
                    'encoding': 'rgb8',
                    'budget_s': 0.1,
                    'required': True,
                }
            ],
            'inputs': inputs,
            'cartesian': {f'{kind}{key}': 1.0 for key in speeds for kind in ('', 'rotation_')},
            'workspace': {'lower': [-1.0, -1.0, 0.0], 'upper': [1.0, 1.0, 1.0]},
            'outputs': outputs,
        }

    def matrix(self, joints: Sequence[float]) -> np.ndarray:
        """Return base_T_ee (4, 4) by multiplying transforms, planar base first."""
        count = len(self.base)
        transform = np.linalg.inv(_matrix(self.mount))
        if count:
            x, y, angle = joints[:3]
            # The base frame is where the root stands at zero.
            transform = _matrix((x, y, 0.0, 0.0, 0.0, angle))
        for kind, offset, value in zip(self.kinds, self.offsets, joints[count:], strict=True):
            slide, turn = (value, 0.0) if kind == 'prismatic' else (0.0, value)
            transform = transform @ _matrix(offset) @ _matrix((0.0, 0.0, slide, 0.0, 0.0, turn))
        return transform @ _matrix(self.tool)


def _matrix(pose: Sequence[float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = euler2mat(*pose[3:], axes='sxyz')
    matrix[:3, 3] = pose[:3]
    return matrix


def _origin(pose: Sequence[float]) -> str:
    return f'<origin xyz="{" ".join(map(str, pose[:3]))}" rpy="{" ".join(map(str, pose[3:]))}"/>'


def _fixed(parent: str, child: str, pose: Sequence[float]) -> str:
    return (
        f'<joint name="{child}_mount" type="fixed">{_origin(pose)}<parent link="{parent}"/>'
        f'<child link="{child}"/></joint><link name="{child}"/>'
    )


_Q = np.pi / 2
MADE = {
    # Shoulder and wrist of three axes each that meet, and an elbow: redundant.
    'seven': MadeArm(
        kinds=('revolute',) * 7,
        offsets=[
            (0, 0, 0.34, 0, 0, 0),
            (0, 0, 0, -_Q, 0, 0),
            (0, -0.4, 0, _Q, 0, 0),
            (0, 0, 0, _Q, 0, 0),
            (0, 0.4, 0, -_Q, 0, 0),
            (0, 0, 0, -_Q, 0, 0),
            (0, -0.1, 0, _Q, 0, 0),
        ],
        limits=[(-2.9, 2.9), (-2.0, 2.0)] * 3 + [(-3.0, 3.0)],
    ),
    # Three parallel axes and a wrist whose axes do not meet; the base frame is turned by pi.
    'six': MadeArm(
        kinds=('revolute',) * 6,
        offsets=[
            (0, 0, 0.16, 0, 0, 0),
            (0, 0, 0, _Q, 0, 0),
            (-0.42, 0, 0, 0, 0, 0),
            (-0.39, 0, 0.13, 0, 0, 0),
            (0, -0.1, 0, _Q, 0, 0),
            (0, 0.1, 0, -_Q, 0, 0),
        ],
        limits=[(-6.28, 6.28), (-6.28, 6.28), (-3.14, 3.14)] + [(-6.28, 6.28)] * 3,
        mount=(0.0, 0.0, 0.02, 0.0, 0.0, np.pi),
    ),
    # A lift and four turns, too few without the base.
    'mobile': MadeArm(
        kinds=('prismatic', *('revolute',) * 4),
        offsets=[
            (0.1, 0, 0.3, 0, 0, 0),
            (0.05, 0, 0.1, -_Q, 0, 0),
            (0.3, 0, 0, 0, _Q, 0),
            (0, 0, 0.1, -_Q, 0, 0),
            (0, 0.1, 0, _Q, 0, 0),
        ],
        limits=[(0.0, 0.6), (-2.6, 0.5), (-2.0, 3.8), (-1.9, 1.2), (-1.9, 3.6)],
        base=('odom_x', 'odom_y', 'odom_t'),
    ),
}


def write_arm(folder: Path, document: dict[str, Any], urdf: str) -> ArmContract:
    """Write a contract and its URDF beside it; return the contract, loaded."""
    (folder / 'made.urdf').write_text(urdf)
    path = folder / 'made.yaml'
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_arm(str(path))
