"""A LeRobot set of another program, or a broken one: read as it is meant, or refused by name.

And what is not ours is never deleted or written to.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from robomamba_ros.datasets.lerobot.checks import check_numbers
from robomamba_ros.datasets.lerobot.layout import Feature, camera_feature
from robomamba_ros.datasets.lerobot.reader import LeRobotDataset
from robomamba_ros.datasets.lerobot.templates import PathTemplate
from robomamba_ros.datasets.lerobot.video import EpisodeVideo
from robomamba_ros.datasets.lerobot.writer import LeRobotWriter
from robomamba_ros.errors import DataError

FPS, SIDE, LENGTH = 10, 16, 6
CAM = 'observation.images.cam'
DATA_FILE, EPISODES_FILE = (
    'data/chunk-000/file-000.parquet',
    'meta/episodes/chunk-000/file-000.parquet',
)
FEATURES = {
    'observation.state': Feature('float32', (2,), ('a', 'b')),
    'action': Feature('float32', (2,), ('a', 'b')),
}


def write(root: Path, *, video: bool = False) -> None:
    """Write, or continue with, one episode."""
    features = {**FEATURES, **({CAM: camera_feature(SIDE, SIDE, video=True)} if video else {})}
    with LeRobotWriter(root, fps=FPS, features=features, robot_type='toy') as writer:
        for number in range(LENGTH):
            values: dict[str, Any] = {key: np.full(2, number, np.float32) for key in FEATURES}
            if video:
                values[CAM] = image(number)
            writer.add_frame(values, 'lift')
        writer.save_episode()


def image(number: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), 30 * number + 20, np.uint8)


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}


def edit_info(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads((root / 'meta/info.json').read_text())
    change(document)
    (root / 'meta/info.json').write_text(json.dumps(document))


def replace_column(path: Path, name: str, values: Any) -> None:
    table = pq.read_table(path)
    table = table.set_column(table.column_names.index(name), name, pa.array(values))
    pq.write_table(table, path)


def traverse(root: Path) -> None:
    edit_info(root, lambda i: i.update(data_path=f'../{root.name}/{i["data_path"]}'))


def foreign(root: Path) -> None:
    table = pq.read_table(root / DATA_FILE)
    pq.write_table(table.replace_schema_metadata({}), root / DATA_FILE)


def no_note(root: Path) -> None:
    table = pq.read_table(root / EPISODES_FILE)
    pq.write_table(table.replace_schema_metadata({}), root / EPISODES_FILE)


def link_data(root: Path) -> None:
    shutil.move(root / 'data', root.parent / 'elsewhere')
    (root / 'data').symlink_to(root.parent / 'elsewhere')


def link_writing(root: Path) -> None:
    (root.parent / 'elsewhere').mkdir()
    (root.parent / 'elsewhere/joined.parquet').write_text('precious')
    (root / '.writing').symlink_to(root.parent / 'elsewhere')


def link_lock(root: Path) -> None:
    (root.parent / 'precious').write_text('precious')
    (root / '.writing').mkdir()
    (root / '.writing/lock').symlink_to(root.parent / 'precious')


def stranger_in_writing(root: Path) -> None:
    (root / '.writing').mkdir()
    (root / '.writing/thesis.odt').write_text('precious')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (traverse, 'data_path is .* leads out of the data set'),
        (lambda r: edit_info(r, lambda i: i.update(data_path='data/{file_index}.parquet')), None),
        (foreign, 'written by another program .other columns in'),
        (no_note, 'written by another program .other columns in'),
        (link_data, 'data is a link or no file'),
        (link_writing, r'\.writing is a link or no file'),
        (link_lock, 'lock is a link or no file'),
        (stranger_in_writing, r'thesis.odt, which no writer of data sets made; move it away'),
    ],
    ids=range(8),
)
def test_a_set_that_is_not_ours_is_left_as_it_is(
    tmp_path: Path, change: Callable[[Path], Any], message: str | None
) -> None:
    root = tmp_path / 'set'
    write(root)
    (root / 'data/chunk-000/backup.parquet').write_text('precious')
    change(root)
    before = snapshot(tmp_path)
    with pytest.raises(DataError, match=message):
        write(root)
    assert snapshot(tmp_path) == before


def test_what_somebody_put_into_our_set_stays(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ('data/chunk-000/backup.parquet', 'data/notes.txt', 'README.md'):
        (tmp_path / name).write_text('precious')
    write(tmp_path)
    assert len(LeRobotDataset(tmp_path)) == 2 * LENGTH
    for name in ('data/chunk-000/backup.parquet', 'data/notes.txt', 'README.md'):
        assert (tmp_path / name).read_text() == 'precious'


def test_a_folder_with_a_meta_of_its_own_is_not_written_into(tmp_path: Path) -> None:
    for name in ('meta/notes.txt', DATA_FILE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('precious')
    before = snapshot(tmp_path)
    with pytest.raises(DataError, match='holds other files; give another folder'):
        write(tmp_path)
    assert snapshot(tmp_path) == before


def test_a_place_is_filled_with_numbers_and_names() -> None:
    template = PathTemplate('a/{video_key}/{chunk_index:03d}_{file_index}.mp4', FIELDS, 'it')
    assert template.fill(video_key='x.y', chunk_index=7, file_index=12) == 'a/x.y/007_12.mp4'


FIELDS = ('video_key', 'chunk_index', 'file_index')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('data/{chunk_index.__class__}', r"it has '\{' in it"),
        ('{chunk_index.__init__.__globals__}', r"it has '\{' in it"),
        ('{chunk_index[0]}', r"it has '\{' in it"),
        ('{chunk_index!r}', r"it has '\{' in it"),
        ('{chunk_index:0999999999d}', r"it has '\{' in it"),
        ('{chunk_index:q}', r"it has '\{' in it"),
        ('{0}', r"it has '\{0\}' in it; known are \{video_key\}, \{chunk_index\}"),
        ('{foo}', r"it has '\{foo\}' in it"),
        ('{', 'in it'),
        ('a}', 'in it'),
        ('../a', 'leads out of the data set'),
        ('a/../../b', 'leads out of the data set'),
        ('{video_key}../b', 'leads out'),
        ('/a', 'leads out of the data set'),
        ('a\0', 'needed is a path'),
        ('', 'needed is a path'),
        (5, 'it is 5; needed is a path'),
        (None, 'needed is a path'),
    ],
    ids=range(18),
)
def test_a_place_that_could_be_anything_is_refused(text: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        PathTemplate(text, FIELDS, 'it').fill(video_key='', chunk_index=1, file_index=1)


@pytest.mark.parametrize(
    'values',
    [
        {'chunk_index': '../../x'},
        {'chunk_index': -1},
        {'chunk_index': 10**9},
        {'video_key': '../..'},
    ],
)
def test_what_fills_a_place_cannot_lead_out(values: dict[str, Any]) -> None:
    template = PathTemplate('{video_key}/{chunk_index:03d}', FIELDS, 'it')
    with pytest.raises(DataError, match=r'leads out|no number of a file'):
        template.fill(**{'video_key': 'v', 'chunk_index': 0, **values})


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (['x', 'y'], ('x', 'y')),
        ([['x', 'y']], ('x', 'y')),
        ({'motors': ['x', 'y']}, ('x', 'y')),
        ({'y': 1, 'x': 0}, ('x', 'y')),
        ({'axes': None}, ('action_0', 'action_1')),
        (None, ('action_0', 'action_1')),
    ],
)
def test_channels_are_understood_in_every_form(
    tmp_path: Path, names: Any, expected: tuple[str, ...]
) -> None:
    write(tmp_path)
    edit_info(tmp_path, lambda i: i['features']['action'].update(names=names))
    assert LeRobotDataset(tmp_path).names('action') == expected


def test_columns_that_nobody_needs_are_left_out_with_a_line(tmp_path: Path) -> None:
    write(tmp_path)
    extra = {'dtype': 'language', 'shape': [1], 'names': None}
    sound, old = {**extra, 'dtype': 'audio'}, {**extra, 'dtype': 'list', 'shape': 'many'}
    edit_info(tmp_path, lambda i: i['features'].update(words=extra, sound=sound, old=old))
    dataset = LeRobotDataset(tmp_path)
    assert dataset.values('action').shape == (LENGTH, 2)
    (note,) = dataset.notes
    assert note.endswith('no policy here needs it: words (language), sound (audio), old (list)')
    with pytest.raises(DataError, match="'words' is of the type language, which is not read"):
        dataset.values('words')


def nest(root: Path) -> None:
    (root / 'meta/info.json').write_text('{"a":' * 100_000)


def feature(**change: Any) -> Callable[[Path], None]:
    return lambda root: edit_info(root, lambda i: i['features']['action'].update(change))


def info(**change: Any) -> Callable[[Path], None]:
    return lambda root: edit_info(root, lambda i: i.update(change))


def row(**change: Any) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        rows = pq.read_table(root / EPISODES_FILE).to_pylist()
        rows[0].update({key.replace('__', '/'): value for key, value in change.items()})
        pq.write_table(pa.Table.from_pylist(rows), root / EPISODES_FILE)

    return damage


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (nest, 'info.json is nested too deeply'),
        (info(fps=float('nan')), 'info.json: NaN is not a number'),
        (info(fps=1e-300), 'fps is 1e-300; it has to be a number from 0.01'),
        (info(fps=True), 'fps is True'),
        (info(chunks_size=0), 'chunks_size is 0'),
        (info(total_episodes=-1), 'total_episodes is -1'),
        (info(total_episodes=10**9), r'says 1000000000 episodes, and .*meta describes 1'),
        (info(total_frames=7), r'says 7 frames, and .*meta describes 6'),
        (info(features=[1]), 'features must hold keys'),
        (info(video_path=3), None),
        (feature(shape=[10**9]), "the shape of 'action' is .1000000000.; needed are whole numbers"),
        (feature(shape=[-2]), 'the shape of'),
        (feature(shape=None), 'the shape of'),
        (feature(names=['x']), "names 1 channels of 'action' .x., and it has 2"),
        (feature(dtype='object'), "'action' is of the type object, which is not read"),
        (row(dataset_to_index=None), 'what it says of episode 0 is wrong'),
        (row(tasks=None), 'what it says of episode 0 is wrong'),
        (row(data__chunk_index='../../x'), 'no number of a file'),
        (row(dataset_to_index=10**15), 'describes 1000000000000000|rows, its episodes need'),
        (lambda r: replace_column(r / DATA_FILE, 'action', ['x'] * LENGTH), 'is string, not numb'),
        (lambda r: replace_column(r / DATA_FILE, 'action', [[1.0, None]] * LENGTH), 'empty values'),
    ],
    ids=range(21),
)
def test_a_description_that_is_wrong_is_one_line(
    tmp_path: Path, damage: Callable[[Path], Any], message: str | None
) -> None:
    write(tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError, match=message) as raised:  # noqa: PT012
        dataset = LeRobotDataset(tmp_path)
        dataset.names('action')
        dataset.values('action')
    assert '\n' not in str(raised.value)
    assert str(tmp_path) in str(raised.value)


@pytest.mark.parametrize(
    ('column', 'values', 'message'),
    [
        ('action', [[float(k), np.inf if k == 3 else 0.0] for k in range(6)], "'b' is inf"),
        ('observation.state', [[np.nan if k == 3 else 0.0, 1.0] for k in range(6)], "'a' is nan"),
        ('timestamp', [0.0, 0.1, 0.2, 0.38, 0.4, 0.5], r'is at 0.380 s.* rate of 10 .* 0.300 s'),
        ('timestamp', [0.0, 0.1, 0.2, np.nan, 0.4, 0.5], r'is at nan s'),
        ('task_index', [0, 0, 0, 1, 0, 0], 'has task 1; there are 1 tasks'),
    ],
)
def test_numbers_that_nothing_can_learn_from_are_found_with_their_place(
    tmp_path: Path, column: str, values: list[Any], message: str
) -> None:
    write(tmp_path)
    write(tmp_path)
    check_numbers(LeRobotDataset(tmp_path))
    known = pq.read_table(tmp_path / DATA_FILE)[column]
    array = pa.array([*known.to_pylist()[:LENGTH], *values], known.type)
    table = pq.read_table(tmp_path / DATA_FILE)
    pq.write_table(
        table.set_column(table.column_names.index(column), column, array), tmp_path / DATA_FILE
    )
    place = f'{DATA_FILE}: .*frame 3 of episode 1'
    with pytest.raises(DataError, match=f'{place}.*{message}'):
        check_numbers(LeRobotDataset(tmp_path))


@pytest.mark.parametrize(
    ('rate', 'per_frame', 'message'),
    [
        (FPS, 1, None),
        # Every second image is one of the set.
        (2 * FPS, 2, None),
        (FPS * 3 // 2, 1, 'it has no frame 1, 0.100 s in: its rate is 15, that of the set 10 per'),
        (FPS // 2, 1, 'it has no frame 1, 0.100 s in: its rate is 5, that of the set 10'),
    ],
)
def test_images_of_another_rate_are_those_of_their_time_or_none(
    tmp_path: Path, rate: int, per_frame: int, message: str | None
) -> None:
    write(tmp_path, video=True)
    path = tmp_path / f'videos/{CAM}/chunk-000/file-000.mp4'
    with EpisodeVideo(path, rate, SIDE, SIDE) as video:
        for number in range(LENGTH):
            for between in range(per_frame):
                video.add(
                    image(number) if between == 0 else np.full((SIDE, SIDE, 3), 255, np.uint8)
                )
    dataset = LeRobotDataset(tmp_path)
    assert dataset.image(CAM, 0).mean() == pytest.approx(20, abs=4)
    if message is not None:
        with pytest.raises(DataError, match=message):
            dataset.image(CAM, 1)
        return
    for number in (4, 1, 2, 5, 0, 3):
        assert dataset.image(CAM, number).mean() == pytest.approx(30 * number + 20, abs=4)


def test_a_link_to_data_is_read(tmp_path: Path) -> None:
    # The cache of the Hugging Face hub is made of links.
    write(tmp_path / 'set')
    link_data(tmp_path / 'set')
    assert os.path.islink(tmp_path / 'set/data')
    assert len(LeRobotDataset(tmp_path / 'set').values('action')) == LENGTH


@pytest.mark.parametrize('file', [DATA_FILE, EPISODES_FILE, 'meta/tasks.parquet'])
def test_a_column_whose_name_is_no_utf8_is_damage(tmp_path: Path, file: str) -> None:
    write(tmp_path / 'set')
    path = tmp_path / 'set' / file
    names = pq.read_schema(path).names
    data = path.read_bytes()
    for name in names:
        path.write_bytes(data.replace(name.encode(), b'\xff' * len(name)))
        with suppress(DataError):
            LeRobotDataset(tmp_path / 'set').window(0, 2)
    path.write_bytes(data.replace(names[0].encode(), b'\xff' * len(names[0])))
    with pytest.raises(DataError, match=r'parquet (is damaged|lacks)'):
        LeRobotDataset(tmp_path / 'set').window(0, 2)


VIDEO_FILE = f'videos/{CAM}/chunk-000/file-000.mp4'


@pytest.mark.parametrize('file', [DATA_FILE, EPISODES_FILE, VIDEO_FILE, 'meta/tasks.parquet'])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, file: str) -> None:
    write(tmp_path / 'set', video=True)
    path = tmp_path / 'set' / file
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match=r'(it is no regular file|is missing)'):
        LeRobotDataset(tmp_path / 'set').window(0, 2)
