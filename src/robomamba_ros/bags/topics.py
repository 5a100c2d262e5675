"""The topics of a bag that an arm contract names, their types, and the kinematics for them."""

from __future__ import annotations

from robomamba_ros.bags.reader import Bag
from robomamba_ros.errors import DataError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.kinematics import Kinematics

IMAGES = {'raw': 'sensor_msgs/msg/Image', 'compressed': 'sensor_msgs/msg/CompressedImage'}
STATES = {
    'joint_states': 'sensor_msgs/msg/JointState',
    'ee_pose': 'geometry_msgs/msg/PoseStamped',
    'odometry': 'nav_msgs/msg/Odometry',
}
INSTRUCTIONS = ('active_instruction', 'instruction')
TEXT = 'std_msgs/msg/String'


def kinematics_of(bag: Bag, arm: ArmContract) -> Kinematics | None:
    """Return the kinematics of an arm that needs it, by its contract or the bag's description."""
    if arm.urdf is None or not arm.has_kinematics:
        return None
    if arm.urdf.topic is None:
        return Kinematics(arm)
    topic = require_topic(bag, arm.urdf.topic, TEXT)
    description = next(bag.messages([topic]), None)
    if description is None:
        raise DataError(f"topic '{topic}' of {bag.path} holds no URDF")
    return Kinematics(arm, description.content.data)


def require_topic(bag: Bag, name: str, type_: str) -> str:
    """Return the whole name of a topic of a bag, which has to be there and of a type."""
    topic = bag.find(name)
    found = bag.require(topic.name if topic else f'/{name.lstrip("/")}', [type_])
    bag.require_fields(found)
    return found.name
