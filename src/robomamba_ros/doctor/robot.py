"""Checks of what the arm reports: joints, poses, and the description of the robot."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from robomamba_ros.doctor.facts import Facts
from robomamba_ros.doctor.finding import Finding, fault, note, ok
from robomamba_ros.errors import BackendError, ConfigError, ObservationError
from robomamba_ros.messages.joints import JointTable
from robomamba_ros.messages.state import StateJoiner, nanoseconds
from robomamba_ros.robots.arm import ArmContract, input_kind
from robomamba_ros.robots.arm_sections import JOINT_STATES
from robomamba_ros.robots.kinematics import Kinematics
from robomamba_ros.robots.urdf import chain_urdf, read_urdf
from robomamba_ros.types import Pose, RobotState

# Encoders and rounded limits differ by as much [rad or m].
LIMIT_SLACK = 0.01
# Two ways to the same pose differ by calibration, not by more than this [m, rad].
POSE_SLACK_M, POSE_SLACK_RAD = 0.01, 0.05
# The newest messages of joints, among which every publisher has some.
KEPT_JOINTS = 100


def check_joints(facts: Facts) -> Iterator[Finding]:
    """Yield whether the joint states have the contract's joints, finite and within limits."""
    arm = facts.arm
    streams = {stream: facts.streams[stream].messages for stream in arm.joint_streams}
    present = sorted({name for messages in streams.values() for m in messages for name in m.name})
    if not all(streams.values()):
        return
    missing = [name for name in arm.measured_joints if name not in present]
    if missing:
        yield _missing(missing, present)
        return
    table, problems = JointTable(arm), Counter[str]()
    for stream, messages in streams.items():
        for message in messages:
            try:
                table.take(stream, message, nanoseconds(message.header.stamp))
            except ObservationError as error:
                problems[str(error)] += 1
    total = sum(map(len, streams.values()))
    for problem, count in problems.items():
        yield fault(
            'joint_states: content',
            f'{count} of {total} messages cannot be used: {problem}',
            'let the drivers publish every joint of the contract, each on one topic',
        )
    if not problems:
        yield ok('joint_states: content', f'{len(arm.measured_joints)} joints, all finite')
    if table.complete:
        yield from _check_limits(table.positions, arm)


def _missing(missing: list[str], present: list[str]) -> Finding:
    near = {name: difflib.get_close_matches(name, present, n=1) for name in missing}
    listed = [
        f"'{name}'" + (f" (near: '{close[0]}')" if close else '') for name, close in near.items()
    ]
    return fault(
        'joint_states: names',
        f'lacks {", ".join(listed)}; has {", ".join(present) or "no joints"}',
        'correct `joints` or `gripper` in the arm contract, or the topic of joint_states',
    )


def _check_limits(positions: dict[str, float], arm: ArmContract) -> Iterator[Finding]:
    outside = [
        f'{joint.name} is at {positions[joint.name]:.3f}, limits {list(joint.position)}'
        for joint in arm.joints_of('arm', 'head')
        if not joint.position[0] - LIMIT_SLACK
        <= positions[joint.name]
        <= joint.position[1] + LIMIT_SLACK
    ]
    if outside:
        yield fault(
            'joint_states: limits',
            '; '.join(outside),
            'move the arm back by hand or by its pendant, or correct the limits in the contract',
        )
    else:
        yield ok('joint_states: limits', 'every joint lies within its positions')
    gripper = arm.gripper
    if gripper is None:
        return
    ends = sorted((gripper.open_position, gripper.closed_position))
    slack = 0.2 * (ends[1] - ends[0])
    position = positions[gripper.joint]
    if not ends[0] - slack <= position <= ends[1] + slack:
        yield note(
            'gripper: range',
            f'{gripper.joint} is at {position:.4f}, the contract opens it at '
            f'{gripper.open_position} and closes it at {gripper.closed_position}',
            'correct open_position and closed_position: policies see and command the share',
        )


def check_pose(facts: Facts) -> Iterator[Finding]:
    """Yield whether the arm's pose can be had, in its frame, and lies in the workspace."""
    arm, kinematics = facts.arm, None
    if arm.urdf is not None:
        kinematics, findings = _read_description(facts)
        yield from findings
    if 'ee_pose' not in arm.inputs and kinematics is None:
        return
    state, findings = _newest_state(facts, kinematics)
    yield from findings
    if state is None:
        return
    position = state.pose.position
    box = arm.workspace
    shown = f'end effector at {np.round(position, 3).tolist()} in {arm.base_frame}'
    if ((position >= box.lower) & (position <= box.upper)).all():
        yield ok('pose: workspace', shown)
    else:
        yield fault(
            'pose: workspace',
            f'{shown}, outside of {box.lower.tolist()} .. {box.upper.tolist()}',
            'move the arm into the box before it is enabled, or correct `workspace` or `frames`',
        )
    if 'ee_pose' in arm.inputs and kinematics is not None:
        joints = np.array([state.joints[name] for name in kinematics.names])
        yield _compare(state.pose, kinematics.forward(joints), arm)


def _compare(measured: Pose, computed: Pose, arm: ArmContract) -> Finding:
    way = float(np.linalg.norm(measured.position - computed.position))
    cosine = abs(float(measured.quaternion @ computed.quaternion))
    turn = 2.0 * math.acos(min(1.0, cosine))
    found = f'ee_pose and the joints put {arm.ee_frame} {way:.4f} m and {turn:.3f} rad apart'
    if way <= POSE_SLACK_M and turn <= POSE_SLACK_RAD:
        return ok('pose: description', found)
    return fault(
        'pose: description',
        found,
        'ee_pose is of another frame or tool, or the URDF of another robot; leave ee_pose out of '
        'the contract to have it computed',
    )


def _read_description(facts: Facts) -> tuple[Kinematics | None, list[Finding]]:
    """Return the kinematics, None where there are none, and what was found on the way."""
    arm, about = facts.arm, 'robot_description'
    assert arm.urdf is not None
    try:
        if arm.urdf.topic is None:
            urdf = read_urdf(arm)
        else:
            messages = facts.streams[about].messages
            if not messages:
                return None, []
            urdf = messages[-1].data
        chain_urdf(arm, urdf)
        return Kinematics(arm, urdf), [ok(about, 'has the chain of the contract')]
    except ConfigError as error:
        remedy = 'correct the arm contract, or publish the description of this robot'
        return None, [fault(about, str(error), remedy)]
    except BackendError as error:
        remedy = 'this machine computes no poses without it'
        return None, [(fault if arm.has_kinematics else note)(about, str(error), remedy)]


def _newest_state(
    facts: Facts, kinematics: Kinematics | None
) -> tuple[RobotState | None, list[Finding]]:
    """Return the newest whole state of the arm, and which poses cannot be used."""
    joiner = StateJoiner(facts.arm, kinematics, same_stamp=False)
    state, findings = None, []
    # The one that completes a state comes last.
    order = ('odometry', JOINT_STATES, 'ee_pose')
    for name in sorted(facts.arm.inputs, key=lambda stream: order.index(input_kind(stream))):
        joints = input_kind(name) == JOINT_STATES
        # Joints may come in messages of several publishers.
        for message in facts.streams[name].messages[-KEPT_JOINTS if joints else -1 :]:
            try:
                state = joiner.add(name, message) or state
            except ObservationError as error:
                if not joints:  # which have a check of their own
                    remedy = 'correct `frames` in the arm contract, or the topic of this input'
                    findings.append(fault(f'{name}: content', str(error), remedy))
    return state, findings
