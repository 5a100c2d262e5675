"""Whether a data set may be continued: this program wrote it, and what is added is of its kind.

Asked before anything is touched. A set of another program has files that nothing here knows of.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from robomamba_ros.datasets.lerobot.files import PIXELS, is_own
from robomamba_ros.datasets.lerobot.layout import DATA, VERSION, VIDEO, Feature
from robomamba_ros.datasets.lerobot.metadata import read_schema
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.datasets.lerobot.store import refuse_links
from robomamba_ros.errors import DataError


def check_continued(
    dataset: LeRobotDataset,
    fps: int,
    features: Mapping[str, Feature],
    *,
    frames: pa.Schema,
    episodes: pa.Schema,
) -> None:
    """Raise DataError for a set of another program or version, with links, or of other data.

    frames, episodes: the columns that tables of this program would have.
    """
    root, info = dataset.root, dataset.info
    if info.version != VERSION:
        raise DataError(
            f'{root} is of version {info.version}; only {VERSION} is continued. Convert it with '
            'lerobot.scripts.convert_dataset_v21_to_v30'
        )
    refuse_links(root)
    if info.fps != fps:
        raise DataError(
            f'{root} has {info.fps:g} frames per second, not {fps}; write to another folder'
        )
    for key in {**info.features, **features}:
        found, wanted = info.features.get(key), features.get(key)
        if found != wanted:
            raise DataError(
                f"{root}: feature '{key}' is {_described(found)} in the data set and "
                f'{_described(wanted)} in what is to be added; write to another folder'
            )
    difference = _difference(dataset, frames, episodes)
    if difference:
        raise DataError(
            f'{root} was written by another program ({difference}); write to a new folder, and '
            'join the two with lerobot-edit-dataset'
        )


def last_table(root: Path) -> Path:
    """Return the last table of episodes, of a set that has episodes."""
    return sorted((root / 'meta/episodes').glob('*/*.parquet'))[-1]


def _difference(dataset: LeRobotDataset, frames: pa.Schema, episodes: pa.Schema) -> str | None:
    info = dataset.info
    video = None if info.video_path is None else info.video_path.text
    if info.data_path.text != DATA or video not in (None, VIDEO):
        return f'data_path {info.data_path.text:.80}, video_path {video!s:.80}'
    if not dataset.episodes:
        return None
    path = last_table(dataset.root)
    found = read_schema(path)
    if not found.equals(episodes) or PIXELS not in (found.metadata or {}):
        return f'other columns in {path}'
    for episode in (dataset.episodes[0], dataset.episodes[-1]):
        if not is_own(read_schema(episode.data), frames):
            return f'other columns in {episode.data}'
    return None


def _described(feature: Feature | None) -> str:
    return 'missing' if feature is None else str(feature.describe())
