"""Quality of service of every topic; docs/architecture.md says which topic has which."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# Only the newest image counts; a lost one is not sent again.
CAMERA = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# Proprioception is looked up in its recent past, so a few samples may wait.
STATE = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
# What comes up to 1,000 times a second, and only the newest counts.
NEWEST_STATE = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# Lockstep: simulated time waits for its readers, so no sample may be lost.
CAMERA_LOCKSTEP = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
STATE_LOCKSTEP = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
# Only the newest chunk or setpoint counts, and it must arrive.
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
# Texts of people and of speech nodes, and those of them that were kept for a late joiner.
TEXT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
KEPT_TEXT = QoSProfile(
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
# A late joiner gets the last value.
LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
# Commands of our own and of others, all of them.
READ_ALONG = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
# Parts of one picture.
MARKERS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
DIAGNOSTICS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
CLOCK = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def camera(mode: str) -> QoSProfile:
    """Return the profile of images in a mode, realtime or lockstep."""
    return CAMERA_LOCKSTEP if mode == 'lockstep' else CAMERA


def state(mode: str) -> QoSProfile:
    """Return the profile of joint_states and ee_pose in a mode, realtime or lockstep."""
    return STATE_LOCKSTEP if mode == 'lockstep' else STATE
