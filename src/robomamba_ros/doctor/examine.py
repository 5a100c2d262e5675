"""Runs all checks, in the order in which a person would make them."""

from __future__ import annotations

from collections.abc import Iterator

from robomamba_ros.doctor.cameras import check_cameras
from robomamba_ros.doctor.facts import Facts, Wanted, wanted_inputs
from robomamba_ros.doctor.finding import Finding
from robomamba_ros.doctor.outputs import check_outputs
from robomamba_ros.doctor.policy import check_policy
from robomamba_ros.doctor.robot import check_joints, check_pose
from robomamba_ros.doctor.streams import check_clock, check_flow, check_writers


def examine(facts: Facts) -> list[Finding]:
    """Return what every check has found."""
    return list(_findings(facts))


def _findings(facts: Facts) -> Iterator[Finding]:
    yield from check_clock(facts)
    for wanted in wanted_inputs(facts.arm, facts.spec):
        yield from check_writers(wanted, facts, needed=_needed(wanted, facts))
        yield from check_flow(wanted, facts, needed=_needed(wanted, facts))
    yield from check_joints(facts)
    yield from check_pose(facts)
    yield from check_cameras(facts)
    yield from check_outputs(facts)
    yield from check_policy(facts)


def _needed(wanted: Wanted, facts: Facts) -> bool:
    """Return whether the arm cannot run without a stream."""
    return wanted.stream != 'robot_description' or facts.arm.has_kinematics
