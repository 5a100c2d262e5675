"""What an arm contract lacks for a policy is said before anything runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robomamba_ros.control.policy.fit import misfits
from robomamba_ros.policies.base import CameraSpec, OutputKind, PolicySpec
from robomamba_ros.robots.arm import load_arm
from robomamba_ros.types import ActionSpace, Pose

ARM = load_arm('sawyer_sim')
CAMERA = ARM.cameras[0]
SPEC = PolicySpec(
    'toy', (CameraSpec('corner2', 4, 4, depth=True),), (), ActionSpace.EE_POSE, (), 1, 1, 1,
    output_kind=OutputKind.TARGETS,
)  # fmt: skip
COMPLETE = {
    'depth_topic': 'depth',
    'info_topic': 'info',
    'base_T_camera': Pose(np.zeros(3), np.array([0, 0, 0, 1.0])),
}


def arm_with(**changes):
    return replace(ARM, cameras=(replace(CAMERA, **{**COMPLETE, **changes}),))


def test_an_arm_that_has_everything_fits():
    assert misfits(SPEC, arm_with()) == ()


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (
            {'depth_topic': None},
            "depth and intrinsics of the camera 'corner2'; give it depth_topic",
        ),
        ({'depth_topic': None, 'info_topic': None}, 'give it depth_topic and info_topic in the'),
        ({'fit': 'crop'}, "has `fit: crop`, and policy 'toy' needs its depth and intrinsics"),
        ({'base_T_camera': None}, "give it base_T_camera, its place in 'base', ee_T_camera, its"),
    ],
)
def test_what_the_camera_lacks_is_named_with_the_remedy(changes, said):
    (problem,) = misfits(SPEC, arm_with(**changes))
    assert said in problem
    assert "'sawyer_sim'" in problem


def test_a_camera_that_moves_is_placed_too():
    pose = COMPLETE['base_T_camera']
    assert misfits(SPEC, arm_with(base_T_camera=None, ee_T_camera=pose)) == ()
    assert misfits(SPEC, arm_with(base_T_camera=None, link='head_camera')) == ()


def test_a_policy_of_chunks_needs_no_place_of_the_camera():
    assert misfits(replace(SPEC, output_kind=OutputKind.CHUNKS), arm_with(base_T_camera=None)) == ()


def test_a_camera_that_is_not_there_is_named_with_those_that_are():
    other = replace(SPEC, cameras=(CameraSpec('wrist', 4, 4),))
    (problem,) = misfits(other, ARM)
    assert "sees by the camera 'wrist', arm 'sawyer_sim' has corner2" in problem


def test_a_policy_with_a_gripper_channel_does_not_fit_an_arm_without_one() -> None:
    bare = replace(load_arm('sawyer_sim'), gripper=None)
    spec = replace(SPEC, state_names=('ee_x', 'gripper'), action_names=('ee_x',))
    found = [problem for problem in misfits(spec, bare) if 'gripper' in problem]
    assert found == [
        f"policy '{spec.name}' has the state channel 'gripper', arm 'sawyer_sim' has no gripper: "
        'give it one in the arm contract'
    ]
