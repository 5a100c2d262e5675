"""Percentiles of a bounded window of latencies."""

from __future__ import annotations

import math

import pytest

from robomamba_ros.control.metrics import LatencyWindow


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
