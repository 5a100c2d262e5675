"""Conversations in the JSON of LLaVA's data sets."""

import json

import pytest

from robomamba_ros.datasets.conversations import (
    Conversation,
    Turn,
    conversations_document,
    read_conversations,
)
from robomamba_ros.errors import DataError

TURNS = (Turn('is it open?', 'no'), Turn('where is it?', 'on the left'))


def test_what_is_written_is_read(tmp_path):
    talks = [Conversation(tmp_path / 'images' / 'a.png', TURNS), Conversation(None, TURNS[:1])]
    path = tmp_path / 'talks' / 'a.json'
    path.parent.mkdir()
    path.write_text(conversations_document(talks, tmp_path))
    assert read_conversations(path, tmp_path) == talks
    assert read_conversations(path.parent) == talks
    # As others expect it: the mark of the image in the first question.
    first = json.loads(path.read_text())[0]
    assert first['image'] == 'images/a.png'
    assert first['conversations'][0] == {'from': 'human', 'value': '<image>\nis it open?'}


def test_the_mark_of_the_image_is_no_text(tmp_path):
    path = tmp_path / 'a.json'
    said = [{'from': 'human', 'value': 'what?\n<image>'}, {'from': 'gpt', 'value': 'this'}]
    path.write_text(json.dumps([{'conversations': said, 'image': 'b.png'}]))
    (talk,) = read_conversations(path)
    assert talk == Conversation(tmp_path / 'b.png', (Turn('what?', 'this'),))


@pytest.mark.parametrize(
    ('speakers', 'said'),
    [(('gpt', 'human'), 'in turns'), (('human',), 'in pairs'), ((), 'in pairs')],
)
def test_names_the_conversation_that_is_wrong(tmp_path, speakers, said):
    path = tmp_path / 'a.json'
    path.write_text(conversations_document([Conversation(None, TURNS)], tmp_path))
    entries = json.loads(path.read_text())
    entries.append({'conversations': [{'from': who, 'value': 'x'} for who in speakers]})
    path.write_text(json.dumps(entries))
    with pytest.raises(DataError, match=rf'a\.json, conversation 2: .*{said}'):
        read_conversations(path)


def test_refuses_what_holds_no_conversations(tmp_path):
    path = tmp_path / 'a.json'
    for text, said in (
        ('{', 'a.json, line 1 is not valid JSON'),
        ('{}', 'must hold a list'),
        ('[]', 'has no'),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=said):
            read_conversations(path)
    path.write_text('[{"conversations": [{"from": "human", "value": ""}]}]')
    with pytest.raises(DataError, match='conversation 1'):
        read_conversations(path)
