"""Turns the bytes of a message into its fields, by the definition that was stored with it.

A message is a dataclass with the fields of the ROS message of its type.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from robomamba_ros.bags.definitions import find_definition, parse_definition
from robomamba_ros.bags.limits import DEFINITION_BYTES, DEFINITION_LINES, decompress
from robomamba_ros.bags.records import Record, StoredTopic
from robomamba_ros.bags.services import event_types
from robomamba_ros.errors import DataError

# A CDR message begins with 0: this tells one that was compressed by itself.
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
# Big and little endian.
CDR_ORDERS = (b'\0\0', b'\0\1')


def plain(record: Record) -> bytes:
    """Return the bytes of a message, decompressed where it was compressed by itself.

    Raises DataError where that fails.
    """
    if record.data[:4] != ZSTD_MAGIC:
        return record.data
    data, problem = decompress('zstd', record.data)
    if problem:
        raise DataError(f"a message of type '{record.type}' is damaged: {problem}")
    return data


@cache
def standard_types() -> Typestore:
    """Return the message types that ROS 2 comes with, events of standard services included."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(event_types())
    return store


class MessageTypes:
    """The message types of a bag: those of its definitions, else those known on this machine.

    Known are those that ROS 2 comes with, and those of packages that are installed.

    problems: type -> why its messages cannot be decoded.
    """

    def __init__(self, topics: Iterable[StoredTopic]) -> None:
        self._stores: dict[str, Typestore] = {}
        self.problems: dict[str, str] = {}
        for topic in topics:
            if topic.type not in self._stores:
                self._add(topic)

    def _add(self, topic: StoredTopic) -> None:
        reason = 'the bag stores no definition of it'
        if topic.definition:
            try:
                self._stores[topic.type] = _store(topic.type, topic.definition, topic.idl)
                self.problems.pop(topic.type, None)
                return
            except Exception as error:  # grammar and code generation raise errors of many kinds
                short = ' '.join(str(error).split())[:80]
                reason = f'its stored definition cannot be used ({short})'
        standard = standard_types()
        if topic.type in standard.fielddefs:
            self._stores[topic.type] = standard
            return
        try:
            found = find_definition(topic.type)
            self._stores[topic.type] = _store(topic.type, found.text, found.idl)
        except DataError as error:
            self.problems[topic.type] = (
                f"messages of type '{topic.type}' cannot be decoded: {reason}, and {error}"
            )

    def missing_field(self, type_: str) -> str:
        """Return which field of a ROS 2 message the stored definition of a type lacks, '' for none.

        Types that the definition contains count too. Bytes are read by the stored definition, so
        that another one cannot stand in for it.
        """
        store, standard = self._stores.get(type_), standard_types()
        for name, (_, fields) in ({} if store is None else store.fielddefs).items():
            if name in standard.fielddefs:
                stored = {field for field, _ in fields}
                missing = [field for field, _ in standard.fielddefs[name][1] if field not in stored]
                if missing:
                    return f"the stored definition of {name} has no '{missing[0]}'"
        return ''

    def decode(self, record: Record) -> Any:
        """Return a message; raises DataError where its bytes are not one of its type."""
        store = self._stores.get(record.type)
        if store is None:
            raise DataError(self.problems[record.type])
        try:
            data = plain(record)
            if data[:2] not in CDR_ORDERS:
                raise DataError('it is not in CDR')
            definition = store.get_msgdef(record.type)
            little = data[:2] == CDR_ORDERS[1]
            read = definition.deserialize_cdr_le if little else definition.deserialize_cdr_be
            # Not `deserialize_cdr`: it refuses the bytes that rclpy's serialize_message leaves
            # after a message, and with them every bag that a Python node has written.
            return read(memoryview(data)[4:], 0, definition.cls, store)[0]
        except Exception as error:  # decoding damaged bytes raises errors of many kinds
            reason = f"a message of type '{record.type}' cannot be decoded: {error}"
            raise DataError(reason) from error


# Bags of one robot have the same definitions, and code is generated for each.
@lru_cache(maxsize=128)
def _store(type_: str, text: str, idl: bool) -> Typestore:
    if len(text) > DEFINITION_BYTES or text.count('\n') > DEFINITION_LINES:
        raise DataError(f'it has {len(text)} characters')
    # One for each type, so that two versions of another do not meet.
    store = get_typestore(Stores.EMPTY)
    store.register(parse_definition(type_, text, idl))
    store.get_msgdef(type_)
    return store
