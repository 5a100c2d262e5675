from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import reload
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import robomamba_ros.datasets.lerobot
import robomamba_ros.datasets.lerobot.store as store_module
import robomamba_ros.datasets.lerobot.writer as writer_module
from robomamba_ros.datasets.lerobot.images import decode_image, encode_png
from robomamba_ros.datasets.lerobot.layout import Feature, camera_feature
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.datasets.lerobot.statistics import PixelCounts, number_statistics
from robomamba_ros.datasets.lerobot.writer import LeRobotWriter
from robomamba_ros.errors import BackendError, DataError

FPS, SIDE = 20, 32
TOP = 'observation.images.top'
LENGTHS = (7, 4, 9)


def picture(number: int) -> NDArray[np.uint8]:
    """Return an image that tells its number after any encoding: 8 blocks, light for a 1."""
    bits = np.array([number >> bit & 1 for bit in range(8)], dtype=np.uint8)
    return np.repeat(np.tile((40 + 170 * bits).repeat(SIDE // 8), (SIDE, 1))[:, :, None], 3, axis=2)


def number_of(image: NDArray[np.uint8]) -> int:
    blocks = image.mean(axis=(0, 2)).reshape(8, -1).mean(axis=1)
    return int(sum(int(light > 125) << bit for bit, light in enumerate(blocks)))


def features(video: bool = False) -> dict[str, Feature]:
    return {
        'observation.state': Feature('float32', (3,), ('x', 'y', 'gripper')),
        'action': Feature('float32', (2,), ('dx', 'dy')),
        'next.done': Feature('bool', (1,)),
        TOP: camera_feature(SIDE, SIDE, video=video),
    }


def frame(number: int) -> dict[str, Any]:
    return {
        'observation.state': np.array([number, number / 3, -number], np.float32),
        'action': np.array([number + 0.5, 1 / (number + 1)], np.float32),
        'next.done': np.array([number % 2 == 0]),
        TOP: picture(number),
    }


def open_writer(root: Path, video: bool = False) -> LeRobotWriter:
    return LeRobotWriter(root, fps=FPS, features=features(video), robot_type='toy')


def write(root: Path, lengths: Sequence[int] = LENGTHS, *, video: bool = False) -> None:
    """Write episodes of frames that are numbered through; episode e has the task e % 2."""
    with open_writer(root, video) as writer:
        for length in lengths:
            task = f'task {writer.episodes % 2}'
            for number in range(writer.frames, writer.frames + length):
                writer.add_frame(frame(number), task)
            writer.save_episode()


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}


def check(root: Path, lengths: Sequence[int] = LENGTHS) -> None:
    """Hold every frame to what was written, read in an order that no cache likes."""
    data = LeRobotDataset(root)
    assert [episode.length for episode in data.episodes] == list(lengths)
    for index in np.random.default_rng(0).permutation(sum(lengths)).tolist():
        episode = data.episode_of(index)
        window = data.window(index, 5)
        assert number_of(window.images['top']) == index
        assert (window.state == frame(index)['observation.state']).all()
        before = max(index - 1, episode.first)
        assert (window.previous_state == frame(before)['observation.state']).all()
        steps = [min(index + i, episode.stop - 1) for i in range(5)]
        assert (window.actions == [frame(step)['action'] for step in steps]).all()
        assert window.valid.tolist() == [index + i < episode.stop for i in range(5)]
        assert window.task == f'task {episode.index % 2}'
        assert (window.episode, window.step) == (episode.index, index - episode.first)
    rows = np.arange(sum(lengths))
    assert data.values('index').tolist() == rows.tolist()
    assert data.values('next.done').tolist() == (rows % 2 == 0).tolist()
    steps = np.concatenate([np.arange(length) for length in lengths])
    assert data.values('timestamp') == pytest.approx(steps / FPS)


@pytest.mark.parametrize('video', [False, True])
def test_every_frame_comes_back_as_it_was_written(tmp_path: Path, video: bool) -> None:
    write(tmp_path / 'set', video=video)
    check(tmp_path / 'set')
    data = LeRobotDataset(tmp_path / 'set')
    files = {str(p.relative_to(tmp_path / 'set')) for p in (tmp_path / 'set').rglob('*.*')}
    expected = {'meta/info.json', 'meta/stats.json', 'meta/tasks.parquet'}
    expected |= {f'{part}/chunk-000/file-000.parquet' for part in ('meta/episodes', 'data')}
    expected |= {f'videos/{TOP}/chunk-000/file-000.mp4'} if video else set()
    assert {name for name in files if '/' in name and not name.endswith(TOP)} == expected
    assert data.cameras == {TOP: 'top'}
    assert data.names('action') == ('dx', 'dy')
    assert data.dt_ns == 50_000_000


def test_images_lose_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert (decode_image(encode_png(noise)) == noise).all()
    with open_writer(tmp_path) as writer:
        writer.add_frame({**frame(0), TOP: noise}, 'look')
        writer.save_episode()
    assert (LeRobotDataset(tmp_path).image(TOP, 0) == noise).all()


def test_the_files_say_what_lerobot_reads(tmp_path: Path) -> None:
    write(tmp_path, video=True)
    info = json.loads((tmp_path / 'meta/info.json').read_text())
    assert info['codebase_version'] == 'v3.0'
    assert (info['total_episodes'], info['total_frames'], info['total_tasks']) == (3, 20, 2)
    assert info['splits'] == {'train': '0:3'}
    assert info['features'][TOP]['info']['video.codec'] == 'h264'
    assert info['features']['next.done'] == {'dtype': 'bool', 'shape': [1], 'names': None}
    rows = pq.read_table(tmp_path / 'meta/episodes/chunk-000/file-000.parquet').to_pylist()
    assert [row['dataset_from_index'] for row in rows] == [0, 7, 11]
    assert [row['dataset_to_index'] for row in rows] == [7, 11, 20]
    # Read as a float of seconds: the tolerance of lerobot is 1e-4.
    assert [row[f'videos/{TOP}/from_timestamp'] for row in rows] == [0.0, 7 / FPS, 11 / FPS]
    assert [row[f'videos/{TOP}/to_timestamp'] for row in rows] == [7 / FPS, 11 / FPS, 20 / FPS]
    assert rows[1]['stats/index/max'] == [10]
    assert rows[1]['stats/observation.state/mean'][0] == pytest.approx(8.5)
    assert np.shape(rows[1][f'stats/{TOP}/q99']) == (3, 1, 1)
    table = pq.read_table(tmp_path / 'data/chunk-000/file-000.parquet')
    assert table.schema.field('action').type == pa.list_(pa.float32(), 2)
    notes = json.loads(table.schema.metadata[b'huggingface'])['info']['features']
    assert notes['next.done'] == {'dtype': 'bool', '_type': 'Value'}
    tasks = pq.read_table(tmp_path / 'meta/tasks.parquet')
    assert tasks.to_pydict() == {'task_index': [0, 1], 'task': ['task 0', 'task 1']}
    assert json.loads(tasks.schema.metadata[b'pandas'])['index_columns'] == ['task']


def test_the_statistics_of_the_set_are_those_of_its_values(tmp_path: Path) -> None:
    write(tmp_path, LENGTHS[:2])
    write(tmp_path, LENGTHS[2:])  # continued
    found = json.loads((tmp_path / 'meta/stats.json').read_text())
    states = np.array([frame(i)['observation.state'] for i in range(20)], dtype=np.float64)
    pixels = np.array([picture(i) for i in range(20)]).reshape(-1, 3) / 255
    for key, values in (('observation.state', states), (TOP, pixels)):
        stats = {name: np.ravel(each) for name, each in found[key].items()}
        assert stats['mean'] == pytest.approx(values.mean(axis=0))
        assert stats['std'] == pytest.approx(values.std(axis=0))
        assert stats['min'] == pytest.approx(values.min(axis=0))
        assert stats['q01'] == pytest.approx(np.quantile(values, 0.01, axis=0))
        assert stats['q90'] == pytest.approx(np.quantile(values, 0.9, axis=0))
        assert stats['count'] == 20


@pytest.mark.parametrize('video', [False, True])
def test_a_set_is_continued_as_if_written_at_once(tmp_path: Path, video: bool) -> None:
    write(tmp_path / 'once', video=video)
    for length in LENGTHS:
        write(tmp_path / 'parts', [length], video=video)
    check(tmp_path / 'parts')
    parts, once = (snapshot(tmp_path / name) for name in ('parts', 'once'))
    tables = [pq.read_table(tmp_path / name / EPISODE_FILE) for name in ('parts', 'once')]
    assert tables[0].equals(tables[1], check_metadata=True)
    assert {**parts, EPISODE_FILE: b''} == {**once, EPISODE_FILE: b''}


@pytest.mark.parametrize('video', [False, True])
def test_full_files_are_followed_by_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, video: bool
) -> None:
    monkeypatch.setattr(store_module, 'MEGABYTE', 1)
    monkeypatch.setattr(store_module, 'FILES_PER_CHUNK', 2)
    monkeypatch.setattr(writer_module, 'EPISODES_PER_TABLE', 2)
    write(tmp_path, video=video)
    check(tmp_path)
    data = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob('data/*/*'))
    assert data == [
        'data/chunk-000/file-000.parquet',
        'data/chunk-000/file-001.parquet',
        'data/chunk-001/file-000.parquet',
    ]
    assert len(list(tmp_path.glob('meta/episodes/*/*'))) == 2
    assert len(list(tmp_path.glob('videos/*/*/*'))) == (3 if video else 0)


def crash_at(step: str, root: Path) -> None:
    """End this process, as a power cut does, just before a file is moved to its place."""
    writer = open_writer(root, video=True)
    moved = store_module.Store._move

    def move(store: store_module.Store, made: Path, path: Path) -> None:
        if writer.episodes >= 2 and str(path.relative_to(root)).startswith(step):
            os._exit(7)
        moved(store, made, path)

    store_module.Store._move = move  # type: ignore[method-assign]
    for length in LENGTHS:
        for number in range(writer.frames, writer.frames + length):
            writer.add_frame(frame(number), f'task {writer.episodes % 2}')
        writer.save_episode()


# This file is no module that another process could import by its name.
CRASH = """
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location('test', sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.crash_at(sys.argv[2], pathlib.Path(sys.argv[3]))
"""


@pytest.mark.parametrize('step', ['videos', 'data', 'meta/tasks', 'meta/episodes', 'meta/info'])
def test_an_interrupted_writer_leaves_whole_episodes_and_is_continued(
    tmp_path: Path, step: str
) -> None:
    root = tmp_path / 'set'
    command = [sys.executable, '-c', CRASH, __file__, step, str(root)]
    assert subprocess.run(command, check=False).returncode == 7
    # The table of episodes makes an episode count: info.json may lag behind it by one.
    total = json.loads((root / 'meta/info.json').read_text())['total_episodes']
    assert total == (1 if step == 'meta/info' else 2)
    check(root, LENGTHS[:2])
    write(root, LENGTHS[2:], video=True)
    check(root)
    assert pq.read_metadata(root / 'data/chunk-000/file-000.parquet').num_rows == 20
    assert json.loads((root / 'meta/info.json').read_text())['total_episodes'] == 3
    assert not (root / '.writing').exists()


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Refuse files beyond `size` bytes, as a full disk would."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize('video', [False, True])
def test_a_full_disk_leaves_the_episodes_before(tmp_path: Path, video: bool) -> None:
    write(tmp_path / 'set', LENGTHS[:2], video=video)
    before = snapshot(tmp_path / 'set')
    largest = max(len(data) for data in before.values())
    noise = np.random.default_rng(0).integers(0, 256, (200, SIDE, SIDE, 3), dtype=np.uint8)
    with disk_of(largest + 20_000), pytest.raises(DataError, match=r'2 whole episodes are there'):  # noqa: PT012, SIM117
        with open_writer(tmp_path / 'set', video) as writer:
            for number, image in enumerate(noise):
                writer.add_frame({**frame(number), TOP: image}, 'task 0')
            writer.save_episode()
    assert snapshot(tmp_path / 'set') == before
    write(tmp_path / 'set', LENGTHS[2:], video=video)
    check(tmp_path / 'set')


def test_only_one_writes_at_a_time(tmp_path: Path) -> None:
    with open_writer(tmp_path), pytest.raises(DataError, match='written by another program'):
        open_writer(tmp_path)


def test_an_episode_can_be_forgotten(tmp_path: Path) -> None:
    with open_writer(tmp_path, video=True) as writer:
        writer.add_frame(frame(9), 'task 9')
        assert writer.pending == 1
        writer.discard_episode()
        with pytest.raises(DataError, match='at least one frame'):
            writer.save_episode()
        for number in range(7):
            writer.add_frame(frame(number), 'task 0')
        writer.save_episode()
        writer.add_frame(frame(7), 'task 1')  # and what was not saved
    check(tmp_path, [7])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'action': np.zeros(3, np.float32)}, r"'action' of a frame is float32 of shape \(3,\)"),
        ({'action': np.array([0, np.nan], np.float32)}, "'action' of a frame is .* not finite"),
        ({TOP: np.zeros((SIDE, SIDE), np.uint8)}, r'the data set has uint8 of shape \(32, 32, 3\)'),
        ({TOP: np.zeros((SIDE, SIDE, 3))}, 'is float64 of shape'),
        ({'extra': np.zeros(1)}, 'has the features action, extra, next.done'),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with open_writer(tmp_path) as writer, pytest.raises(DataError, match=message):
        writer.add_frame({**frame(0), **change}, 'task')


def test_other_data_is_not_mixed_in(tmp_path: Path) -> None:
    write(tmp_path / 'set')
    with pytest.raises(DataError, match=r'has 20 frames per second, not 30'):
        LeRobotWriter(tmp_path / 'set', fps=30, features=features(), robot_type='toy')
    other = {**features(), 'action': Feature('float32', (2,), ('dx', 'dz'))}
    with pytest.raises(DataError, match=r"feature 'action' .*dy.* in the data set .*dz"):
        LeRobotWriter(tmp_path / 'set', fps=FPS, features=other, robot_type='toy')
    table = tmp_path / 'set/meta/episodes/chunk-000/file-000.parquet'
    pq.write_table(pq.read_table(table).append_column('note', [['', '', '']]), table)
    with pytest.raises(DataError, match='written by another program'):
        open_writer(tmp_path / 'set')
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other/file').touch()
    with pytest.raises(DataError, match='holds other files'):
        open_writer(tmp_path / 'other')
    assert [path.name for path in (tmp_path / 'other').iterdir()] == ['file']


def test_odd_sizes_cannot_become_a_video(tmp_path: Path) -> None:
    wide = {TOP: camera_feature(33, 32, video=True)}
    with (
        LeRobotWriter(tmp_path, fps=FPS, features=wide, robot_type='toy') as writer,
        pytest.raises(DataError, match=r'32 x 33 pixels .* store them as images'),
    ):
        writer.add_frame({TOP: np.zeros((33, 32, 3), np.uint8)}, 'task')


Values = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30)


@settings(deadline=None, max_examples=50)
@given(Values, st.randoms())
def test_numbers_have_the_same_statistics_in_any_order(values: list[float], random: Any) -> None:
    array = np.array(values, np.float32)[:, None]
    random.shuffle(values)
    shuffled = np.array(values, np.float32)[:, None]
    one, other = number_statistics(array), number_statistics(shuffled)
    assert {name: each.tolist() for name, each in one.items()} == {
        name: each.tolist() for name, each in other.items()
    }
    assert one['std'] == pytest.approx(array.astype(np.float64).std(axis=0))
    assert one['q10'] == pytest.approx(np.quantile(array.astype(np.float64), 0.1, axis=0))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6), st.integers(0, 6))
def test_pixels_have_the_same_statistics_at_once_or_merged(seeds: list[int], cut: int) -> None:
    images = [np.random.default_rng(s).integers(0, 256, (2, 3, 3)).astype(np.uint8) for s in seeds]
    parts = [PixelCounts(), PixelCounts(), PixelCounts()]
    for position, image in enumerate(images):
        parts[2].add(image)
        parts[position >= cut].add(image)
    merged, once = (parts[1] + parts[0]).statistics(), parts[2].statistics()
    pixels = np.array(images).reshape(-1, 3) / 255
    for name, found in once.items():
        assert found.tolist() == merged[name].tolist()
    assert once['mean'].ravel() == pytest.approx(pixels.mean(axis=0))
    assert once['std'].ravel() == pytest.approx(pixels.std(axis=0))
    for name, share in (('min', 0), ('q01', 0.01), ('q50', 0.5), ('q99', 0.99), ('max', 1)):
        assert once[name].ravel() == pytest.approx(np.quantile(pixels, share, axis=0))
    assert once['count'] == len(images)


def legacy(root: Path, version: str, video: bool) -> None:
    """Turn a set of version 3.0 into one as lerobot wrote it before."""
    source = LeRobotDataset(root)
    info = dict(source.info.document)
    info['codebase_version'] = version
    info['data_path'] = 'data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet'
    info['video_path'] = (
        'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4'
    )
    info['chunks_size'] = 2
    table = pq.read_table(root / 'data/chunk-000/file-000.parquet')
    lines: dict[str, list[dict[str, Any]]] = {'tasks': [], 'episodes': []}
    for number, task in enumerate(source.tasks):
        lines['tasks'].append({'task_index': number, 'task': task})
    shutil.rmtree(root / 'data')
    for episode in source.episodes:
        where = {'episode_chunk': episode.index // 2, 'episode_index': episode.index}
        path = root / info['data_path'].format(**where)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.slice(episode.first, episode.length), path)
        line = {'tasks': list(episode.tasks), 'length': episode.length}
        lines['episodes'].append({'episode_index': episode.index, **line})
        if video:
            path = root / info['video_path'].format(video_key=TOP, **where)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, range(episode.first, episode.stop))
    for name, each in lines.items():
        text = ''.join(json.dumps(line) + '\n' for line in each)
        (root / f'meta/{name}.jsonl').write_text(text)
    (root / 'meta/info.json').write_text(json.dumps(info))
    shutil.rmtree(root / 'meta/episodes')
    (root / 'meta/tasks.parquet').unlink()


def write_video(path: Path, numbers: Sequence[int]) -> None:
    from robomamba_ros.datasets.lerobot.video import EpisodeVideo

    with EpisodeVideo(path, FPS, SIDE, SIDE) as video:
        for number in numbers:
            video.add(picture(number))


@pytest.mark.parametrize('version', ['v2.0', 'v2.1'])
@pytest.mark.parametrize('video', [False, True])
def test_older_versions_are_read(tmp_path: Path, version: str, video: bool) -> None:
    write(tmp_path, video=video)
    legacy(tmp_path, version, video)
    check(tmp_path)
    with pytest.raises(DataError, match=rf'is of version {version}; only v3.0 is continued'):
        open_writer(tmp_path, video)


def test_a_set_laid_out_like_metaworld_mt50_is_read(tmp_path: Path) -> None:
    # Of lerobot/metaworld_mt50: features, names, types and paths as its info.json has them.
    def feature(dtype: str, shape: list[int], names: Any) -> dict[str, Any]:
        return {'dtype': dtype, 'shape': shape, 'names': names, 'fps': 80}

    numbers = np.arange(6)
    info = {
        'codebase_version': 'v3.0',
        'robot_type': 'metaworld',
        'total_episodes': 2,
        'total_frames': 6,
        'total_tasks': 2,
        'chunks_size': 1000,
        'fps': 80,
        'splits': {'train': '0:2'},
        'data_path': 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
        'video_path': 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4',
        'features': {
            'observation.state': feature('float32', [4], {'axes': None}),
            'action': feature('float32', [4], {'axes': ['x', 'y', 'z', 'gripper']}),
            'next.reward': feature('float32', [1], None),
            'next.success': feature('bool', [1], None),
            'observation.environment_state': feature('float32', [39], ['keypoints']),
            'observation.image': feature('image', [3, 48, 32], ['channels', 'height', 'width']),
            'task_id': feature('int16', [1], None),
            **{key: feature('int64', [1], None) for key in ('frame_index', 'episode_index')},
            **{key: feature('int64', [1], None) for key in ('index', 'task_index')},
            'timestamp': feature('float32', [1], None),
        },
    }
    images = [np.full((48, 32, 3), number, np.uint8) for number in numbers]
    columns = {
        'observation.state': pa.array([[n, 1, 2, 3] for n in numbers], pa.list_(pa.float32())),
        'action': pa.array([[0, 0, n, 1] for n in numbers], pa.list_(pa.float32())),
        'next.reward': pa.array(numbers / 2, pa.float32()),
        'next.success': pa.array(numbers == 5),
        'observation.environment_state': pa.array([[n] * 39 for n in numbers]),
        'observation.image': [{'bytes': encode_png(i), 'path': 'frame.png'} for i in images],
        'task_id': pa.array(numbers, pa.int16()),
        'timestamp': pa.array([0, 1 / 80, 0, 1 / 80, 2 / 80, 3 / 80], pa.float32()),
        'frame_index': [0, 1, 0, 1, 2, 3],
        'episode_index': [0, 0, 1, 1, 1, 1],
        'index': numbers,
        'task_index': [0, 0, 1, 1, 1, 1],
    }
    for folder in ('data/chunk-000', 'meta/episodes/chunk-000'):
        (tmp_path / folder).mkdir(parents=True)
    pq.write_table(pa.table(columns), tmp_path / 'data/chunk-000/file-000.parquet')
    (tmp_path / 'meta/info.json').write_text(json.dumps(info))
    tasks = pa.table({'task_index': [1, 0], '__index_level_0__': ['Push the puck', 'Reach']})
    pq.write_table(tasks, tmp_path / 'meta/tasks.parquet')
    episodes = pa.table(
        {
            'episode_index': [0, 1],
            'tasks': [['Reach'], ['Push the puck']],
            'length': [2, 4],
            **{f'data/{key}': [0, 0] for key in ('chunk_index', 'file_index')},
            'dataset_from_index': [0, 2],
            'dataset_to_index': [2, 6],
            'stats/action/count': [[2], [4]],
        }
    )
    pq.write_table(episodes, tmp_path / 'meta/episodes/chunk-000/file-000.parquet')

    data = LeRobotDataset(tmp_path)
    assert data.tasks == ('Reach', 'Push the puck')
    assert data.cameras == {'observation.image': 'image'}
    assert data.names('action') == ('x', 'y', 'z', 'gripper')
    assert data.names('observation.state')[1] == 'observation.state_1'
    assert data.values('observation.environment_state').shape == (6, 39)
    assert data.values('task_id').dtype == np.int16
    window = data.window(3, 4)
    assert window.images['image'].shape == (48, 32, 3)
    assert (window.images['image'] == 3).all()
    assert window.actions[:, 2].tolist() == [3, 4, 5, 5]
    assert window.valid.tolist() == [True, True, True, False]
    assert (window.task, window.episode, window.step) == ('Push the puck', 1, 1)


def edit_info(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = root / 'meta/info.json'
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def truncate(path: Path, share: float = 0.6) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


DATA_FILE, VIDEO_FILE = 'data/chunk-000/file-000.parquet', f'videos/{TOP}/chunk-000/file-000.mp4'
EPISODE_FILE = 'meta/episodes/chunk-000/file-000.parquet'


def shorten(root: Path) -> None:
    pq.write_table(pq.read_table(root / DATA_FILE).slice(0, 15), root / DATA_FILE)


def misplace(root: Path) -> None:
    table = pq.read_table(root / DATA_FILE)
    pq.write_table(pa.concat_tables([table.slice(8), table.slice(0, 8)]), root / DATA_FILE)


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda r: (r / 'meta/info.json').unlink(), r'is no LeRobot data set: .*info.json is miss'),
        (lambda r: truncate(r / 'meta/info.json'), r'info.json, line 60 is not valid JSON'),
        (
            lambda r: edit_info(r, lambda i: i.update(codebase_version='v1.6')),
            r'is v1.6; read are v2.0, v2.1, v3.0: convert it with .*convert_dataset_v1_to_v2',
        ),
        (
            lambda r: edit_info(r, lambda i: i.update(codebase_version='v4.0')),
            r'is v4.0; read are .* newer than this package knows',
        ),
        (lambda r: edit_info(r, lambda i: i.pop('data_path')), r"info.json lacks the key 'data_p"),
        (lambda r: edit_info(r, lambda i: i.update(fps=0)), 'fps is 0'),
        (lambda r: (r / DATA_FILE).unlink(), r'file-000.parquet is missing: .* get it again'),
        (lambda r: truncate(r / DATA_FILE), r'file-000.parquet is damaged'),
        (shorten, r'has 15 rows, its episodes need 20'),
        (misplace, r'frame 0 is of episode 1, not 0'),
        (lambda r: (r / EPISODE_FILE).unlink(), 'holds no table of episodes'),
        (lambda r: truncate(r / EPISODE_FILE), r'episodes/.*parquet is damaged'),
        (lambda r: (r / 'meta/tasks.parquet').unlink(), r'tasks.parquet is missing'),
        (
            lambda r: edit_info(r, lambda i: i['features']['action'].update(shape=[3])),
            r"column 'action' has 40 values in 20 rows; info.json says \[3\] each",
        ),
        (
            lambda r: edit_info(r, lambda i: i['features'].update(extra=i['features']['action'])),
            r'lacks the columns extra .* it has observation.state, action',
        ),
        (
            lambda r: edit_info(r, lambda i: i['features'][TOP].update(shape=[16, 32, 3])),
            r'is of 32 x 32 pixels; info.json says 32 x 16',
        ),
        (lambda r: (r / VIDEO_FILE).unlink(), r'file-000.mp4 is missing'),
        (
            lambda r: truncate(r / VIDEO_FILE),
            r'file-000.mp4: (it cannot be opened|.*decoded|.*no f)',
        ),
        (lambda r: write_video(r / VIDEO_FILE, range(15)), r'it has no frame 19: it is truncated'),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, damage: Callable[[Path], Any], message: str
) -> None:
    write(tmp_path, video=True)
    damage(tmp_path)
    with pytest.raises(DataError, match=message):  # noqa: PT012
        data = LeRobotDataset(tmp_path)
        for key in ('action', *(key for key in data.info.features if key == 'extra')):
            data.values(key)
        data.window(19, 1)


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    table = pq.read_table(tmp_path / DATA_FILE)
    images = table[TOP].to_pylist()
    images[3] = {'bytes': None, 'path': 'images/frame-000003.png'}
    images[4] = {'bytes': b'no image', 'path': None}
    images[5] = {'bytes': encode_png(np.zeros((8, 8, 3), np.uint8)), 'path': None}
    place = table.schema.names.index(TOP)
    table = table.set_column(place, table.schema.field(TOP), pa.array(images))
    pq.write_table(table, tmp_path / DATA_FILE)
    data = LeRobotDataset(tmp_path)
    for row, message in ((3, 'holds no image but'), (4, 'cannot be decoded'), (5, '8 x 8 pixels')):
        with pytest.raises(DataError, match=rf"parquet, row {row}, column '{TOP}'.*{message}"):
            data.image(TOP, row)
    assert number_of(data.image(TOP, 6)) == 6


def test_an_unknown_feature_is_named_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path)
    data = LeRobotDataset(tmp_path)
    with pytest.raises(DataError, match=r"unknown feature 'actions'. Did you mean 'action'"):
        data.values('actions')
    with pytest.raises(DataError, match='is image, not numbers'):
        data.values(TOP)
    with pytest.raises(IndexError, match='frame 20 of a data set of 20'):
        data.window(20, 1)


def test_an_empty_set_is_read(tmp_path: Path) -> None:
    open_writer(tmp_path).close()
    data = LeRobotDataset(tmp_path)
    assert (len(data), data.tasks, data.episodes) == (0, (), ())
    assert data.values('action').shape == (0, 2)


def read_one(data: LeRobotDataset) -> int:
    return number_of(data.image(TOP, 12))


def test_other_processes_read_by_themselves(tmp_path: Path) -> None:
    write(tmp_path, video=True)
    data = LeRobotDataset(tmp_path)
    assert read_one(data) == 12
    import pickle

    assert read_one(pickle.loads(pickle.dumps(data))) == 12


@pytest.mark.parametrize('package', ['pyarrow.parquet', 'cv2'])
def test_without_its_packages_the_error_says_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BackendError, match=r"pip install 'robomamba_ros\[lerobot\]'"):
        reload(robomamba_ros.datasets.lerobot)
