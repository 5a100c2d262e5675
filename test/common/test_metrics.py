"""Percentiles of a bounded window of latencies."""

from __future__ import annotations

import math

import pytest

from robomamba_ros.common.metrics import LatencyWindow, MotionCounts


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
    for bites in (('jerk',), (), ('velocity', 'jerk'), ()):
        counts.add_setpoint(bites)
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
