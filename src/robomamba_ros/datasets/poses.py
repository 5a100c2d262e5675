"""Pose data sets: where to act in an image, and how to turn; one folder, plain files.

poses/*.jsonl           one sample a line: what `PoseSample` holds
images/, depth/         PNG; depth has 16 bits, a step is 0.1 mm, 0 is a hole
conversations/*.json    questions and answers about the same images (data/instructions)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from robomamba_ros.common.documents import parse_json, read_text
from robomamba_ros.common.files import written_whole
from robomamba_ros.errors import DataError
from robomamba_ros.types import Float32Array, Float64Array, UInt8Array

POSES, IMAGES, DEPTH, CONVERSATIONS = 'poses', 'images', 'depth', 'conversations'
MEGABYTES = 1024  # of a file of samples
DEPTH_STEP_M = 1e-4


@dataclass(frozen=True)
class Camera:
    """What turns a pixel into a point: depth, a PNG as above, beside intrinsics (3, 3).

    camera_pose (4, 4): of the optical frame, in base axes. point (3,): the contact in the optical
    frame [m].
    """

    depth: Path
    intrinsics: Float64Array
    camera_pose: Float64Array
    point: Float64Array


@dataclass(frozen=True)
class PoseSample:
    """An image with an instruction, and where and how to act for it.

    contact (2,): column and row in the image, centres at integers. directions (6,): up, into the
    surface, and forward of the end effector in the camera's optical frame, unit and square to each
    other. camera: None where only the image is known. task, seed: of the simulated scene; empty and
    -1 for one that is not simulated.
    """

    image: Path
    instruction: str
    contact: Float64Array
    directions: Float64Array
    camera: Camera | None = None
    task: str = ''
    seed: int = -1

    def read_image(self) -> UInt8Array:
        """Return the image (h, w, 3) RGB; raises DataError."""
        return read_image(self.image)

    def read_depth(self) -> Float32Array:
        """Return the depth (h, w) [m], 0 in holes; raises DataError."""
        if self.camera is None:
            raise DataError(f'{self.image} has no depth; give a data set with depth and intrinsics')
        return read_depth(self.camera.depth)


def read_poses(folder: Path) -> list[PoseSample]:
    """Return the samples of a folder, by file and line.

    Raises DataError where there is none, and for the first line that is wrong, with its number.
    """
    samples = []
    for path in sorted((folder / POSES).glob('*.jsonl')):
        for number, line in enumerate(read_text(path, MEGABYTES, DataError).splitlines(), 1):
            document = parse_json(line, f'{path}, entry {number}', error=DataError)
            try:
                samples.append(_sample(document, folder))
            except (ValueError, KeyError, TypeError) as error:
                what = f'{error} is missing' if isinstance(error, KeyError) else str(error)
                raise DataError(f'{path}, line {number}: {what}') from error
    if not samples:
        raise DataError(
            f"'{folder}' has no samples in {POSES}/*.jsonl; make some with robomamba poses collect"
        )
    return samples


def write_samples(path: Path, samples: Iterable[PoseSample], folder: Path) -> None:
    """Write a file of samples whose images lie in `folder`; it appears when it is complete."""
    lines = [json.dumps(_document(sample, folder)) for sample in samples]
    write_whole(path, ''.join(f'{line}\n' for line in lines))


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears under its name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(text, encoding='utf-8')


def read_image(path: Path) -> UInt8Array:
    """Return an image file as (h, w, 3) RGB; raises DataError."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise DataError(f'{path} is missing or no image; copy or collect it again')
    return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)


def write_image(path: Path, image: UInt8Array) -> None:
    """Write an RGB image (h, w, 3) as PNG."""
    _write_png(path, image[..., ::-1])


def read_depth(path: Path) -> Float32Array:
    """Return a depth image (h, w) [m]; raises DataError."""
    steps = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if steps is None or steps.dtype != np.uint16 or steps.ndim != 2:
        raise DataError(f'{path} is missing or no 16-bit depth; copy or collect it again')
    return np.asarray(steps * np.float32(DEPTH_STEP_M), dtype=np.float32)


def write_depth(path: Path, depth: Float32Array) -> None:
    """Write depth (h, w) [m] as PNG; what is too far for 16 bits, 6.55 m, becomes a hole."""
    steps = np.rint(depth / DEPTH_STEP_M)
    far = ~np.isfinite(steps) | (steps > np.iinfo(np.uint16).max)
    _write_png(path, np.where(far, 0, steps).astype(np.uint16))


def _write_png(path: Path, pixels: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), pixels):
        raise DataError(f'{path} cannot be written; is the disk full?')


def _document(sample: PoseSample, folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = {
        'image': str(sample.image.relative_to(folder)),
        'instruction': sample.instruction,
        'contact': sample.contact.tolist(),
        'up': sample.directions[:3].tolist(),
        'forward': sample.directions[3:].tolist(),
    }
    if sample.camera is not None:
        document['depth'] = str(sample.camera.depth.relative_to(folder))
        for name in ('intrinsics', 'camera_pose', 'point'):
            document[name] = getattr(sample.camera, name).tolist()
    if sample.task:
        document.update(task=sample.task, seed=sample.seed)
    return document


def _sample(document: Mapping[str, Any], folder: Path) -> PoseSample:
    if not isinstance(document, dict):
        raise ValueError('a sample is an object with image, instruction, contact, up, forward')
    directions = np.stack([_array(document, name, (3,)) for name in ('up', 'forward')])
    if not np.allclose(directions @ directions.T, np.eye(2), atol=1e-3):
        raise ValueError(
            f'up {document["up"]} and forward {document["forward"]} are not unit vectors at a '
            'right angle'
        )
    instruction = str(document['instruction']).strip()
    if not instruction:
        raise ValueError('the instruction is empty')
    camera = None
    if 'depth' in document:
        camera = Camera(
            depth=folder / document['depth'],
            intrinsics=_array(document, 'intrinsics', (3, 3)),
            camera_pose=_array(document, 'camera_pose', (4, 4)),
            point=_array(document, 'point', (3,)),
        )
    return PoseSample(
        image=folder / document['image'],
        instruction=instruction,
        contact=_array(document, 'contact', (2,)),
        directions=directions.reshape(6),
        camera=camera,
        task=str(document.get('task', '')),
        seed=int(document.get('seed', -1)),
    )


def _array(document: Mapping[str, Any], name: str, shape: Sequence[int]) -> Float64Array:
    values = np.asarray(document[name], dtype=np.float64)
    if values.shape != tuple(shape) or not np.isfinite(values).all():
        raise ValueError(f'{name} is {document[name]}, not numbers of shape {tuple(shape)}')
    return values
