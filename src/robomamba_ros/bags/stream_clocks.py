"""The stamps of a recording's streams, compared with the times at which they were recorded.

A stream whose clock runs ahead, drifts, or counts from the start of a machine pairs images with
states of another time, and nothing in the messages says so. A few messages at five places of the
bag are looked at; the bag is not read as a whole.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from robomamba_ros.bags.reader import Bag, Message
from robomamba_ros.bags.records import Record
from robomamba_ros.bags.types import CDR_ORDERS, plain
from robomamba_ros.errors import ConfigError, DataError, unknown_name
from robomamba_ros.messages.state import nanoseconds
from robomamba_ros.types import NANOSECONDS, Float64Array

# Where messages are looked at, as shares of the bag's time, and how many at each place.
_PLACES = (0.0, 0.25, 0.5, 0.75, 0.95)
_EACH, _MOST = 8, 400
# Clocks further apart than this are not the same clock [s].
_OTHER_CLOCK_S = 10.0
# A message cannot be recorded before its stamp, but clocks of two machines agree only so far [s].
_AHEAD_S = 0.010
# A delivery that takes longer than this may be a clock that is behind [s].
_BEHIND_S = 0.200
# A delay that changes by this over the bag, and by this many times its scatter, drifts.
_DRIFT_S, _SCATTER = 0.030, 3.0
# Of an offset: beyond it two clocks of this century cannot be apart [s].
FURTHEST_S = 1e10


@dataclass(frozen=True)
class Delay:
    """How long after their stamps the messages of a stream were recorded.

    delay_s: the median [s]; scatter_s: within one place of the bag [s]; drift: its change with
    time [s/s].
    """

    delay_s: float
    scatter_s: float
    drift: float
    span_s: float

    @property
    def drifts(self) -> bool:
        """Whether the delay changes by more than it scatters."""
        return abs(self.drift) * self.span_s > max(_DRIFT_S, _SCATTER * self.scatter_s)


class StreamClocks:
    """The stamps of a bag's streams.

    topics: of each stream, by its name in the arm contract; its messages begin with a Header. The
    first one is what the others are compared with where it has another clock than the recorder,
    as in a simulation. offsets_s: what is added to the stamps of a stream [s]. Raises ConfigError
    for one that is not there or not finite.
    """

    def __init__(
        self, bag: Bag, topics: Mapping[str, str], offsets_s: Mapping[str, float] | None = None
    ) -> None:
        offsets_s = offsets_s or {}
        for name, offset_s in offsets_s.items():
            if name not in topics:
                raise ConfigError(unknown_name('stream to offset:', name, topics))
            if not abs(offset_s) <= FURTHEST_S:
                raise ConfigError(
                    f"the offset of stream '{name}' is {offset_s:g}, not a time in s; give at most "
                    f'{FURTHEST_S:g}'
                )
        self._bag, self._topics = bag, topics
        self._offsets_ns = {name: round(each * NANOSECONDS) for name, each in offsets_s.items()}
        self._unstamped: Counter[str] = Counter()
        self._newest_ns = 0
        self.delays = self._measure_delays()
        known = [each.delay_s for each in self.delays.values()]
        # Of a simulation, the time of recording says nothing.
        self._recorder_agrees = not known or abs(known[0]) < _OTHER_CLOCK_S
        for finding in self.findings():
            bag.warn(f'{bag.path}: {finding}')

    def stamp(self, stream: str, message: Message, now_ns: int | None = None) -> int:
        """Return the stamp of a message of a stream, corrected by the stream's offset [ns].

        A message without a stamp counts as of `now_ns`; where that is None, as of its recording,
        or, where the recorder's clock is another one, as of the newest stamp before it.
        """
        stamp_ns = nanoseconds(message.content.header.stamp)
        if stamp_ns:
            self._newest_ns = stamp_ns = stamp_ns + self._offsets_ns.get(stream, 0)
            return stamp_ns
        self._unstamped[stream] += 1
        if now_ns is not None:
            return now_ns
        # In a simulation 0 is a time, before any other.
        return message.log_ns if self._recorder_agrees else self._newest_ns

    def finish(self) -> None:
        """Say which streams had messages without a stamp."""
        for stream, count in self._unstamped.items():
            self._bag.warn(
                f"{self._bag.path}: {count} messages of '{stream}' ({self._topics[stream]}) have "
                'no stamp; they count as of the time of their recording'
            )

    def findings(self) -> list[str]:
        """Return what is odd about the streams' clocks, one sentence each."""
        if not self.delays:
            return []
        first, reference = next(iter(self.delays.items()))
        shared = abs(reference.delay_s) > _OTHER_CLOCK_S or reference.drifts
        base_s, base_drift = (reference.delay_s, reference.drift) if shared else (0.0, 0.0)
        against = f"those of '{first}'" if shared else 'the times of recording'
        found: list[str] = []
        for name, each in self.delays.items():
            if shared and name == first:
                continue
            found += self._judge(
                name, each, each.delay_s - base_s, each.drift - base_drift, against
            )
        return found

    def _judge(
        self, name: str, each: Delay, delay_s: float, drift: float, against: str
    ) -> Iterable[str]:
        who = f"the stamps of '{name}' ({self._topics[name]})"
        beside = f'{abs(delay_s):.3g} s {"behind" if delay_s > 0.0 else "ahead of"} {against}'
        applied_s = self._offsets_ns.get(name, 0) / NANOSECONDS
        remedy = f'--offset {name}={applied_s + delay_s:.3g} puts a constant offset right'
        if Delay(delay_s, each.scatter_s, drift, each.span_s).drifts:
            yield (
                f'{who} drift by {1e3 * -drift:+.3g} ms each second against {against}, and are '
                f'{beside}: images and states of different times are paired. No offset corrects '
                'that: synchronise the clocks (NTP, PTP), or let the driver stamp with ROS time'
            )
        elif abs(delay_s) > _OTHER_CLOCK_S:
            remedy = f'--offset {name}={applied_s + delay_s:.3f} puts a constant offset right'
            yield (
                f'{who} are of another clock, {abs(delay_s):.3f} s '
                f'{"behind" if delay_s > 0.0 else "ahead of"} {against}; let the driver stamp with '
                f'ROS time, or {remedy}'
            )
        elif delay_s < -_AHEAD_S:
            yield (
                f'{who} are {beside}, which no delivery can be: its clock is ahead, and images and '
                f'states of different times are paired. {remedy}'
            )
        elif delay_s > _BEHIND_S:
            yield (f'{who} are {beside}; where that is its clock and not the delivery, {remedy}')

    def _measure_delays(self) -> dict[str, Delay]:
        """Return the delays of those streams that have stamps."""
        bag, streams = self._bag, {topic: name for name, topic in self._topics.items()}
        places: dict[str, list[tuple[float, Float64Array]]] = {name: [] for name in self._topics}
        for share in _PLACES:
            start_ns = bag.start_ns + round(share * (bag.end_ns - bag.start_ns))
            for name, pairs in self._measure_stream(start_ns, streams).items():
                times, delays = np.array(pairs).T
                places[name].append((float(np.median(times)), delays))
        return {name: _delay(found) for name, found in places.items() if found}

    def _measure_stream(
        self, start_ns: int, streams: Mapping[str, str]
    ) -> dict[str, list[tuple[float, float]]]:
        """Return (time since the start, delay) [s] of a few messages of each stream."""
        found: dict[str, list[tuple[float, float]]] = {}
        for number, record in enumerate(self._bag.stored(list(streams), start_ns)):
            name = streams[record.topic]
            stamp_ns = _stamp(record)
            if stamp_ns and len(found.setdefault(name, [])) < _EACH:
                delay_ns = record.log_ns - stamp_ns - self._offsets_ns.get(name, 0)
                time_s = (record.log_ns - self._bag.start_ns) / NANOSECONDS
                found[name].append((time_s, delay_ns / NANOSECONDS))
            if number >= _MOST or all(len(found.get(n, ())) >= _EACH for n in self._topics):
                break
        return {name: pairs for name, pairs in found.items() if pairs}


def _stamp(record: Record) -> int:
    """Return the stamp of a message that begins with a Header [ns], 0 where it has none."""
    try:
        data = plain(record)
        order = '<' if data[:2] == CDR_ORDERS[1] else '>'
        seconds, rest = struct.unpack_from(f'{order}iI', data, 4)
    except (DataError, struct.error):
        return 0
    return int(seconds) * NANOSECONDS + int(rest)


def _delay(places: list[tuple[float, Float64Array]]) -> Delay:
    times = np.array([time for time, _ in places])
    medians = np.array([np.median(delays) for _, delays in places])
    scatter = max(float(np.ptp(delays)) for _, delays in places)
    span_s = float(np.ptp(times))
    drift = float(np.polyfit(times, medians, 1)[0]) if len(places) > 2 and span_s > 0.0 else 0.0
    return Delay(float(np.median(medians)), scatter, drift, span_s)
