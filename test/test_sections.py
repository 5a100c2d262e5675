"""A YAML file is read with every error at once, each naming the key and what is allowed."""

import pytest

from robomamba_ros.errors import ConfigError
from robomamba_ros.sections import Section, refuse


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
