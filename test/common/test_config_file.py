"""A YAML file is read with every error at once, each naming the key and what is allowed."""

import math

import pytest

from robomamba_ros.common.config_file import Section, refuse
from robomamba_ros.errors import ConfigError


def test_whole_numbers_and_lists_of_names_are_told_apart_from_what_looks_like_them():
    errors: list[str] = []
    root = Section(
        {'steps': 5, 'half': 2.5, 'yes': True, 'few': 1, 'names': ['a', 'b'], 'twice': ['a', 'a']},
        '',
        errors,
        ('steps', 'half', 'yes', 'few', 'names', 'twice'),
        ('inner',),
    )
    assert root.integer('steps', 1) == 5
    assert root.texts('names', 'names', r'\w+') == ('a', 'b')
    assert not errors
    for key in ('half', 'yes', 'few'):
        root.integer(key, 2, 'px')
    root.texts('twice', 'names')
    root.section('inner', ('a',), ('b',))
    assert errors == [
        'half: found 2.5, allowed: a whole number from 2 [px]',
        'yes: found True, allowed: a whole number from 2 [px]',
        'few: found 1, allowed: a whole number from 2 [px]',
        "twice: found ['a', 'a'], allowed: a list of names, each once",
        'inner: found nothing, allowed: a mapping with the keys a, b',
    ]


def test_refuses_with_every_error_in_one_message():
    refuse('the file', [])
    with pytest.raises(ConfigError, match=r'(?s)the file has 2 error\(s\):\n  - one\n  - two'):
        refuse('the file', ['one', 'two'])


def test_numbers_are_finite_unless_an_end_may_be_missing():
    errors: list[str] = []
    root = Section({'ends': [-math.inf, 2], 'nan': [0.0, math.nan]}, '', errors, ('ends', 'nan'))
    assert root.numbers('ends', 2, infinite=True) == [-math.inf, 2.0]
    assert not errors
    root.numbers('ends', 2)
    root.numbers('nan', 2, infinite=True)
    assert errors == [
        'ends: found [-inf, 2], allowed: a list of 2 finite numbers',
        'nan: found [0.0, nan], allowed: a list of 2 numbers, -.inf or .inf',
    ]


def test_a_choice_that_is_almost_right_is_pointed_out():
    errors: list[str] = []
    root = Section({'kind': 'twst', 'part': 7}, '', errors, ('kind', 'part'))
    root.choice('kind', ('twist', 'target_pose'))
    root.choice('part', ('arm', 'base'))
    assert errors == [
        "kind: found 'twst', allowed: twist, target_pose; did you mean 'twist'?",
        'part: found 7, allowed: arm, base',
    ]
