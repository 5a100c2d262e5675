"""Whether an arm provides what a policy needs, as far as the arm contract tells.

What is not on the topics in spite of the contract shows at run time.
"""

from __future__ import annotations

from robomamba_ros.policies.base import CameraSpec, OutputKind, PolicySpec
from robomamba_ros.robots.arm import ArmContract, Camera
from robomamba_ros.types import GRIPPER_NAME


def misfits(spec: PolicySpec, arm: ArmContract) -> tuple[str, ...]:
    """Return what the policy needs and the arm lacks, a sentence with its remedy for each."""
    given = {camera.name: camera for camera in arm.cameras}
    found: list[str] = []
    for needed in spec.cameras:
        if needed.name not in given:
            names = ', '.join(given) or 'none'
            found.append(
                f"policy '{spec.name}' sees by the camera '{needed.name}', arm '{arm.name}' has "
                f'{names}: name it in the arm contract'
            )
        elif needed.depth:
            found += _depth_misfits(spec, needed, given[needed.name], arm)
    channels = {'state': spec.state_names, 'action': spec.action_names}
    for kind, channel_names in channels.items() if arm.gripper is None else ():
        if GRIPPER_NAME in channel_names:
            found.append(
                f"policy '{spec.name}' has the {kind} channel '{GRIPPER_NAME}', arm '{arm.name}' "
                'has no gripper: give it one in the arm contract'
            )
    return tuple(found)


def _depth_misfits(
    spec: PolicySpec, needed: CameraSpec, camera: Camera, arm: ArmContract
) -> list[str]:
    found = []
    if camera.fit:
        found.append(
            f"camera '{needed.name}' of arm '{arm.name}' has `fit: {camera.fit}`, and policy "
            f"'{spec.name}' needs its depth and intrinsics, which are of the images as they come: "
            'give it images of its size, and leave `fit` out'
        )
    missing = [key for key in ('depth_topic', 'info_topic') if getattr(camera, key) is None]
    if missing:
        found.append(
            f"policy '{spec.name}' needs depth and intrinsics of the camera '{needed.name}'; give "
            f"it {' and '.join(missing)} in the contract of arm '{arm.name}', of depth that is "
            'registered to its images'
        )
    placed = any((camera.base_T_camera, camera.ee_T_camera, camera.link))
    if spec.output_kind is OutputKind.TARGETS and not placed:
        found.append(
            f"policy '{spec.name}' gives poses in the frame of the camera '{needed.name}', and "
            f"nothing says where that is: give it base_T_camera, its place in '{arm.base_frame}', "
            f'ee_T_camera, its place on the end effector, or link, its optical frame in the URDF, '
            f"in the contract of arm '{arm.name}'"
        )
    return found
