"""Instruction data: conversations about images, in the JSON of LLaVA's data sets.

[{"id": "7", "image": "images/7.png", "conversations": [
    {"from": "human", "value": "<image>\\nis the drawer open?"},
    {"from": "gpt", "value": "no"}, ...]}, ...]
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from robomamba_ros.common.documents import read_json
from robomamba_ros.errors import DataError

# Of half a million conversations.
MEGABYTES = 2048
IMAGE_MARK = '<image>'  # LLaVA marks where the image goes; here it always goes first
SPEAKERS = ('human', 'gpt')


class Turn(NamedTuple):
    """One question and its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Conversation:
    """Turns about one image; image is None where they are about none."""

    image: Path | None
    turns: tuple[Turn, ...]


def read_conversations(path: Path, images: Path | None = None) -> list[Conversation]:
    """Return the conversations of a JSON file, or of every *.json in a folder, by name.

    images: the folder that image paths begin in; by default the one that holds `path`. Raises
    DataError where there is none, and for the first entry that is wrong, with its number.
    """
    root = path.parent if images is None else images
    files = sorted(path.glob('*.json')) if path.is_dir() else [path]
    conversations = [talk for file in files for talk in _read(file, root)]
    if not conversations:
        raise DataError(
            f"'{path}' has no conversations; give a JSON file, or a folder of such files"
        )
    return conversations


def conversations_document(conversations: Sequence[Conversation], root: Path) -> str:
    """Return the JSON that `read_conversations` reads, with image paths relative to `root`."""
    entries = []
    for number, talk in enumerate(conversations):
        turns: list[dict[str, str]] = []
        for index, turn in enumerate(talk.turns):
            mark = f'{IMAGE_MARK}\n' if talk.image is not None and index == 0 else ''
            turns += [
                {'from': 'human', 'value': mark + turn.question},
                {'from': 'gpt', 'value': turn.answer},
            ]
        entry: dict[str, Any] = {'id': str(number), 'conversations': turns}
        if talk.image is not None:
            entry['image'] = str(talk.image.relative_to(root))
        entries.append(entry)
    return json.dumps(entries, indent=0)


def _read(path: Path, root: Path) -> list[Conversation]:
    entries = read_json(path, megabytes=MEGABYTES, error=DataError)
    if not isinstance(entries, list):
        raise DataError(f'{path} must hold a list of conversations')
    conversations = []
    for number, entry in enumerate(entries, 1):
        try:
            conversations.append(_conversation(entry, root))
        except (ValueError, KeyError, TypeError) as error:
            what = f'{error} is missing' if isinstance(error, KeyError) else str(error)
            raise DataError(f'{path}, conversation {number}: {what}') from error
    return conversations


def _conversation(entry: Any, root: Path) -> Conversation:
    turns = entry['conversations']
    speakers = [part['from'] for part in turns]
    if not turns or len(turns) % 2 or speakers != list(SPEAKERS) * (len(turns) // 2):
        raise ValueError(
            f'the speakers are {speakers}; a human asks and a gpt answers, in turns and in pairs'
        )
    texts = [str(part['value']).replace(IMAGE_MARK, '').strip() for part in turns]
    if not all(texts):
        raise ValueError('a question or an answer is empty')
    turns = tuple(Turn(*pair) for pair in zip(texts[::2], texts[1::2], strict=True))
    image = entry.get('image')
    return Conversation(None if image is None else root / image, turns)
