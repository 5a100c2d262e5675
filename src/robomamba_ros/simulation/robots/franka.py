"""The Franka Research 3 with the Franka Hand, from config/urdf/franka_fr3.urdf.

Its motors are those of franka_ros2's joint_trajectory_controller by effort. What cannot be read in
a description is ours and is said so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from robomamba_ros.common.resources import share_directory
from robomamba_ros.simulation.robots.motors import Motor, add_motors
from robomamba_ros.simulation.robots.world import couple

HAND, TCP = 'fr3_hand', 'fr3_hand_tcp'
FINGERS = ('fr3_leftfinger', 'fr3_rightfinger')
ARM_JOINTS = tuple(f'fr3_joint{number}' for number in range(1, 8))
FINGER_JOINT, OTHER_FINGER_JOINT = 'fr3_finger_joint1', 'fr3_finger_joint2'

# franka_fr3_moveit_config/config/fr3_ros_controllers.yaml of github.com/frankarobotics/franka_ros2:
# p and d of fr3_arm_controller, joint by joint.
_GAINS = ((600, 30), (600, 30), (600, 30), (600, 30), (250, 10), (150, 10), (50, 5))
# The robot controls the torque behind its gears, which leaves less of its rotors; ours [kg m^2].
_ARMATURE = 0.1
# The force of a grasp as config/arms/franka_fr3.yaml asks for it [N]: each finger presses with it.
# The hand does not say how it holds the width; ours [N/m, N s/m, kg].
GRASP_N = 30.0
_FINGER = Motor(FINGER_JOINT, stiffness=2000.0, damping=80.0, armature=0.1, effort=GRASP_N)

MOTORS = (
    *(
        Motor(joint, stiffness, damping, _ARMATURE)
        for joint, (stiffness, damping) in zip(ARM_JOINTS, _GAINS, strict=True)
    ),
    _FINGER,
    replace(_FINGER, joint=OTHER_FINGER_JOINT, follows=FINGER_JOINT),
)

# Contacts: the robot meets everything but itself, everything else meets all. Its joints keep it
# out of itself; shapes as coarse as these overlap.
_ROBOT, _THINGS = 2, 1
# Rubber on what is gripped: sliding, torsional [m], rolling [m]; ours.
_GRIP = (1.2, 0.01, 0.0005)
# How soon what is pressed into a pad is pushed out, or 30 N would press it in by millimetres [s].
_HARD = (0.004, 1.0)
_WHITE, _DARK, _STEEL = (0.93, 0.93, 0.91, 1.0), (0.16, 0.17, 0.19, 1.0), (0.62, 0.64, 0.66, 1.0)
_DARK_GEOMS = ('link0_0', 'link2_0', 'link4_0', 'link6_0', 'link7_1')
# The insides of the fingers, a pad of rubber each.
_PADS = ('leftfinger_1', 'rightfinger_1')


def fr3_urdf() -> str:
    """Return the URDF of the robot, as its topic robot_description carries it."""
    path = share_directory() / 'config' / 'urdf' / 'franka_fr3.urdf'
    return path.read_text(encoding='utf-8')


def fr3_spec(mujoco: Any) -> Any:
    """Return the robot as an mjSpec: its base at the origin, with motors, colours and contacts."""
    options = '<mujoco><compiler fusestatic="false" discardvisual="true"/></mujoco>'
    spec = mujoco.MjSpec.from_string(fr3_urdf().replace('</robot>', f'{options}</robot>'))
    add_motors(mujoco, spec, MOTORS)
    for body in spec.bodies[1:]:
        body.gravcomp = 1.0
    for geom in spec.geoms:
        geom.contype, geom.conaffinity = _ROBOT, _THINGS
        geom.rgba = _DARK if geom.name in _DARK_GEOMS else _WHITE
        if 'finger' in geom.name:
            geom.rgba = _DARK if geom.name in _PADS else _STEEL
        if geom.name in _PADS:
            geom.condim, geom.friction, geom.priority = 4, _GRIP, 1
            geom.solref, geom.solimp[:3] = _HARD, (0.95, 0.99, 0.001)
    # One motor moves both fingers.
    couple(mujoco, spec, FINGER_JOINT, OTHER_FINGER_JOINT, 1.0, 0.0)
    return spec
