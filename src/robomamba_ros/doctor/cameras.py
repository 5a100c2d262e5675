"""Checks of what the cameras send: order of colours, size, frames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from robomamba_ros.doctor.facts import Facts, image_topic, watched_cameras
from robomamba_ros.doctor.finding import Finding, fault, note, ok
from robomamba_ros.errors import ObservationError
from robomamba_ros.messages.images import camera_intrinsics, camera_to_rgb, decoder, depth_to_metres
from robomamba_ros.policies.base import CameraSpec
from robomamba_ros.robots.parts import Camera

# Less than this much difference between pixels [of 255] shows nothing to anybody.
PLAIN = 2.0
# The fastest of so many decodings is told: the first one imports what it needs.
TRIES = 3


def check_cameras(facts: Facts) -> Iterator[Finding]:
    """Yield what there is to say about the newest message of each camera."""
    needed = {} if facts.spec is None else {camera.name: camera for camera in facts.spec.cameras}
    for name, camera in watched_cameras(facts.arm, facts.spec).items():
        messages = facts.streams[image_topic(camera)].messages
        if messages:
            yield from _check_image(camera, messages[-1], needed.get(name))
        if name in needed and needed[name].depth:
            yield from _check_depth(name, facts, needed[name])


def _check_image(camera: Camera, message: Any, needed: CameraSpec | None) -> Iterator[Finding]:
    name = camera.name
    try:
        image = camera_to_rgb(message, camera)
    except ObservationError as error:
        remedy = 'correct `encoding` or `transport` in the arm contract, or set up the camera anew'
        yield fault(f'camera {name}: image', str(error), remedy)
        return
    except ImportError as error:
        yield fault(f'camera {name}: image', str(error), 'pip install opencv-python-headless')
        return
    yield _colours(camera, message)
    yield _cost(camera, message)
    yield _size(f'camera {name}: size', image.shape[:2], needed, camera.fit)
    if float(image.std()) < PLAIN:
        yield note(
            f'camera {name}: image',
            f'all its pixels are {image.reshape(-1, 3).mean(axis=0).round().tolist()}',
            'is there light, and is the lens uncovered?',
        )
    if not message.header.frame_id:
        yield note(
            f'camera {name}: frame',
            'its images name no frame',
            "give the driver the camera's frame: RViz and depth need it",
        )


def _colours(camera: Camera, message: Any) -> Finding:
    """Return what is known of the order of colours, which pixels cannot prove."""
    about = f'camera {camera.name}: colours'
    if camera.transport == 'raw':
        return ok(about, f'{message.encoding}, as the arm contract says')
    return note(
        about,
        f"compressed as '{message.format}', which does not say whether red and blue were exchanged "
        'before',
        'hold something red before the camera and look at the topic in RViz or rqt_image_view',
    )


def _cost(camera: Camera, message: Any) -> Finding:
    """Return what an image of a camera costs: bytes on the way, and processor time to decode."""
    seconds = []
    for _ in range(TRIES):
        start_s = time.thread_time()
        camera_to_rgb(message, camera)
        seconds.append(time.thread_time() - start_s)
    return ok(
        f'camera {camera.name}: cost',
        f'{len(message.data) / 1e6:.2f} MB an image, decoded in {1e3 * min(seconds):.1f} ms of the '
        f'processor by {decoder(message, camera)}',
    )


def _size(about: str, size: tuple[int, int], needed: CameraSpec | None, fit: str = '') -> Finding:
    """Return whether images of a size (height, width) are what the policy needs."""
    height, width = size
    if needed is None:
        return ok(about, f'{width} x {height}')
    if size == (needed.height, needed.width):
        return ok(about, f'{width} x {height}, as the policy needs')
    if fit:
        made = f'{width} x {height}, made {needed.width} x {needed.height} by `fit: {fit}`'
        return ok(about, f'{made}, as the arm contract says')
    return fault(
        about,
        f'{width} x {height}, the policy needs {needed.width} x {needed.height}',
        'set the resolution of the driver, or say by `fit` in the arm contract how the images it '
        'was trained on were made: crop, squash or pad',
    )


def _check_depth(name: str, facts: Facts, needed: CameraSpec) -> Iterator[Finding]:
    about = f'camera {name}: depth'
    streams = [facts.streams.get(f'camera/{name}/{kind}') for kind in ('depth', 'camera_info')]
    depths, infos = [() if stream is None else stream.messages for stream in streams]
    if not depths or not infos:
        return
    depth, info = depths[-1], infos[-1]
    try:
        metres = depth_to_metres(depth)
        camera_intrinsics(info)
    except ObservationError as error:
        yield fault(about, str(error), 'publish 16UC1 or 32FC1, and a calibrated camera_info')
        return
    if depth.header.frame_id != info.header.frame_id:
        yield fault(
            about,
            f"depth is in the frame '{depth.header.frame_id}', camera_info in "
            f"'{info.header.frame_id}'",
            'publish depth that is registered to the images',
        )
    yield _size(about, metres.shape, needed)
    seen = np.isfinite(metres) & (metres > 0.0)
    if seen.mean() < 0.5:
        remedy = 'look at it in RViz: too near, too far, or too shiny'
        yield note(about, f'only {seen.mean():.0%} of the pixels have a depth', remedy)
