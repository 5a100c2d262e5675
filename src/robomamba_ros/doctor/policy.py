"""Checks of a policy against an arm: cameras and states, action channels, time of an inference."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from robomamba_ros.control.policy.fit import misfits
from robomamba_ros.doctor.facts import Facts, PolicyFacts, Stream
from robomamba_ros.doctor.finding import Finding, fault, note, ok
from robomamba_ros.errors import ObservationError
from robomamba_ros.policies.base import OutputKind, PolicySpec
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import EE_POSE_NAMES, GRIPPER_NAME, NANOSECONDS, ActionSpace

_BY_JOINTS = (ActionSpace.JOINT_POSITION, ActionSpace.JOINT_DELTA)


def check_policy(facts: Facts) -> Iterator[Finding]:
    """Yield whether the policy runs, fits the arm, and is fast enough."""
    policy = facts.policy
    if policy is None:
        return
    if policy.spec is None:
        yield fault('policy', policy.error, 'correct the checkpoint, or install what it names')
        return
    yield ok('policy', f"'{policy.name}' loads and runs")
    problems = [*misfits(policy.spec, facts.arm), *_channels(policy.spec, facts.arm)]
    for problem in problems:
        yield fault('policy: arm', problem, 'take another policy, or complete the arm contract')
    if not problems:
        yield ok('policy: arm', f"arm '{facts.arm.name}' has its cameras and channels")
    yield from _instruction(facts, policy.spec)
    if policy.spec.output_kind is OutputKind.CHUNKS:
        yield _inference_time(policy, policy.spec)


def _instruction(facts: Facts, spec: PolicySpec) -> Iterator[Finding]:
    """Yield what the policy makes of the instruction that was received, where one was."""
    received = facts.streams.get('instruction', Stream()).messages
    if not received:
        return
    about, text = 'policy: words', received[-1].data
    try:
        spec.instructions.check(text)
    except ObservationError as error:
        yield fault(about, str(error), 'publish another instruction; robomamba inspect lists them')
        return
    if remark := spec.instructions.remark(text):
        yield note(about, remark, 'say what it was trained on, or try it where nothing can break')
    elif spec.instructions.trained:
        yield ok(about, f"it was trained on '{spec.instructions.spelled(text)}'")


def _channels(spec: PolicySpec, arm: ArmContract) -> Iterator[str]:
    """Yield the channels of state and actions that the arm does not have."""
    if spec.output_kind is not OutputKind.CHUNKS:
        return
    joints = tuple(joint.name for joint in arm.joints)
    states = set(spec.state_names) - {*EE_POSE_NAMES, GRIPPER_NAME, *joints}
    if states:
        yield (
            f'it reads {", ".join(sorted(states))}; the arm gives the pose of its end effector, '
            f'{GRIPPER_NAME}, {", ".join(joints)}'
        )
    actions = set(spec.action_names) - {GRIPPER_NAME, *joints}
    if spec.action_space in _BY_JOINTS and actions:
        yield f'it moves {", ".join(sorted(actions))}; the arm has {", ".join(joints)}'
    if spec.action_space in _BY_JOINTS and arm.takes_poses:
        yield 'it moves joints, and the controller of the arm takes poses'


def _inference_time(policy: PolicyFacts, spec: PolicySpec) -> Finding:
    median_s, worst_s = (float(np.percentile(policy.inferences_s, p)) for p in (50.0, 100.0))
    steps = policy.execute_steps or spec.execute_steps
    period_s, chunk_s = (n * spec.dt_ns / NANOSECONDS for n in (steps, spec.horizon))
    found = (
        f'{1e3 * median_s:.0f} ms an inference, at most {1e3 * worst_s:.0f} ms; one is due each '
        f'{1e3 * period_s:.0f} ms, a chunk lasts {1e3 * chunk_s:.0f} ms'
    )
    about = 'policy: time'
    if worst_s + period_s >= chunk_s:
        return fault(
            about,
            f'{found}: chunks run out before the next, and the arm stops',
            'give it a faster device or dtype, more threads, or fewer steps to execute',
        )
    if worst_s > period_s:
        return note(
            about,
            f'{found}: each chunk is followed for longer than it was evaluated',
            'give it a faster device or dtype, or more steps to execute',
        )
    return ok(about, found)
