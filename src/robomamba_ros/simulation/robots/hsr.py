"""The Toyota HSR from config/urdf/hsr.urdf, on a base that drives in any direction.

Its wheels are three joints in the frame of the odometry. What cannot be read in a description is
ours and is said so.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from robomamba_ros.common.resources import share_directory
from robomamba_ros.simulation.robots.motors import Motor, add_motors
from robomamba_ros.simulation.robots.world import couple

BASE, TIP = 'base_footprint', 'hand_palm_link'
FINGERS = ('hand_l_distal_link', 'hand_r_distal_link')
BASE_JOINTS = ('odom_x', 'odom_y', 'odom_t')
ARM_JOINTS = (
    'arm_lift_joint',
    'arm_flex_joint',
    'arm_roll_joint',
    'wrist_flex_joint',
    'wrist_roll_joint',
)
HEAD_JOINTS = ('head_pan_joint', 'head_tilt_joint')
HAND_JOINT = 'hand_motor_joint'
JOINTS = (*BASE_JOINTS, *ARM_JOINTS, *HEAD_JOINTS, HAND_JOINT)

# How the motors hold their places is not published; ours: an arm that is as stiff as the following
# error of its contract asks for [Nm/rad, Nm s/rad, kg m^2; of the lift N/m, N s/m, kg].
_STIFF, _WRIST = (1200.0, 60.0, 0.2), (400.0, 16.0, 0.05)
# Each finger hangs on a spring behind its motor, which grips with it [Nm/rad]; 20 to 40 N at what
# it holds. ours: the description has the spring and not its constant.
_FINGER = Motor('hand_l_proximal_joint', 4.0, 0.15, 0.002, effort=3.0, follows=HAND_JOINT)
MOTORS = (
    # Wheels take up a velocity in about 0.025 s; ours. Their efforts: two drive wheels of 11.067 Nm
    # and 0.04 m, and 34.46 Nm of base_roll_joint, of hsrb_description.
    Motor('odom_x', 0.0, 3000.0, 0.0, effort=553.0),
    Motor('odom_y', 0.0, 3000.0, 0.0, effort=553.0),
    Motor('odom_t', 0.0, 100.0, 0.0, effort=34.46),
    Motor('arm_lift_joint', 40000.0, 2000.0, 10.0),
    *(Motor(joint, *_STIFF) for joint in ARM_JOINTS[1:3]),
    *(Motor(joint, *_WRIST) for joint in ARM_JOINTS[3:]),
    *(Motor(joint, *_WRIST) for joint in HEAD_JOINTS),
    Motor(HAND_JOINT, 20.0, 1.0, 0.01),
    _FINGER,
    replace(_FINGER, joint='hand_r_proximal_joint'),
)
# What share of the way that its wheels turn the base does not go, at most; ours.
SLIP = 0.02

# The linkage of a finger: the distal link turns back by what the proximal one turns [rad], so that
# the pads stay 5 degrees from parallel. Lengths [m]: of the proximal link, and where its joint, the
# pad and the tip are, beside and ahead.
_TOE_IN = 0.087
_PROXIMAL_M, _KNUCKLE_M = 0.07, (0.0245, -0.0175)
_PAD_M, _TIP_M = (0.01865, 0.0265), (0.01865, 0.04289)

# Contacts: the robot meets everything but itself, which the control loop keeps it out of.
_ROBOT, _THINGS = 2, 1
# Rubber on the pads and what is pressed into it, as on the hand of the FR3.
_GRIP, _HARD = (1.2, 0.01, 0.0005), (0.004, 1.0)
_WHITE, _GRAY, _DARK = (0.94, 0.94, 0.93, 1.0), (0.62, 0.63, 0.66, 1.0), (0.13, 0.14, 0.16, 1.0)
_PADS = ('hand_l_distal_1', 'hand_r_distal_1')
_DARK_GEOMS = (
    'base_1',
    'base_2',
    'base_3',
    'head_pan_0',
    'head_tilt_2',
    'head_tilt_3',
    'head_tilt_4',
    'head_tilt_5',
    'arm_flex_0',
    'wrist_flex_0',
    'wrist_flex_1',
    'hand_palm_1',
    *_PADS,
)
_GRAY_GEOMS = ('arm_lift_0', 'arm_roll_0', 'hand_palm_0')


def hsr_urdf() -> str:
    """Return the URDF of the robot, as its topic robot_description carries it."""
    path = share_directory() / 'config' / 'urdf' / 'hsr.urdf'
    return path.read_text(encoding='utf-8')


def hsr_spec(mujoco: Any) -> Any:
    """Return the robot as an mjSpec: its odometry at the origin, with motors and contacts."""
    options = '<mujoco><compiler fusestatic="false" discardvisual="true"/></mujoco>'
    spec = mujoco.MjSpec.from_string(hsr_urdf().replace('</robot>', f'{options}</robot>'))
    base, kinds = spec.body(BASE), mujoco.mjtJoint
    for name, kind, axis in zip(
        BASE_JOINTS,
        (kinds.mjJNT_SLIDE, kinds.mjJNT_SLIDE, kinds.mjJNT_HINGE),
        ([1, 0, 0], [0, 1, 0], [0, 0, 1]),
        strict=True,
    ):
        base.add_joint(name=name, type=kind, axis=axis)
    add_motors(mujoco, spec, MOTORS)
    couple(mujoco, spec, 'torso_lift_joint', 'arm_lift_joint', 0.5, 0.0)
    for side in 'lr':
        distal = f'hand_{side}_distal_joint'
        couple(mujoco, spec, distal, f'hand_{side}_proximal_joint', -1.0, -_TOE_IN)
        # Its own limit is that of the proximal one, without the toe-in.
        spec.joint(distal).limited = False
    for body in spec.bodies[1:]:
        body.gravcomp = 1.0
    for geom in spec.geoms:
        geom.contype, geom.conaffinity = _ROBOT, _THINGS
        geom.rgba = _DARK if geom.name in _DARK_GEOMS else _WHITE
        if geom.name in _GRAY_GEOMS or 'imal' in geom.name or geom.name.endswith('distal_0'):
            geom.rgba = _GRAY
        if geom.name in _PADS:
            geom.condim, geom.friction, geom.priority = 4, _GRIP, 1
            geom.solref, geom.solimp[:3] = _HARD, (0.95, 0.99, 0.001)
    return spec


def finger_turn(half_width: float) -> float:
    """Return the turn of the motor at which the pads are so far from the middle [m, rad]."""
    beside = _KNUCKLE_M[0] - _inward(_PAD_M)
    return math.asin((half_width - beside) / _PROXIMAL_M)


def pads_ahead(half_width: float) -> float:
    """Return how far ahead of the palm the pads are that grip something [m]; they go in an arc."""
    return _ahead(_PAD_M, half_width)


def tips_ahead(half_width: float) -> float:
    """Return how far ahead of the palm the tips of the fingers are [m]."""
    return _ahead(_TIP_M, half_width)


def _inward(point: tuple[float, float]) -> float:
    return point[0] * math.cos(_TOE_IN) + point[1] * math.sin(_TOE_IN)


def _ahead(point: tuple[float, float], half_width: float) -> float:
    own = point[1] * math.cos(_TOE_IN) - point[0] * math.sin(_TOE_IN)
    return _KNUCKLE_M[1] + _PROXIMAL_M * math.cos(finger_turn(half_width)) + own
