"""What meta/info.json of a LeRobot data set says: features, frame rate, where its files lie.

The layout is that of lerobot's `datasets` package (huggingface/lerobot, codebase v3.0) and, for
reading, of the versions 2.0 and 2.1 before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robomamba_ros.common.documents import read_json
from robomamba_ros.datasets.lerobot.templates import PathTemplate
from robomamba_ros.errors import DataError

VERSION = 'v3.0'
# 2.0 differs from 2.1 in where its statistics are.
READABLE = ('v2.0', 'v2.1', VERSION)
INFO = 'meta/info.json'
STATS = 'meta/stats.json'
TASKS = 'meta/tasks.parquet'
EPISODES = 'meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
DATA = 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'
VIDEO = 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4'
FILES_PER_CHUNK = 1000
INFO_MEGABYTES = 4
# Smaller than lerobot's own 100 and 200: a file is rewritten whenever an episode is added to it.
DATA_FILE_MB = 32
VIDEO_FILE_MB = 64

# What a path may depend on, in 3.0 and in the versions before it.
FIELDS = ('video_key', 'chunk_index', 'file_index', 'episode_index', 'episode_chunk')
VISUAL, TEXT = ('image', 'video'), 'string'
NUMERIC: tuple[str, ...] = ('bool', 'float16', 'float32', 'float64')
NUMERIC += tuple(f'{sign}int{bits}' for sign in ('', 'u') for bits in (8, 16, 32, 64))
# Values of one feature of one frame, and pixels of a side.
LARGEST_FEATURE, LARGEST_SIDE = 10**6, 16_384

STATE, ACTION, CAMERA_PREFIX = 'observation.state', 'action', 'observation.images.'
# Of demonstrations that were disturbed: whether something else than the frame's action was done.
DISTURBED = 'disturbed'


@dataclass(frozen=True)
class Feature:
    """One value of every frame.

    dtype: one of NUMERIC, 'string', 'image' (PNG within the table) or 'video'. shape: as declared;
    an image is (h, w, 3), in older sets (3, h, w) too. names: of the channels, None for none.
    """

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None
    is_depth: bool = False

    @property
    def is_visual(self) -> bool:
        """Whether it holds pictures, depth included."""
        return self.dtype in VISUAL

    @property
    def is_numeric(self) -> bool:
        """Whether it holds numbers or flags."""
        return self.dtype in NUMERIC

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of its images."""
        return self.shape[-2:] if self.shape[0] in (1, 3) else self.shape[:2]  # type: ignore[return-value]

    def describe(self) -> dict[str, Any]:
        """Return what info.json says of it."""
        names = None if self.names is None else list(self.names)
        return {'dtype': self.dtype, 'shape': list(self.shape), 'names': names}


def camera_feature(height: int, width: int, *, video: bool) -> Feature:
    """Return the feature of an RGB camera of (height, width) pixels."""
    names = ('height', 'width', 'channels')
    return Feature('video' if video else 'image', (height, width, 3), names)


# What every frame has besides; not given by who writes one.
INDICES: Mapping[str, Feature] = {
    'timestamp': Feature('float32', (1,)),
    'frame_index': Feature('int64', (1,)),
    'episode_index': Feature('int64', (1,)),
    'index': Feature('int64', (1,)),
    'task_index': Feature('int64', (1,)),
}


@dataclass(frozen=True)
class Info:
    """meta/info.json, checked. fps: frames per second; document: all of it, as it was read.

    skipped: the types of features that nobody here needs, such as audio, by their keys; they are
    not read. total_episodes, total_frames: as it says, None where it does not.
    """

    version: str
    fps: float
    features: Mapping[str, Feature]
    robot_type: str | None
    chunks_size: int
    data_path: PathTemplate
    video_path: PathTemplate | None
    total_episodes: int | None
    total_frames: int | None
    document: Mapping[str, Any]
    skipped: Mapping[str, str]

    @property
    def cameras(self) -> tuple[str, ...]:
        """The keys of the features that are RGB images."""
        return tuple(
            key for key, each in self.features.items() if each.is_visual and not each.is_depth
        )


def read_info(root: Path) -> Info:
    """Read meta/info.json; raises DataError naming what is missing, wrong or too old."""
    path = root / INFO
    if not path.is_file():
        raise DataError(f'{root} is no LeRobot data set: {path} is missing')
    document = read_json(path, megabytes=INFO_MEGABYTES, error=DataError)
    if not isinstance(document, dict):
        raise DataError(f'{path} must hold keys and values; get it again')
    _check_version(str(document.get('codebase_version', 'not given'))[:40], path)
    missing = [key for key in ('fps', 'features', 'data_path') if key not in document]
    if missing:
        raise DataError(f"{path} lacks the key '{missing[0]}'; get it again")
    features = document['features']
    if not isinstance(features, dict) or not all(isinstance(x, dict) for x in features.values()):
        raise DataError(f'{path}: features must hold keys and, of each, what it is')
    known = {
        key: each
        for key, each in features.items()
        if each.get('dtype') in (*NUMERIC, *VISUAL, TEXT)
    }
    video = document.get('video_path')
    return Info(
        version=document['codebase_version'],
        fps=_fps(document['fps'], path),
        features={key: _feature(key, each, path) for key, each in known.items()},
        robot_type=document.get('robot_type'),
        chunks_size=_count(document, 'chunks_size', 1, path) or FILES_PER_CHUNK,
        data_path=PathTemplate(document['data_path'], FIELDS, f'{path}: data_path'),
        video_path=None if video is None else PathTemplate(video, FIELDS, f'{path}: video_path'),
        total_episodes=_count(document, 'total_episodes', 0, path),
        total_frames=_count(document, 'total_frames', 0, path),
        document=document,
        skipped={k: str(x.get('dtype'))[:40] for k, x in features.items() if k not in known},
    )


def _fps(value: object, path: Path) -> float:
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
    if not 0.01 <= number <= 10_000:
        raise DataError(f'{path}: fps is {value!r:.40}; it has to be a number from 0.01 to 10000')
    return float(number)


def _count(document: Mapping[str, Any], key: str, least: int, path: Path) -> int | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise DataError(f'{path}: {key} is {value!r:.40}; it has to be a whole number from {least}')
    return value


def _check_version(version: str, path: Path) -> None:
    if version in READABLE:
        return
    remedy = 'it is newer than this package knows; convert it to v3.0'
    if version.startswith('v1'):
        remedy = (
            "convert it with lerobot 0.3.3's lerobot.datasets.v2.convert_dataset_v1_to_v2, then "
            'read it here as it is'
        )
    raise DataError(
        f'{path}: codebase_version is {version}; read are {", ".join(READABLE)}: {remedy}'
    )


def _feature(key: str, document: Mapping[str, Any], path: Path) -> Feature:
    dtype, shape = document['dtype'], document.get('shape')
    sizes = [shape] if isinstance(shape, int) else shape
    largest = LARGEST_SIDE if dtype in VISUAL else LARGEST_FEATURE
    if (
        not isinstance(sizes, list)
        or not all(isinstance(size, int) and 1 <= size <= largest for size in sizes)
        or (dtype in NUMERIC and math.prod(sizes) > LARGEST_FEATURE)
        or (dtype in VISUAL and len(sizes) != 3)
    ):
        raise DataError(
            f"{path}: the shape of '{key}' is {shape!r:.40}; needed are whole numbers from 1 "
            f'to {largest}, 3 of an image'
        )
    notes = [x for x in (document.get('video_info'), document.get('info')) if isinstance(x, dict)]
    return Feature(
        dtype=dtype,
        shape=tuple(sizes),
        names=_names(document.get('names')),
        is_depth=any(x.get('is_depth_map') or x.get('video.is_depth_map') for x in notes),
    )


def _names(names: Any, depth: int = 0) -> tuple[str, ...] | None:
    """Return channel names out of the forms they come in.

    They are a list, lists in a list or under headings, or names with their positions.
    """
    if depth > 3:
        return None
    if isinstance(names, dict) and names and all(isinstance(x, int) for x in names.values()):
        return tuple(sorted(names, key=lambda name: names[name]))
    parts = list(names.values()) if isinstance(names, dict) else names
    if not isinstance(parts, list):
        return None
    flat: list[str] = []
    for part in parts:
        if isinstance(part, (list, dict)):
            flat += _names(part, depth + 1) or ()
        elif part is not None:
            flat.append(str(part))
    return tuple(flat) or None
