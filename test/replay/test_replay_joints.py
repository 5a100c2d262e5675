"""A replay on an arm that is commanded by its joints and whose pose comes from them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from support.real_robots import real_urdf

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.writer import BagWriter, message
from robomamba_ros.errors import DataError
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.replay.predictions import Predictions
from robomamba_ros.replay.run import Replay
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.types import NANOSECONDS, ActionChunk, ActionSpace, Observation

ARM = load_arm('franka_panda')
NAMES = tuple(joint.name for joint in ARM.joints)
REST = np.array([joint.rest for joint in ARM.joints])
START_NS, PERIOD_NS, STEPS = 5 * NANOSECONDS, 10_000_000, 200
DT_NS = 20_000_000


@pytest.fixture(scope='module')
def urdf() -> str:
    return real_urdf('panda.urdf').read_text()


def joints_at(time_ns: int) -> np.ndarray:
    """Return the joints, of which the first swings by 0.2 rad in 2 s."""
    swung = 0.1 * (1 - math.cos(math.pi * (time_ns - START_NS) / NANOSECONDS))
    return REST + swung * np.eye(7)[0]


class Swing:
    """Predicts the swing that was recorded."""

    spec = PolicySpec(
        'swing', (), NAMES, ActionSpace.JOINT_POSITION, (*NAMES, 'gripper'), 20, DT_NS, 10
    )

    def reset(self) -> None: ...

    def infer(self, observation: Observation) -> ActionChunk:
        times = [observation.stamp_ns + (i + 1) * DT_NS for i in range(20)]
        actions = np.array([[*joints_at(time_ns), 1.0] for time_ns in times], dtype=np.float32)
        return ActionChunk(
            observation.stamp_ns, DT_NS, actions, self.spec.action_space, self.spec.action_names
        )


def write(path: Path, description: str | None) -> None:
    nothing = np.zeros(0)
    with BagWriter(path) as writer:
        writer.add_topic('/joint_states', 'sensor_msgs/msg/JointState')
        writer.add_topic('/robot_description', 'std_msgs/msg/String')
        if description is not None:
            content = message('std_msgs/msg/String', data=description)
            writer.write('/robot_description', START_NS - 1, content)
        for step in range(STEPS + 1):
            time_ns = START_NS + step * PERIOD_NS
            seconds, rest = divmod(time_ns, NANOSECONDS)
            stamp = message('builtin_interfaces/msg/Time', sec=seconds, nanosec=rest)
            content = message(
                'sensor_msgs/msg/JointState',
                header=message('std_msgs/msg/Header', stamp=stamp, frame_id=''),
                name=[*NAMES, ARM.gripper.joint],
                position=np.array([*joints_at(time_ns), ARM.gripper.open_position]),
                velocity=nothing,
                effort=nothing,
            )
            writer.write('/joint_states', time_ns, content)


def replay(bag_path: Path, output: Path) -> Replay:
    with Bag(bag_path) as bag, BagWriter(output) as writer:
        predictions = Predictions(writer, ARM.base_frame)
        done = Replay(bag, ARM, Swing(), predictions, stopwatch=lambda: 0.0, instruction='swing')
        done.run()
    return done


def test_joints_are_compared_and_commanded_and_the_pose_follows_from_them(
    tmp_path: Path, urdf: str
) -> None:
    write(tmp_path / 'bag.mcap', urdf)
    done = replay(tmp_path / 'bag.mcap', tmp_path / 'p.mcap')
    assert len(done.trace.chunk_stamps) == 11
    assert done.trace.refused.count == done.trace.problems.count == 0
    assert np.nanmax(done.comparison.errors) < 1e-6
    states = done.trace.states()
    kinematics = Kinematics(ARM, urdf)
    for row in states[::50]:
        joints = joints_at(START_NS + round(row[0] * NANOSECONDS))
        assert np.abs(kinematics.forward(joints).position - row[1:4]).max() < 1e-12
    with Bag(tmp_path / 'p.mcap') as bag:
        sent = [each.content for each in bag.messages(['/target_joints'])]
    assert len(sent) == STEPS + 1
    assert sent[0].name == list(NAMES)
    # Every command is for the end of its period, within what the joint's jerk lets it follow.
    error = [
        np.abs(content.position - joints_at(START_NS + (i + 1) * PERIOD_NS)).max()
        for i, content in enumerate(sent)
    ]
    assert max(error) < 0.01


def test_without_a_urdf_in_the_bag_the_topic_is_named(tmp_path: Path) -> None:
    write(tmp_path / 'bag.mcap', None)
    with pytest.raises(DataError, match=r"'/robot_description' of .* holds no URDF"):
        replay(tmp_path / 'bag.mcap', tmp_path / 'p.mcap')
