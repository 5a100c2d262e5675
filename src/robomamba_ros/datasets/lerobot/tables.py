"""The tables of a data set: columns of all frames as arrays, and images out of a row.

Finds where rows lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from robomamba_ros.datasets.lerobot.images import decode_image
from robomamba_ros.datasets.lerobot.layout import Feature
from robomamba_ros.datasets.lerobot.metadata import Episode, reading
from robomamba_ros.errors import DataError
from robomamba_ros.types import UInt8Array

# Tables kept open, and groups of rows with images kept in memory.
OPEN_TABLES, KEPT_GROUPS = 64, 16


class FrameTables:
    """The tables that hold the frames of `episodes`."""

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self._frames: dict[Path, tuple[int, int]] = {}
        for episode in episodes:
            first, _ = self._frames.get(episode.data, (episode.first, 0))
            self._frames[episode.data] = (first, episode.stop)
        self._open = lru_cache(OPEN_TABLES)(_open)
        self._group = lru_cache(KEPT_GROUPS)(self._read_group)

    def columns(self, features: dict[str, Feature]) -> dict[str, NDArray[Any]]:
        """Return the values of numeric features of all frames, (n, *shape) each, (n,) of scalars.

        Raises DataError naming the file, the column, what was found and what info.json says.
        """
        parts: dict[str, list[NDArray[Any]]] = {key: [] for key in features}
        for path, (first, stop) in self._frames.items():
            table = self._read_columns(path, list(features))
            if table.num_rows < stop - first:
                raise DataError(
                    f'{path} has {table.num_rows} rows, its episodes need {stop - first}: the '
                    'data set is not whole; get it again'
                )
            for key, feature in features.items():
                column = table[key].slice(0, stop - first)
                parts[key].append(_array(column, feature, f"{path}, column '{key}'"))
        return {
            key: np.concatenate(arrays) if arrays else np.empty((0, *_shape(features[key])))
            for key, arrays in parts.items()
        }

    def image(self, key: str, feature: Feature, episode: Episode, index: int) -> UInt8Array:
        """Return an image (h, w, 3) of frame `index`, which is in `episode`."""
        path = episode.data
        row = index - self._frames[path][0]
        ends = self._open(path)[1]
        group = int(np.searchsorted(ends, row, side='right'))
        if group == len(ends):
            raise DataError(f'{path} has {ends[-1] if len(ends) else 0} rows, row {row} is needed')
        begin = int(ends[group - 1]) if group else 0
        value = self._group(path, group, key)[row - begin].as_py()
        where = f"{path}, row {row}, column '{key}'"
        if not isinstance(value, dict) or value.get('bytes') is None:
            raise DataError(
                f'{where} holds no image but {_short(value)}; images have to be in the table, as '
                "lerobot's push_to_hub and save_episode put them"
            )
        try:
            image = decode_image(value['bytes'])
        except DataError as error:
            raise DataError(f'{where}: {error}; get it again') from error
        if image.shape[:2] != feature.image_size:
            height, width = feature.image_size
            raise DataError(
                f'{where} is an image of {image.shape[1]} x {image.shape[0]} pixels; info.json '
                f'says {width} x {height}'
            )
        return image

    def _read_columns(self, path: Path, keys: list[str]) -> pa.Table:
        table, _ = self._open(path)
        with reading(path):
            present = table.schema_arrow.names
        missing = [key for key in keys if key not in present]
        if missing:
            raise DataError(
                f'{path} lacks the columns {", ".join(missing)} that info.json describes; it has '
                f'{", ".join(present)}'
            )
        with reading(path):
            return table.read(columns=keys)

    def _read_group(self, path: Path, group: int, key: str) -> Any:
        with reading(path):
            return self._open(path)[0].read_row_group(group, [key], use_threads=False)[key]


def _open(path: Path) -> tuple[pq.ParquetFile, NDArray[np.int64]]:
    """Return a table and the row at which each of its groups ends."""
    with reading(path):
        table = pq.ParquetFile(path, memory_map=True)
        rows = [table.metadata.row_group(i).num_rows for i in range(table.num_row_groups)]
        return table, np.cumsum(np.array(rows, dtype=np.int64))


def _array(column: pa.ChunkedArray, feature: Feature, where: str) -> NDArray[Any]:
    shape = _shape(feature)
    values = column.combine_chunks()
    rows = len(values)
    if values.null_count:
        raise DataError(f'{where} has {values.null_count} empty rows of {rows}')
    while pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    if values.null_count:
        raise DataError(f'{where} has {values.null_count} empty values')
    number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if not number and not pa.types.is_boolean(values.type):
        raise DataError(f'{where} is {values.type}, not numbers; info.json says {feature.dtype}')
    array = np.asarray(values.to_numpy(zero_copy_only=False))
    if array.size != rows * math.prod(shape):
        raise DataError(
            f'{where} has {array.size} values in {rows} rows; info.json says {list(feature.shape)} '
            'each'
        )
    with np.errstate(invalid='ignore', over='ignore'):
        return array.astype(feature.dtype, copy=False).reshape(rows, *shape)


def _shape(feature: Feature) -> tuple[int, ...]:
    return () if feature.shape == (1,) else feature.shape


def _short(value: Any) -> str:
    return 'nothing' if value is None else repr(value)[:80]
