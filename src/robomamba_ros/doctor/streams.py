"""Checks of every input: its publishers, type, rate and age."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import numpy as np

from robomamba_ros.doctor.facts import (
    ClockFacts,
    Endpoint,
    Facts,
    Stream,
    Topic,
    Wanted,
)
from robomamba_ros.doctor.finding import Finding, fault, note, ok

CLOCK = 'rosgraph_msgs/msg/Clock'
# A stamp further off than this is of another clock; further than that, of one that began at 0.
OTHER_CLOCK_S = 60.0
SINCE_ZERO_S = 1e8


def check_clock(facts: Facts) -> Iterator[Finding]:
    """Yield whether time passes, and comes from one place."""
    clock, names = facts.clock, ', '.join(facts.clock.publishers)
    if not clock.simulated:
        if clock.publishers:
            yield note(
                'clock',
                f'{names} publishes /clock, and these checks go by the clock of this machine',
                'if the robot is simulated or replayed, check with --use-sim-time, and start '
                'with use_sim_time:=true',
            )
        return
    if len(clock.publishers) > 1:
        yield fault('clock', f'{names} all publish /clock', 'end all but one')
    elif not clock.publishers:
        others = [name for name, types in facts.published.items() if CLOCK in types]
        remedy = 'start the simulation or the bag'
        if others:
            remedy += f', or use the clock that is there: --ros-args -r /clock:={others[0]}'
        yield fault('clock', 'nobody publishes /clock', remedy)
    elif clock.passed_s <= 0.0:
        yield fault('clock', f'/clock of {names} stands still', 'let the simulation or bag go on')
    else:
        yield ok('clock', f'simulated by {names}')


def check_writers(wanted: Wanted, facts: Facts, *, needed: bool) -> Iterator[Finding]:
    """Yield whether one node publishes a topic, as it is read here."""
    topic = facts.topics[wanted.name]
    bad = fault if needed else note
    about = f'{wanted.stream}: publisher'
    if not topic.writers:
        yield bad(
            about, f'nobody publishes {topic.name}', _remedy_without_publisher(wanted, topic, facts)
        )
        return
    names = ', '.join(writer.node for writer in topic.writers)
    yield from check_types(about, wanted, topic, topic.writers)
    if len(topic.writers) > wanted.publishers:
        yield bad(about, f'{topic.name} has {len(topic.writers)}: {names}', 'end all but one')
    for writer in topic.writers:
        if writer.mismatch:
            yield fault(
                f'{wanted.stream}: QoS',
                f'{writer.node} offers less than is asked for: {writer.mismatch}',
                'change the QoS of the publisher',
            )
    alone = len(topic.writers) <= wanted.publishers
    if alone and all(writer.type == wanted.type for writer in topic.writers):
        yield ok(about, f'{topic.name} of {names}')


def check_types(
    about: str, wanted: Wanted, topic: Topic, endpoints: tuple[Endpoint, ...]
) -> Iterator[Finding]:
    """Yield the endpoints whose messages are of another type."""
    for endpoint in endpoints:
        if endpoint.type != wanted.type:
            yield fault(
                about,
                f'{endpoint.node} has {topic.name} as {endpoint.type}, it must be {wanted.type}',
                'name another topic in the arm contract, or another kind or transport',
            )


def check_flow(wanted: Wanted, facts: Facts, *, needed: bool) -> Iterator[Finding]:
    """Yield how often messages come and how old they are when they are used."""
    stream, topic = facts.streams[wanted.name], facts.topics[wanted.name]
    about = f'{wanted.stream}: rate'
    if not stream.arrivals_s:
        # What is latched came when we began to listen, and not again.
        if topic.writers and (wanted.budget_s is not None or not stream.messages):
            yield (fault if needed else note)(
                about,
                f'{topic.name} has a publisher, and no message came in {facts.seconds:.1f} s',
                'is the driver running, and does the network let data through as well as names?',
            )
        return
    if wanted.budget_s is None or not stream.ages_s:
        return
    age_s = float(np.median(stream.ages_s))
    other_clock = _other_clock(f'{wanted.stream}: stamps', age_s, wanted.budget_s, facts.clock)
    if other_clock is not None:
        yield other_clock
        return
    worst_s, budget_s = _worst_age_s(stream), wanted.budget_s
    found = (
        f'{_rate_hz(stream):.1f} Hz, {1e3 * age_s:.0f} ms old on arrival, up to '
        f'{1e3 * worst_s:.0f} ms before the next (99 of 100); budget {1e3 * budget_s:.0f} ms'
    )
    if worst_s > budget_s:
        remedy = (
            f'the arm would stop: make {topic.name} faster or its way shorter; the budget in the '
            'arm contract may be three periods and the delay of the network'
        )
        yield (fault if needed else note)(about, found, remedy)
    elif worst_s > 0.5 * budget_s:
        yield note(
            about, found, 'more than half of the budget is used: a busy moment stops the arm'
        )
    else:
        yield ok(about, found)


def _other_clock(about: str, age_s: float, budget_s: float, clock: ClockFacts) -> Finding | None:
    """Return what is wrong with stamps that no delay explains, None where nothing is."""
    if age_s > -budget_s and age_s < OTHER_CLOCK_S:
        return None
    where = 'ahead of' if age_s < 0 else 'behind'
    found = f'messages are stamped {abs(age_s):.3f} s {where} the clock'
    if clock.simulated or clock.publishers or abs(age_s) > SINCE_ZERO_S:
        return fault(
            about,
            f'{found}, which is {"" if clock.simulated else "not "}simulated here',
            'give use_sim_time the same value everywhere, here by --use-sim-time; a driver that '
            'stamps with 0 has to be mended',
        )
    return fault(
        about,
        found,
        'let the driver stamp with the time of measurement, and let the machines keep one time '
        '(chrony or PTP)',
    )


def _rate_hz(stream: Stream) -> float:
    passed_s = stream.arrivals_s[-1] - stream.arrivals_s[0]
    return (len(stream.arrivals_s) - 1) / passed_s if passed_s > 0 else 0.0


def _worst_age_s(stream: Stream) -> float:
    """Return the 99th percentile of the ages that messages reach before the next one comes [s]."""
    gaps_s = np.diff((*stream.arrivals_s, stream.until_s))
    return float(np.percentile(np.array(stream.ages_s) + gaps_s, 99.0))


def _remedy_without_publisher(wanted: Wanted, topic: Topic, facts: Facts) -> str:
    """Return the remedy for a topic without publisher: others of its type, the nearest first."""
    same = [name for name, types in facts.published.items() if wanted.type in types]
    others = difflib.get_close_matches(topic.name, same, n=5, cutoff=0.0)
    if not others:
        return f'no topic has {wanted.type}: start the driver; ROS_DOMAIN_ID may be another'
    return f'start the driver, or name in the arm contract what has {wanted.type}: ' + ', '.join(
        others
    )
