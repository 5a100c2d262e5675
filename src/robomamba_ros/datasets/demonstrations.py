"""The demonstration store: fixed-size samples in flat arrays, one folder, read without copying.

A sample is what training needs for one forward pass: the preprocessed images, the state and the
state one step earlier, the chunk of actions that follows and which of them are valid. A folder
holds shards; a shard is written whole or not at all, so an interrupted collection resumes with the
shards that are missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.common.documents import read_json
from robomamba_ros.common.files import refuse_special, written_whole
from robomamba_ros.errors import DataError
from robomamba_ros.vision.preprocess import CropResize

METADATA = 'meta.json'


@dataclass(frozen=True)
class DatasetMeta:
    """What the samples of a folder have in common; see PolicySpec for the names.

    cameras, crops: by whose name an image goes, and what of it is kept; all of one target size.
    """

    cameras: tuple[str, ...]
    crops: tuple[CropResize, ...]
    state_names: tuple[str, ...]
    action_space: str
    action_names: tuple[str, ...]
    horizon: int
    dt_ns: int
    instructions: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Write meta.json, or check that the one already there is the same."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / METADATA
        if not path.is_file():
            path.write_text(json.dumps(asdict(self), indent=1), encoding='utf-8')
        elif self.load(folder) != self:
            raise DataError(
                f'{path} describes other data than what would be written; give another folder'
            )

    @classmethod
    def load(cls, folder: Path) -> DatasetMeta:
        """Read meta.json; raises DataError where it is missing or not readable."""
        path = folder / METADATA
        if not path.is_file():
            raise DataError(
                f"'{folder}' is no data set: robomamba collect makes one in simulation, robomamba "
                'dataset from-bag of rosbags'
            )
        try:
            raw: dict[str, Any] = read_json(path, error=DataError)
            if 'camera' in raw:  # as stores of a single camera were described at first
                raw |= {'cameras': [raw.pop('camera')], 'crops': [raw.pop('crop')]}
            for key in ('cameras', 'state_names', 'action_names', 'instructions'):
                raw[key] = tuple(raw[key])
            return cls(**{**raw, 'crops': tuple(_crop(**crop) for crop in raw['crops'])})
        except (DataError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f'{path} is not the description of a data set ({error}); collect one with '
                'robomamba collect'
            ) from error


def _crop(source: int | list[int], **sizes: int) -> CropResize:
    return CropResize(source if isinstance(source, int) else (source[0], source[1]), **sizes)


# One row per sample. `points` and `pixels` supervise localisation in training and are NaN where
# the data has none: 3 points (object, goal, end effector), metres in the base frame, and where
# they appear in the first camera's image, -1..1 over the crop.
def sample_dtype(meta: DatasetMeta) -> np.dtype[Any]:
    """Return the record type of one sample."""
    side, d_s, d_a = meta.crops[0].target, len(meta.state_names), len(meta.action_names)
    return np.dtype(
        [
            ('images', np.uint8, (len(meta.cameras), side, side, 3)),
            ('state', np.float32, (d_s,)),
            ('previous_state', np.float32, (d_s,)),
            ('actions', np.float32, (meta.horizon, d_a)),
            ('valid', np.bool_, (meta.horizon,)),
            ('points', np.float32, (3, 3)),
            ('pixels', np.float32, (3, 2)),
            ('instruction', np.int32),
            ('episode', np.int32),
            ('step', np.int32),
        ]
    )


def shard_path(folder: Path, name: str) -> Path:
    """Return the file of the shard `name`."""
    return folder / f'{name}.npy'


def write_shard(folder: Path, name: str, samples: NDArray[Any]) -> None:
    """Write one shard; it appears under its name only when it is complete."""
    with written_whole(shard_path(folder, name)) as path, path.open('wb') as file:
        np.save(file, samples)


def open_shards(folder: Path) -> tuple[DatasetMeta, Sequence[NDArray[Any]]]:
    """Return the description and the shards (memory-mapped) of a data set.

    Raises DataError for a folder without shards, and names a shard that is damaged or of another
    layout than meta.json says.
    """
    meta = DatasetMeta.load(folder)
    dtype = sample_dtype(meta)
    shards = []
    for path in sorted(folder.glob('*.npy')):
        try:
            refuse_special(path)
            shard = np.load(path, mmap_mode='r', allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f'{path} is damaged ({error}); delete it and collect again') from error
        if shard.dtype not in (dtype, _former(dtype)):
            raise DataError(f'{path} has another layout than {folder / METADATA} says')
        shards.append(shard.view(dtype))
    if not shards:
        raise DataError(f'{folder} holds no samples (*.npy); run robomamba collect')
    return meta, shards


def _former(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the layout that stores of a single camera had at first: the same bytes."""
    images, *others = [(name, dtype[name]) for name in dtype.names or ()]
    return np.dtype([('image', images[1].base, images[1].shape[1:]), *others])
