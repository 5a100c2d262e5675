"""The charts of a replay's page: motion over time, error by horizon step."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from robomamba_ros.replay.report import PolicyReport, ReplayReport
from robomamba_ros.reports.charts import Line, common_span, time_chart
from robomamba_ros.types import GRIPPER_NAME, NANOSECONDS, Float64Array

# One style for each policy; more share the last one.
STYLES = ('commanded', 'second')
MOST_POINTS, MOST_SEAMS = 3000, 100
PANELS = ('x [m]', 'y [m]', 'z [m]', 'opening')
LEAST_SPAN_M = 0.05
NOTHING = np.zeros(0)


def motion(report: ReplayReport) -> str:
    """Return the recorded motion with the predicted one beside it, over time."""
    states = _thin(report.policies[0].replay.trace.states())
    if len(states) < 2:
        return ''
    time = states[:, 0]
    predicted = [_predicted(policy) for policy in report.policies]
    # More ticks than this would hide the lines.
    only = predicted[0] if len(predicted) == 1 and len(predicted[0]) <= MOST_SEAMS else []
    seams = np.array([rows[0, 0] for rows in only])
    drawn = [states, *(rows for chunks in predicted for rows in chunks)]
    groups = [np.concatenate([rows[:, i] for rows in drawn]) for i in (1, 2, 3)]
    spans = [*common_span(*groups, least=LEAST_SPAN_M), (-0.05, 1.05)]
    charts = []
    for i, (name, span) in enumerate(zip(PANELS, spans, strict=True), start=1):
        lines = [
            Line(_style(number), rows[:, i], rows[:, 0])
            for number, chunks in enumerate(predicted)
            for rows in chunks
        ]
        lines.append(Line('measured', states[:, i]))
        chart = time_chart(f'{name}, recorded and predicted, over time', time, lines, span, seams)
        charts.append(f'<figure><figcaption>{name}</figcaption>{chart}</figure>')
    note = (
        'end effector in the base frame over seconds; each chunk from the recorded pose at its '
        'stamp, until the next one is due'
    )
    seam = '<span class="key seam">a new chunk</span>' if len(seams) else ''
    return (
        f'<section><h2>Motion</h2>{_legend(report, recorded=True, more=seam, note=note)}'
        f'<div class="charts">{"".join(charts)}</div></section>'
    )


def _predicted(policy: PolicyReport) -> list[Float64Array]:
    """Return (s, 5) for each chunk: time [s], x, y, z, opening; fewer chunks of a long replay."""
    motions, start_ns = policy.replay.comparison.motions, policy.replay.trace.start_ns
    points = sum(len(motion.time_ns) for motion in motions)
    return [
        np.column_stack(
            [
                (np.array(motion.time_ns) - start_ns) / NANOSECONDS,
                motion.predicted,
                motion.opening,
            ]
        )
        for motion in motions[:: math.ceil(points / MOST_POINTS) or 1]
    ]


def horizon(report: ReplayReport) -> str:
    """Return how far predictions are from the recording at each step of the horizon."""
    names = report.policies[0].names
    shared = [n for n in names if all(n in policy.names for policy in report.policies)]
    charts = []
    ways = [policy.replay.comparison.position_errors for policy in report.policies]
    if any(np.isfinite(way).any() for way in ways):
        charts.append(_step_chart('position, distance [mm]', [1e3 * way for way in ways]))
    for name in shared:
        lines = [p.replay.comparison.errors[:, p.names.index(name)] for p in report.policies]
        unit = '' if name == GRIPPER_NAME else ', in its own unit per step'
        charts.append(_step_chart(f'{name}{unit}', lines))
    note = 'mean absolute difference between predicted and recorded, over the steps of the horizon'
    return (
        f'<section><h2>Error by horizon step</h2>{_legend(report, recorded=False, note=note)}'
        f'<div class="charts">{"".join(charts)}</div></section>'
    )


def _step_chart(title: str, values: list[Float64Array]) -> str:
    longest = max(len(each) for each in values)
    steps = np.arange(1, longest + 1, dtype=np.float64)
    top = max((float(np.nanmax(v)) for v in values if np.isfinite(v).any()), default=0.0)
    lines = [Line(_style(number), each, steps[: len(each)]) for number, each in enumerate(values)]
    chart = time_chart(f'{title} by horizon step', steps, lines, (0.0, 1.1 * top or 1.0), NOTHING)
    return f'<figure><figcaption>{escape(title)}</figcaption>{chart}</figure>'


def _legend(report: ReplayReport, *, recorded: bool, note: str, more: str = '') -> str:
    keys = [
        f'<span class="key {_style(number)}">{escape(policy.label)}</span>'
        for number, policy in enumerate(report.policies)
    ]
    keys += ['<span class="key measured">recorded</span>'] if recorded else []
    return f'<p class="legend">{"".join(keys)}{more}<span class="note">{note}</span></p>'


def _style(number: int) -> str:
    return STYLES[min(number, len(STYLES) - 1)]


def _thin(rows: Float64Array) -> Float64Array:
    return rows[:: math.ceil(len(rows) / MOST_POINTS) or 1]
