"""When what a bag holds is due."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.bags.playback import PlaybackClock, with_ticks
from robomamba_ros.bags.records import Record


def test_a_clock_runs_at_its_rate_and_stands_still_while_paused() -> None:
    clock = PlaybackClock(1000, rate=2.0)
    assert (clock.paused, clock.bag_ns(77), clock.wait_ns(1010, 77)) == (True, 1000, None)
    clock.resume(100)
    assert (clock.bag_ns(100), clock.bag_ns(150)) == (1000, 1100)
    assert (clock.wait_ns(1200, 150), clock.wait_ns(900, 150)) == (50, 0)
    clock.pause(150)
    clock.resume(1_000_150)
    clock.resume(1_000_160)  # it runs already
    assert (clock.paused, clock.bag_ns(1_000_160)) == (False, 1120)


def record(log_ns: int) -> Record:
    return Record('/x', 'std_msgs/msg/String', log_ns, b'')


def test_ticks_come_before_the_messages_of_their_time_and_end_with_the_bag() -> None:
    events = with_ticks([record(t) for t in (5, 10, 12, 31)], 5, 30, 10)
    assert [(due, each and each.log_ns) for due, each in events] == [
        (5, None),
        (5, 5),
        (10, 10),
        (12, 12),
        (15, None),
        (25, None),
    ]
    assert [due for due, _ in with_ticks([record(7)], 5, 30, 0)] == [7]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 1000), max_size=20).map(sorted),
    st.integers(1, 300),
    st.integers(0, 500),
    st.integers(0, 1000),
)
def test_what_is_due_is_in_order_and_no_message_up_to_the_end_is_lost(
    times: list[int], period_ns: int, begin_ns: int, length_ns: int
) -> None:
    times = [time for time in times if time >= begin_ns]
    end_ns = begin_ns + length_ns
    events = list(with_ticks(map(record, times), begin_ns, end_ns, period_ns))
    dues = [due for due, _ in events]
    assert dues == sorted(dues)
    assert [e.log_ns for _, e in events if e] == [time for time in times if time <= end_ns]
    ticks = [due for due, each in events if each is None]
    assert ticks == list(range(begin_ns, min([*times[-1:], end_ns]) + 1, period_ns))[: len(ticks)]
