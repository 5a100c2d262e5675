"""Which topics of an arm contract the nodes' names are mapped to."""

from __future__ import annotations

from collections.abc import Mapping

from robomamba_ros.robots.arm import ArmContract


def arm_remappings(arm: ArmContract) -> dict[str, str]:
    """Return the arm's topic for each name that the nodes use, where the two differ."""
    outputs = {output.name: output.topic for output in arm.outputs}
    said = {f'interlock/{interlock.name}': interlock.topic for interlock in arm.interlocks}
    if arm.speed_scaling is not None:
        said['speed_scaling'] = arm.speed_scaling.topic
    return renamed({**input_topics(arm), **outputs, **said})


def input_topics(arm: ArmContract) -> dict[str, str]:
    """Return the arm's topic by the name that the nodes use."""
    topics = dict(arm.inputs)
    for camera in arm.cameras:
        name = f'camera/{camera.name}'
        suffix = '/compressed' if camera.transport == 'compressed' else ''
        topics[f'{name}/image{suffix}'] = camera.topic
        for kind, topic in (('depth', camera.depth_topic), ('camera_info', camera.info_topic)):
            if topic is not None:
                topics[f'{name}/{kind}'] = topic
    if arm.urdf is not None and arm.urdf.topic is not None:
        topics['robot_description'] = arm.urdf.topic
    return topics


def renamed(topics: Mapping[str, str]) -> dict[str, str]:
    """Return those topics by name that have another name than the nodes' own."""
    return {name: topic for name, topic in topics.items() if name != topic}
