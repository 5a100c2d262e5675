"""Percentiles of a bounded window of latencies."""

from __future__ import annotations

import math

import pytest

from robomamba_ros.common.metrics import LatencyWindow, MotionCounts, TickTimes


def test_percentiles_are_of_the_last_durations_only():
    window = LatencyWindow(size=101)
    for _ in range(50):
        window.add(1000.0)
    for duration in range(101):
        window.add(float(duration))
    assert (window.count, window.p50, window.p99) == (101, 50.0, pytest.approx(99.0))


def test_an_empty_window_has_no_percentiles():
    window = LatencyWindow()
    assert window.count == 0
    assert math.isnan(window.p50)
    assert math.isnan(window.p99)


def test_motion_is_counted_by_limit_seam_refusal_and_stop():
    counts = MotionCounts()
    assert counts.values() == {
        'limited_setpoints': 0,
        'seam_jump_max_m': 0.0,
        'seam_jump_max_rad': 0.0,
        'seam_jump_max_joint': 0.0,
        'refused_chunks': 0,
        'stops': 0,
        'dropped_states': 0,
    }
    for active_limits in (('jerk',), (), ('velocity', 'jerk'), ()):
        counts.add_setpoint(active_limits)
    counts.add_seam(0.02, 0.3, 0.0)
    counts.add_seam(0.01, 0.4, 0.0)
    counts.add_refusal('too old')
    counts.add_stop('joint_states is late')
    counts.add_stop('disabled')
    assert counts.values() == {
        'limited_setpoints': 2,
        'limited_share': 0.5,
        'limited_by_jerk': 0.5,
        'limited_by_velocity': 0.25,
        'seam_jump_max_m': 0.02,
        'seam_jump_max_rad': 0.4,
        'seam_jump_max_joint': 0.0,
        'refused_chunks': 1,
        'last_refusal': 'too old',
        'stops': 2,
        'last_stop': 'disabled',
        'dropped_states': 0,
    }


def test_a_tick_overruns_where_it_takes_longer_than_a_period_or_begins_late():
    ticks = TickTimes(0.01)
    assert ticks.values() == {'ticks': 0}
    # Punctual; a little late; late by more than half a period; too long, and the one after it.
    for begun_s, took_s in ((1.0, 0.002), (1.014, 0.001), (1.030, 0.004), (1.040, 0.012)):
        ticks.add(begun_s, begun_s + took_s)
    ticks.add(1.052, 1.053)
    values = ticks.values()
    assert values == {
        'ticks': 5,
        'tick_p50_ms': pytest.approx(2.0),
        'tick_p99_ms': pytest.approx(12.0, abs=0.4),
        'tick_max_ms': pytest.approx(12.0),
        'late_p50_ms': pytest.approx(2.0),
        'late_p99_ms': pytest.approx(6.0, abs=0.2),
        'late_max_ms': pytest.approx(6.0),
        'overruns': 2,
        'overrun_share': 0.4,
    }


def test_where_time_is_simulated_a_late_tick_says_nothing():
    ticks = TickTimes(0.01)
    for begun_s in (0.0, 1.0, 5.0):
        ticks.add(begun_s, begun_s + 0.001, punctual=False)
    assert ticks.values()['overruns'] == 0
