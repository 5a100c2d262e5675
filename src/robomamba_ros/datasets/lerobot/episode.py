"""One episode in the making: its frames go to files of their own as they come.

Memory does not grow with the episode, but for its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from robomamba_ros.datasets.lerobot.files import frame_schema, open_table_writer
from robomamba_ros.datasets.lerobot.images import encode_png
from robomamba_ros.datasets.lerobot.layout import INDICES, Feature
from robomamba_ros.datasets.lerobot.statistics import PixelCounts, Statistics, number_statistics
from robomamba_ros.errors import DataError

if TYPE_CHECKING:
    from robomamba_ros.datasets.lerobot.video import EpisodeVideo

# Rows are written in groups of about this many bytes of images: reading one image reads a group.
GROUP_BYTES = 1 << 20


class EpisodeFiles:
    """The frames of episode number `index`, whose first frame is frame `first` of the data set.

    folder: where its files are made: `table`, and `videos` by the key of their feature.
    """

    def __init__(
        self, folder: Path, features: Mapping[str, Feature], fps: int, index: int, first: int
    ) -> None:
        self._features, self._fps, self._index, self._first = features, fps, index, first
        self.table = folder / 'episode.parquet'
        self.videos = {
            key: folder / f'video-{number}.mp4'
            for number, (key, feature) in enumerate(features.items())
            if feature.dtype == 'video'
        }
        self.length = 0
        self.tasks: list[str] = []
        self.pixels = {key: PixelCounts() for key, each in features.items() if each.is_visual}
        self._numbers: dict[str, list[Any]] = {
            key: [] for key, each in features.items() if each.is_numeric
        }
        self._images: dict[str, list[dict[str, Any]]] = {
            key: [] for key, each in features.items() if each.dtype == 'image'
        }
        self._written = self._bytes = 0
        self._schema = frame_schema(features)
        self._rows = open_table_writer(self.table, self._schema)
        self._encoders: dict[str, EpisodeVideo] = {}

    def add(self, values: Mapping[str, Any], task: str, task_index: int) -> None:
        """Add the next frame; raises DataError naming the feature that does not fit."""
        given = {key for key in self._features if key not in INDICES}
        if set(values) != given:
            raise DataError(
                f'a frame has the features {", ".join(sorted(values))}; those of the data set '
                f'are {", ".join(sorted(given))}'
            )
        arrays = {key: _checked(key, self._features[key], values[key]) for key in values}
        indices = {
            'timestamp': self.length / self._fps,
            'frame_index': self.length,
            'episode_index': self._index,
            'index': self._first + self.length,
            'task_index': task_index,
        }
        for key, value in {**arrays, **indices}.items():
            if key in self._numbers:
                self._numbers[key].append(value)
        for key, counts in self.pixels.items():
            image = arrays[key]
            counts.add(image)
            if key in self._images:
                data = encode_png(image)
                name = f'frame-{self.length:06d}.png'
                self._images[key].append({'bytes': data, 'path': name})
                self._bytes += len(data)
            else:
                self._encoder(key).add(image)
        self.length += 1
        if task not in self.tasks:
            self.tasks.append(task)
        if self._bytes >= GROUP_BYTES:
            self._write_group()

    def finish(self) -> dict[str, Statistics]:
        """Close the files; return the statistics of every feature."""
        if self._written < self.length:
            self._write_group()
        self._rows.close()
        while self._encoders:
            self._encoders.popitem()[1].close()
        statistics: dict[str, Statistics] = {
            key: number_statistics(np.array(values)) for key, values in self._numbers.items()
        }
        return {**statistics, **{key: each.statistics() for key, each in self.pixels.items()}}

    def discard(self) -> None:
        """Close the files and delete them."""
        with suppress(Exception):
            self._rows.close()
        for encoder in self._encoders.values():
            with suppress(Exception):
                encoder.close()
        for path in (self.table, *self.videos.values()):
            path.unlink(missing_ok=True)

    def _write_group(self) -> None:
        columns = {key: values[self._written :] for key, values in self._numbers.items()}
        columns.update(self._images)
        arrays = [_column(columns[field.name], field.type) for field in self._schema]
        self._rows.write_table(pa.table(arrays, schema=self._schema))
        for images in self._images.values():
            images.clear()
        self._written, self._bytes = self.length, 0

    def _encoder(self, key: str) -> EpisodeVideo:
        if key not in self._encoders:
            from robomamba_ros.datasets.lerobot.video import EpisodeVideo  # only videos need PyAV

            size = self._features[key].image_size
            self._encoders[key] = EpisodeVideo(self.videos[key], self._fps, *size)
        return self._encoders[key]


def _checked(key: str, feature: Feature, value: Any) -> Any:
    array = np.asarray(value)
    shape = (*feature.image_size, 3) if feature.is_visual else feature.shape
    dtype = np.dtype('uint8' if feature.is_visual else feature.dtype)
    if array.shape != shape or not np.can_cast(array.dtype, dtype, 'same_kind'):
        raise DataError(
            f"'{key}' of a frame is {array.dtype} of shape {array.shape}; the data set has {dtype} "
            f'of shape {shape}'
        )
    if dtype.kind == 'f' and not np.isfinite(array).all():
        raise DataError(f"'{key}' of a frame is {array.tolist()}: not finite")
    array = array.astype(dtype)
    return array[0] if feature.is_numeric and shape == (1,) else array


def _column(values: list[Any], kind: Any) -> Any:
    if pa.types.is_fixed_size_list(kind):
        flat = pa.array(np.concatenate(values), kind.value_type)
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    return pa.array(values, kind)
