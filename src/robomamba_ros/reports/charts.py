"""Charts as inline SVG, coloured by the page's style sheet so that they follow light and dark."""

from __future__ import annotations

import math
from html import escape
from typing import NamedTuple

import numpy as np

from robomamba_ros.types import Float64Array

WIDTH, HEIGHT = 460, 168
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 10, 24


class Line(NamedTuple):
    """One line of a chart: its class in the style sheet, and (T,) values.

    time: (T,) where it differs from the chart's.
    """

    style: str
    values: Float64Array
    time: Float64Array | None = None


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers within low..high."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def labels(values: list[float]) -> list[str]:
    """Return the ticks as text, all with the decimals the finest one needs."""
    for decimals in range(8):
        if all(abs(value - round(value, decimals)) < 1e-9 for value in values):
            break
    return [f'{value:.{decimals}f}'.replace('-', '\N{MINUS SIGN}') for value in values]


class PlotArea:
    """The plot area: maps values to pixels and draws axes."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x_range, self.y_range = x, y

    def x(self, value: float) -> float:
        """Return the pixel column of a value."""
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Return the pixel row of a value."""
        low, high = self.y_range
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def axes(self, y_ticks: int = 4, x_ticks: int = 6) -> str:
        """Return horizontal rules with their values, and the values along the bottom."""
        marks = []
        values = ticks(*self.y_range, y_ticks)
        for value, text in zip(values, labels(values), strict=True):
            y = self.y(value)
            marks.append(
                f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text class="end" x="{LEFT - 7}" y="{y + 3.5:.1f}">{text}</text>'
            )
        values = ticks(*self.x_range, x_ticks)
        for value, text in zip(values, labels(values), strict=True):
            marks.append(
                f'<text class="middle" x="{self.x(value):.1f}" y="{HEIGHT - 7}">{text}</text>'
            )
        return ''.join(marks)


def _svg(description: str, *content: str, height: int = HEIGHT) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(description)}">'
        f'{"".join(content)}</svg>'
    )


def time_chart(
    description: str,
    time: Float64Array,
    lines: list[Line],
    y_range: tuple[float, float],
    seams: Float64Array,
) -> str:
    """Return lines over time (T,) [s], with a tick where each chunk took over."""
    area = PlotArea((float(time[0]), max(float(time[-1]), float(time[0]) + 1e-6)), y_range)
    bottom = HEIGHT - BOTTOM
    content = [area.axes()]
    content += [
        f'<line class="seam" x1="{area.x(at):.1f}" x2="{area.x(at):.1f}" y1="{TOP}" y2="{bottom}"/>'
        for at in seams
        if time[0] <= at <= time[-1]
    ]
    for line in lines:
        points = ' '.join(
            f'{area.x(t):.1f},{area.y(v):.1f}'
            for t, v in zip(time if line.time is None else line.time, line.values, strict=True)
            if math.isfinite(v)
        )
        content.append(f'<polyline class="{line.style}" points="{points}"/>')
    return _svg(description, *content)


def common_span(*groups: Float64Array, least: float) -> list[tuple[float, float]]:
    """Return one (low, high) per (T, ...) group, all equally wide, so that slopes compare."""
    spans = [
        (float(np.nanmin(group)), float(np.nanmax(group)))
        if np.isfinite(group).any()
        else (0.0, 0.0)
        for group in groups
    ]
    width = max(least, *(high - low for low, high in spans)) * 1.1
    return [((low + high - width) / 2, (low + high + width) / 2) for low, high in spans]


def histogram(description: str, samples: Float64Array) -> tuple[str, int]:
    """Return the histogram of (n,) samples with p50 and p99 marked, and how many lie beyond it.

    The axis ends a little after p99, so that one stall does not flatten the rest.
    """
    p50, p99 = (float(value) for value in np.percentile(samples, (50, 99)))
    low, high = float(np.min(samples)), float(np.max(samples))
    margin = max(0.25 * (p99 - low), 0.02 * p99, 1e-3)
    start, end = max(0.0, low - margin), min(high, p99) + margin
    shown = samples[samples <= end]
    counts, edges = np.histogram(shown, bins=min(48, max(8, len(samples) // 4)), range=(start, end))
    area = PlotArea((start, end), (0.0, float(counts.max()) * 1.25))
    content = [area.axes(y_ticks=3)]
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            x, y = area.x(left), area.y(count)
            content.append(
                f'<rect class="bar" x="{x + 0.5:.1f}" y="{y:.1f}" '
                f'width="{max(area.x(right) - x - 1, 1):.1f}" '
                f'height="{HEIGHT - BOTTOM - y:.1f}"/>'
            )
    for name, value, anchor in (('p50', p50, 'end'), ('p99', p99, 'start')):
        x = area.x(value)
        room = 'end' if anchor == 'start' and x > WIDTH - 90 else anchor
        room = 'start' if room == 'end' and x < LEFT + 80 else room
        row = TOP + (8 if name == 'p50' else 22)
        content.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            f'<text class="{room} strong" x="{x + (5 if room == "start" else -5):.1f}" '
            f'y="{row}">{name} {milliseconds(value)}</text>'
        )
    return _svg(description, *content), len(samples) - len(shown)


def milliseconds(value: float) -> str:
    """Return a time [ms] as it is read: to a tenth, and a short one to two digits."""
    return f'{value:.1f}' if value >= 1.0 else f'{value:.2g}'


def interval_bar(rate: float, interval: tuple[float, float]) -> str:
    """Return a rate (0..1) as a dot with its interval, on a track from 0 to 1."""
    low, high = (100 * value for value in interval)
    return (
        '<span class="interval" aria-hidden="true">'
        f'<i class="range" style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
        f'<i class="dot" style="left:{100 * rate:.1f}%"></i></span>'
    )
