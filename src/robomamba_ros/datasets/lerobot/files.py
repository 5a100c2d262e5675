"""What the files of a data set hold when it is written: columns and notes that lerobot reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from robomamba_ros.common.documents import parse_json
from robomamba_ros.datasets.lerobot.layout import (
    DATA,
    DATA_FILE_MB,
    FILES_PER_CHUNK,
    VERSION,
    VIDEO,
    VIDEO_FILE_MB,
    Feature,
)
from robomamba_ros.datasets.lerobot.statistics import LEVELS, NAMES, PixelCounts
from robomamba_ros.errors import DataError

PIXELS = b'robomamba.pixels'
IMAGE_TYPE = pa.struct([('bytes', pa.binary()), ('path', pa.string())])


def frame_schema(features: Mapping[str, Feature]) -> pa.Schema:
    """Return the columns of a data table; raises DataError for a shape that is not written.

    The note `huggingface` tells the package `datasets`, and viewers, which columns are images.
    """
    fields: list[tuple[str, Any]] = []
    notes: dict[str, Any] = {}
    for key, feature in features.items():
        if feature.dtype == 'video':
            continue
        if feature.dtype == 'image':
            fields.append((key, IMAGE_TYPE))
            notes[key] = {'_type': 'Image'}
            continue
        if not feature.is_numeric or len(feature.shape) != 1:
            raise DataError(
                f"feature '{key}' is {feature.dtype} of shape {feature.shape}; written are images "
                'and vectors of numbers'
            )
        kind, note = pa.from_numpy_dtype(feature.dtype), {'dtype': feature.dtype, '_type': 'Value'}
        if feature.shape == (1,):
            fields.append((key, kind))
            notes[key] = note
        else:
            fields.append((key, pa.list_(kind, feature.shape[0])))
            notes[key] = {'feature': note, 'length': feature.shape[0], '_type': 'Sequence'}
    text = json.dumps({'info': {'features': notes}})
    return pa.schema(fields, metadata={'huggingface': text})


def is_own(found: pa.Schema, expected: pa.Schema) -> bool:
    """Return whether a table on the disk has the columns and notes that this program gives one."""
    return bool(found.equals(expected)) and found.metadata == expected.metadata


def episode_schema(features: Mapping[str, Feature]) -> pa.Schema:
    """Return the columns of the table of episodes."""
    fields = [
        ('episode_index', pa.int64()),
        ('tasks', pa.list_(pa.string())),
        ('length', pa.int64()),
        *((f'data/{key}', pa.int64()) for key in ('chunk_index', 'file_index')),
        *((f'dataset_{end}_index', pa.int64()) for end in ('from', 'to')),
    ]
    for key, feature in features.items():
        if feature.dtype == 'video':
            where = f'videos/{key}'
            fields += [(f'{where}/{each}', pa.int64()) for each in ('chunk_index', 'file_index')]
            fields += [(f'{where}/{end}_timestamp', pa.float64()) for end in ('from', 'to')]
    for key, feature in features.items():
        value = pa.list_(pa.float64())
        if feature.is_visual:
            value = pa.list_(pa.list_(value))
        whole = ('count', 'min', 'max') if 'int' in feature.dtype else ('count',)
        for name in NAMES:
            kind = pa.list_(pa.int64()) if name in whole else value
            fields.append((f'stats/{key}/{name}', kind))
    fields += [(f'meta/episodes/{key}', pa.int64()) for key in ('chunk_index', 'file_index')]
    return pa.schema(fields)


def tasks_table(tasks: list[str]) -> pa.Table:
    """Return the table of tasks: their texts are the index that pandas makes of it."""
    columns = [
        {'name': name, 'field_name': name, 'pandas_type': kind, 'numpy_type': type_}
        for name, kind, type_ in (('task_index', 'int64', 'int64'), ('task', 'unicode', 'object'))
    ]
    note = {'index_columns': ['task'], 'column_indexes': [], 'columns': columns}
    return pa.table(
        {'task_index': pa.array(range(len(tasks)), pa.int64()), 'task': pa.array(tasks)}
    ).replace_schema_metadata({'pandas': json.dumps(note)})


def open_table_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer of a data table; images are compressed already."""
    images = any(pa.types.is_struct(field.type) for field in schema)
    return pq.ParquetWriter(path, schema, compression='none' if images else 'snappy')


def join_tables(first: Path, rows: int, second: Path | None, joined: Path) -> None:
    """Write the first `rows` rows of `first`, then all of `second`, group by group."""
    with pq.ParquetFile(first) as source, open_table_writer(joined, source.schema_arrow) as writer:
        for group in range(source.num_row_groups):
            if rows <= 0:
                break
            table = source.read_row_group(group).slice(0, rows)
            writer.write_table(table)
            rows -= table.num_rows
        if second is not None:
            with pq.ParquetFile(second) as added:
                for group in range(added.num_row_groups):
                    writer.write_table(added.read_row_group(group))


def set_info(
    features: Mapping[str, Feature], fps: int, robot_type: str, totals: Mapping[str, int]
) -> dict[str, Any]:
    """Return what meta/info.json says; totals: of `episodes`, `frames` and `tasks`."""
    described = {key: feature.describe() for key, feature in features.items()}
    videos = [key for key, feature in features.items() if feature.dtype == 'video']
    for key in videos:
        height, width = features[key].image_size
        described[key]['info'] = {
            'video.height': height,
            'video.width': width,
            'video.codec': 'h264',
            'video.pix_fmt': 'yuv420p',
            'video.is_depth_map': False,
            'video.fps': fps,
            'video.channels': 3,
            'has_audio': False,
        }
    return {
        'codebase_version': VERSION,
        'robot_type': robot_type,
        **{f'total_{name}': count for name, count in totals.items()},
        'chunks_size': FILES_PER_CHUNK,
        'data_files_size_in_mb': DATA_FILE_MB,
        'video_files_size_in_mb': VIDEO_FILE_MB,
        'fps': fps,
        'splits': {'train': f'0:{totals["episodes"]}'},
        'data_path': DATA,
        'video_path': VIDEO if videos else None,
        'features': described,
    }


def with_pixels(table: pa.Table, pixels: Mapping[str, PixelCounts]) -> pa.Table:
    """Return the table of episodes with a note of the pixel counts of the whole set.

    The counts belong to the episodes, so they travel with what makes an episode count.
    """
    document = {key: [each.frames, each.counts.tolist()] for key, each in pixels.items()}
    return table.replace_schema_metadata({PIXELS: json.dumps(document)})


def pixels_of(table: pa.Table) -> dict[str, PixelCounts]:
    """Return the pixel counts that with_pixels noted; empty for a table without."""
    note = (table.schema.metadata or {}).get(PIXELS, b'{}')
    try:
        document = parse_json(note.decode(), PIXELS.decode(), error=DataError)
        found = {
            key: PixelCounts(np.array(counts, dtype=np.int64), int(frames))
            for key, (frames, counts) in document.items()
        }
    except (DataError, ValueError, TypeError, AttributeError, OverflowError):
        return {}  # they are counted again
    return {key: each for key, each in found.items() if each.counts.shape == (3, LEVELS)}
