"""Writes the results of a replay as one self-contained HTML page."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from pathlib import Path

import numpy as np

from robomamba_ros.replay.charts import horizon, motion
from robomamba_ros.replay.report import ReplayReport
from robomamba_ros.reports.page import document, headline, image_element, latency_figure, origin
from robomamba_ros.types import NANOSECONDS

MOST_STALLS = 20
# (figure, what it means, factor, unit) of the table.
ROWS = (
    ('chunks', 'chunks predicted', 1.0, ''),
    ('refused_chunks', 'chunks refused by the controller', 1.0, ''),
    ('problems', 'messages and observations that could not be used', 1.0, ''),
    ('action_l1', 'difference of actions to the recorded motion, mean', 1.0, ''),
    ('position_error_m', 'distance to the recorded position, mean', 1e3, 'mm'),
    ('position_error_m.end', 'the same at the end of the horizon', 1e3, 'mm'),
    ('seam_jump_m.p50', 'jump at a seam, p50', 1e3, 'mm'),
    ('seam_jump_m.max', 'jump at a seam, largest', 1e3, 'mm'),
    ('trimmed_steps.mean', 'actions that had passed when a chunk came, mean', 1.0, ''),
    ('limited_share', 'setpoints changed by the limits', 100.0, '%'),
    ('stalls', 'stalls', 1.0, ''),
    ('stalled_share', 'time stalled', 100.0, '%'),
    ('first_command_s', 'until the first command', 1.0, 's'),
    ('observation_to_command_ms.p50', 'observation to command, p50', 1.0, 'ms'),
    ('observation_to_command_ms.p99', 'observation to command, p99', 1.0, 'ms'),
    ('restarts', 'times the clock jumped', 1.0, ''),
)


def write_page(path: Path, report: ReplayReport) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(report), encoding='utf-8')


def page(report: ReplayReport) -> str:
    """Return the page."""
    body = ''.join(
        (
            _headline(report),
            _thresholds(report),
            _filmstrip(report),
            motion(report),
            horizon(report),
            _figures(report),
            _ages(report),
            _stalls(report),
            _latencies(report),
            _problems(report),
            origin(report.command, report.machine, report.parameters),
        )
    )
    byline = f'{", ".join(policy.label for policy in report.policies)} · {report.created}'
    return document(report.title, byline, body)


def _headline(report: ReplayReport) -> str:
    facts = [
        (f'{report.bag["duration_s"]:.1f} s', 'recording', f'{report.bag["messages"]} messages')
    ]
    for policy in report.policies:
        label = f', {policy.label}' if len(report.policies) > 1 else ''
        error = policy.metrics['position_error_m']
        if math.isfinite(error):
            detail = 'mean over the horizon'
            facts.append((_number(1e3 * error, 'mm'), f'from the recorded path{label}', detail))
        else:
            detail = 'mean over steps and channels'
            value = _number(policy.metrics['action_l1'], '')
            facts.append((value, f'action difference{label}', detail))
    if report.verdicts:
        good = sum(not verdict.crossed for verdict in report.verdicts)
        outcome = (
            '<span class="good">passed</span>'
            if report.passed
            else ('<span class="bad">failed</span>')
        )
        facts.append((outcome, 'thresholds', f'{good} of {len(report.verdicts)} held'))
    return headline(facts)


def _thresholds(report: ReplayReport) -> str:
    if not report.verdicts:
        return ''
    rows = []
    for verdict in report.verdicts:
        kind, mark = ('bad', '✗ crossed') if verdict.crossed else ('good', '✓ held')
        rows.append(
            [
                f'<code>{escape(str(verdict.threshold))}</code>',
                escape(verdict.label),
                _number(verdict.value, ''),
                f'<span class="outcome {kind}">{mark}</span>',
            ]
        )
    table = _table(['Fails if', 'Policy', 'Measured', 'Outcome'], rows)
    return f'<section><h2>Thresholds</h2>{table}</section>'


def _filmstrip(report: ReplayReport) -> str:
    strips = []
    for policy in report.policies:
        strip = policy.replay.filmstrip
        start_ns = policy.replay.trace.start_ns
        figures = ''.join(
            f'<figure>{image_element(each.image, f"{each.camera} with the predicted path")}'
            f'<figcaption>{escape(each.camera)}, {(each.time_ns - start_ns) / NANOSECONDS:.1f} s'
            '</figcaption></figure>'
            for each in strip.images
        )
        name = f'<h3>{escape(policy.label)}</h3>' if len(report.policies) > 1 else ''
        notes = ''.join(f'<p class="note">{escape(note)}</p>' for note in strip.notes)
        strips.append(
            f'{name}<div class="filmstrip large">{figures}</div>{notes}' if figures else ''
        )
    if not any(strips):
        return ''
    return (
        f'<section><h2>What the policy saw, and where it would go</h2>{"".join(strips)}</section>'
    )


def _figures(report: ReplayReport) -> str:
    figures = [policy.metrics for policy in report.policies]
    channels = tuple(
        (f'action_l1.{name}', f'difference of {name}, mean', 1.0, '')
        for name in report.policies[0].names
    )
    rows = [
        [
            escape(text),
            f'<code>{key}</code>',
            *(_number(f * each.get(key, math.nan), u) for each in figures),
        ]
        for key, text, f, u in (*ROWS[:4], *channels, *ROWS[4:])
    ]
    head = ['', 'Figure', *(policy.label for policy in report.policies)]
    return f'<section><h2>Figures</h2>{_table(head, rows)}</section>'


def _ages(report: ReplayReport) -> str:
    policy = report.policies[0]
    figures = policy.metrics
    rows = [
        [
            escape(stream),
            *(_number(figures[f'age_ms.{stream}.{part}'], 'ms') for part in ('p50', 'p99', 'max')),
            _number(1e3 * budget, 'ms'),
        ]
        for stream, budget in policy.replay.budgets_s.items()
    ]
    table = _table(['Stream', 'Age, p50', 'p99', 'largest', 'Budget'], rows)
    note = '<p class="note">At every control period, of what had come by then.</p>'
    return f'<section><h2>Streams</h2>{table}{note}</section>'


def _stalls(report: ReplayReport) -> str:
    rows = [
        [
            escape(policy.label),
            _seconds(stall.start_ns - policy.replay.trace.start_ns),
            _seconds(stall.end_ns - stall.start_ns),
            escape('; '.join(stall.reasons)),
        ]
        for policy in report.policies
        for stall in policy.replay.trace.stalls
    ]
    if not rows:
        return ''
    table = _table(['Policy', 'At', 'For', 'Because'], rows[:MOST_STALLS])
    more = len(rows) - MOST_STALLS
    note = f'<p class="note">{more} more are in report.json.</p>' if more > 0 else ''
    return f'<section><h2>Stalls</h2>{table}{note}</section>'


def _latencies(report: ReplayReport) -> str:
    charts = ''.join(
        latency_figure(
            f'One inference, {policy.label}', 1e3 * np.array(policy.replay.trace.inference_s)
        )
        for policy in report.policies
    )
    note = (
        '<p class="note">Wall time of this run on this machine. Everything else on this page is '
        'the same at every replay.</p>'
    )
    return f'<section><h2>Latency</h2><div class="charts">{charts}</div>{note}</section>'


def _problems(report: ReplayReport) -> str:
    texts = list(report.bag['warnings'])
    for policy in report.policies:
        trace = policy.replay.trace
        for problems in (trace.remarks, trace.problems, trace.refused):
            texts += [f'{policy.label}: {problem}' for problem in problems.most_common(10)]
    if not texts:
        return ''
    items = ''.join(f'<li>{escape(text)}</li>' for text in texts)
    return f'<section><h2>Warnings</h2><ul>{items}</ul></section>'


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    cells = ''.join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = ''.join(f'<tr>{"".join(f"<td>{cell}</td>" for cell in row)}</tr>' for row in rows)
    return f'<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>'


def _seconds(time_ns: int) -> str:
    return f'{time_ns / NANOSECONDS:.2f}\N{NARROW NO-BREAK SPACE}s'


def _number(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return '–'
    text = f'{value:.0f}' if value == round(value) else f'{value:.3g}'
    return f'{text} {unit}'.rstrip()
