"""What the files of a bag hold, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# What ROS 2 takes for a duration without end [ns].
INFINITE_NS = 2**63 - 1


class Record(NamedTuple):
    """One message: topic, type, time of recording [ns], CDR bytes."""

    topic: str
    type: str
    log_ns: int
    data: bytes


@dataclass(frozen=True)
class Offer:
    """The quality of service that a publisher offered: policies by their names, durations [ns].

    depth: 0 where it is not known.
    """

    reliability: str
    durability: str
    history: str = 'unknown'
    depth: int = 0
    deadline_ns: int = INFINITE_NS
    lifespan_ns: int = INFINITE_NS
    liveliness: str = 'automatic'
    lease_ns: int = INFINITE_NS


@dataclass(frozen=True)
class StoredTopic:
    """A topic of a file, with its message definition in .msg or (idl) .idl syntax, '' for none.

    offers: one for each of its publishers, none where the file does not say.
    """

    name: str
    type: str
    count: int
    definition: str
    idl: bool
    offers: tuple[Offer, ...] = ()


def full_type(name: str) -> str:
    """Return a type with its kind, which old and other recorders leave out: `std_msgs/String`."""
    package, separator, rest = name.partition('/')
    return f'{package}/msg/{rest}' if separator and '/' not in rest else name
