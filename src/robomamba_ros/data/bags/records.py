"""What the files of a bag hold, as it is stored. Knows nothing about what the bytes mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Record(NamedTuple):
    """One message: topic, type, time of recording [ns], CDR bytes."""

    topic: str
    type: str
    log_ns: int
    data: bytes


@dataclass(frozen=True)
class StoredTopic:
    """A topic of a file, with its message definition in .msg or (idl) .idl syntax, '' for none."""

    name: str
    type: str
    count: int
    definition: str
    idl: bool
