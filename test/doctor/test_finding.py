from __future__ import annotations

import json

from robomamba_ros.doctor.finding import as_json, as_table, fault, has_fault, note, ok

FINDINGS = [
    ok('joint_states: rate', '100.0 Hz'),
    note('camera', 'compressed', 'look at it'),
    fault('pose', 'two errors:\n  - one\n  - another', 'mend ' + 'both ' * 20 + 'of them'),
]


def test_the_table_says_level_place_finding_and_remedy() -> None:
    *lines, counts = as_table(FINDINGS).splitlines()
    assert lines[:5] == [
        'ok     joint_states: rate  100.0 Hz',
        'note   camera              compressed',
        '                           -> look at it',
        'fault  pose                two errors:',
        '                             - one',
    ]
    assert max(map(len, lines)) <= 100
    assert ' '.join(line.strip() for line in lines[6:]) == f'-> {FINDINGS[2].remedy}'
    assert counts == '1 fault(s), 1 note(s), 1 ok'


def test_json_has_the_same() -> None:
    assert json.loads(as_json(FINDINGS))[1] == {
        'level': 'note',
        'about': 'camera',
        'found': 'compressed',
        'remedy': 'look at it',
    }


def test_only_a_fault_is_a_fault() -> None:
    assert has_fault(FINDINGS)
    assert not has_fault(FINDINGS[:2])
