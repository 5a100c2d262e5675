"""What a run directory says: means of steps, taken back on resuming, and the same as events."""

import json

import pytest
from support.full_disk import disk_of

from robomamba_ros.errors import DataError
from robomamba_ros.training.shared.record import Record


def lines(folder):
    return [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]


def test_lines_are_means_and_what_is_later_than_the_state_is_taken_back(tmp_path):
    record = Record(tmp_path, 0, {'command': 'first'})
    for step in range(1, 7):
        record.add({'velocity': float(step)})
        if step % 2 == 0:
            record.write(step, 1)
    record.write(6, 1)
    assert [line['velocity'] for line in lines(tmp_path)] == [1.5, 3.5, 5.5]
    with (tmp_path / 'metrics.jsonl').open('a') as file:
        file.write('{"step": 7, "sta')
    Record(tmp_path, 4, {'command': 'second'})
    assert [line['step'] for line in lines(tmp_path)] == [2, 4]
    starts = json.loads((tmp_path / 'run.json').read_text())['starts']
    assert [(start['command'], start['step']) for start in starts] == [('first', 0), ('second', 4)]
    Record(tmp_path, 0, {'command': 'afresh'})
    assert lines(tmp_path) == []
    assert len(json.loads((tmp_path / 'run.json').read_text())['starts']) == 1


def test_events_say_what_the_lines_say(tmp_path):
    pytest.importorskip('tensorboard', reason='the events need tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record = Record(tmp_path, 0, {})
    record.add({'velocity': 0.5})
    record.write(3, 1)
    record.line(3, 1, {'held_out_velocity': 0.25})
    events = EventAccumulator(str(tmp_path / 'tensorboard'))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars('velocity')] == [(3, 0.5)]
    assert [(e.step, e.value) for e in events.Scalars('held_out_velocity')] == [(3, 0.25)]


def test_a_start_says_which_code_and_machine_it_was(tmp_path):
    Record(tmp_path, 0, {})
    (start,) = json.loads((tmp_path / 'run.json').read_text())['starts']
    assert set(start['software']) >= {'robomamba_ros', 'python', 'torch', 'numpy'}
    assert start['machine']['cpus'] >= 1
    assert start['source'] is None or len(start['source']['commit']) == 40


@pytest.mark.parametrize(
    ('name', 'content', 'said'),
    [
        ('run.json', '{"starts": [', 'run.json, line 1 is not valid JSON'),
        ('run.json', '[]', 'run.json has no list of starts'),
        ('metrics.jsonl', '{"step": 1}\n{"step": \n', 'metrics.jsonl, entry 2, line 1'),
        ('metrics.jsonl', '{"step": 1}\n7\n', 'metrics.jsonl, line 2 has no step'),
    ],
)
def test_a_damaged_record_is_named_and_stays_as_it_is(tmp_path, name, content, said):
    Record(tmp_path, 0, {'command': 'first'}).line(1, 1, {})
    (tmp_path / name).write_text(content)
    before = {path.name: path.read_bytes() for path in tmp_path.glob('*.json*')}
    with pytest.raises(DataError, match=said):
        Record(tmp_path, 1, {'command': 'second'})
    assert {path.name: path.read_bytes() for path in tmp_path.glob('*.json*')} == before


def test_a_full_disk_leaves_the_record_as_it_was(tmp_path):
    Record(tmp_path, 0, {'command': 'first'}).line(1, 1, {})
    before = {path.name: path.read_bytes() for path in tmp_path.glob('*.json*')}
    with disk_of(100), pytest.raises(OSError, match='File too large'):
        Record(tmp_path, 1, {'command': 'second'})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
