"""Turns a run's report into one HTML page."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path

import cv2
import numpy as np

from robomamba_ros.errors import DataError
from robomamba_ros.evaluation.statistics import SuccessRate, percentiles
from robomamba_ros.reports.charts import (
    Line,
    common_span,
    histogram,
    interval_bar,
    milliseconds,
    time_chart,
)
from robomamba_ros.reports.data import EpisodeReport, Machine, RunReport
from robomamba_ros.types import Float64Array, UInt8Array

INLINE_VIDEO_BYTES = 3_000_000
LEAST_SPAN_M = 0.05
LATENCY_NAMES = {
    'inference': 'One inference',
    'observation_to_command': 'Observation to command',
}
# The page asks nobody for anything, and this makes the browser hold it to that.
CONTENT_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


def percent(rate: float) -> str:
    """Return a rate in 0..1 as whole percent."""
    return f'{100 * rate:.0f}\N{NARROW NO-BREAK SPACE}%'


def interval_text(rate: SuccessRate) -> str:
    """Return the interval as `low-high %`."""
    low, high = rate.interval
    return f'{100 * low:.0f}\N{EN DASH}{percent(high)}'


def _data_uri(kind: str, content: bytes) -> str:
    return f'data:{kind};base64,{base64.b64encode(content).decode("ascii")}'


def _jpeg(image: UInt8Array) -> str:
    done, encoded = cv2.imencode(
        '.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92]
    )
    if not done:
        raise DataError(f'an image of shape {image.shape} cannot be written as JPEG')
    return _data_uri('image/jpeg', encoded.tobytes())


def image_element(image: UInt8Array, alt: str) -> str:
    """Return an RGB image (h, w, 3) uint8 as an element of a page."""
    height, width = image.shape[:2]
    return f'<img src="{_jpeg(image)}" width="{width}" height="{height}" alt="{escape(alt)}">'


def _video(episode: EpisodeReport, folder: Path) -> str:
    path = episode.video
    if path is None:
        return ''
    if path.stat().st_size > INLINE_VIDEO_BYTES:
        link = escape(os.path.relpath(path, folder))
        return f'<p class="note"><a href="{link}">Video ({escape(path.name)})</a></p>'
    kind = {'.mp4': 'video/mp4', '.webm': 'video/webm'}.get(path.suffix)
    if kind is None:
        raise DataError(f"'{path.name}' is no video for a browser; valid: .mp4, .webm")
    source = _data_uri(kind, path.read_bytes())
    poster = f' poster="{_jpeg(episode.images[0][1])}"' if episode.images else ''
    return f'<video controls loop muted playsinline{poster} src="{source}"></video>'


def _filmstrip(episode: EpisodeReport) -> str:
    figures = (
        f'<figure>{image_element(image, f"{episode.task}, {label}")}'
        f'<figcaption>{escape(label)}</figcaption></figure>'
        for label, image in episode.images
    )
    return f'<div class="filmstrip">{"".join(figures)}</div>' if episode.images else ''


def _motion(episode: EpisodeReport) -> str:
    if len(episode.time) < 2:
        return ''
    axes = [np.stack([episode.commanded[:, i], episode.measured[:, i]]) for i in range(3)]
    spans = common_span(*axes, least=LEAST_SPAN_M)
    charts = [
        (
            f'{name} [m]',
            time_chart(
                f'{name} of the end effector, commanded and measured, over time',
                episode.time,
                [Line('commanded', axis[0]), Line('measured', axis[1])],
                span,
                episode.chunk_times,
            ),
        )
        for name, axis, span in zip('xyz', axes, spans, strict=True)
    ]
    charts.append(
        (
            'gripper opening, commanded',
            time_chart(
                'commanded gripper opening over time',
                episode.time,
                [Line('commanded', episode.gripper)],
                (-0.05, 1.05),
                episode.chunk_times,
            ),
        )
    )
    figures = ''.join(
        f'<figure><figcaption>{title}</figcaption>{chart}</figure>' for title, chart in charts
    )
    return (
        '<p class="legend"><span class="key commanded">commanded</span>'
        '<span class="key measured">measured</span><span class="key seam">a new chunk</span>'
        '<span class="note">end effector in the base frame over seconds; x, y and z share one '
        f'scale</span></p><div class="charts">{figures}</div>'
    )


def _outcome(success: bool) -> str:
    return (
        '<span class="outcome good">\N{CHECK MARK} success</span>'
        if success
        else '<span class="outcome bad">\N{MULTIPLICATION X} failed</span>'
    )


def _facts(episode: EpisodeReport) -> str:
    chunks = len(episode.chunk_times)
    facts = [f'seed {episode.seed}', f'{episode.steps} steps', f'{episode.sim_seconds:.1f} s']
    facts += [f'{chunks} chunks'] if chunks else []
    return f'<span class="facts">{" · ".join(facts)}</span>'


def _body(episode: EpisodeReport, folder: Path) -> str:
    return (
        f'<p class="instruction">\N{LEFT DOUBLE QUOTATION MARK}{escape(episode.instruction)}'
        '\N{RIGHT DOUBLE QUOTATION MARK}</p>'
        f'<div class="media">{_video(episode, folder)}{_filmstrip(episode)}</div>{_motion(episode)}'
    )


def _first_episode(episode: EpisodeReport, folder: Path) -> str:
    return (
        f'<section class="first"><h2>{escape(episode.task)} {_outcome(episode.success)}'
        f'{_facts(episode)}</h2>{_body(episode, folder)}</section>'
    )


def _more_episodes(episodes: tuple[EpisodeReport, ...], folder: Path) -> str:
    items = ''.join(
        f'<details><summary><span class="task">{escape(episode.task)}</span>'
        f'{_outcome(episode.success)}{_facts(episode)}</summary>{_body(episode, folder)}</details>'
        for episode in episodes
    )
    return f'<section><h2>More episodes</h2>{items}</section>' if items else ''


def _success_row(name: str, rate: SuccessRate) -> str:
    return (
        f'<tr><th scope="row">{escape(name)}</th>'
        f'<td class="number">{rate.successes}/{rate.trials}</td>'
        f'<td class="number">{percent(rate.rate)}</td>'
        f'<td class="wide">{interval_bar(rate.rate, rate.interval)}</td>'
        f'<td class="number">{interval_text(rate)}</td></tr>'
    )


def _success_table(run: RunReport) -> str:
    by_task = run.by_task
    rows = ''.join(_success_row(task, rate) for task, rate in by_task.items())
    total = _success_row('All episodes', run.total) if len(by_task) > 1 else ''
    mean = sum(rate.rate for rate in by_task.values()) / max(1, len(by_task))
    means = f'Mean of {len(by_task)} tasks: {percent(mean)}. ' if len(by_task) > 1 else ''
    note = f'<p class="note">{means}Intervals are 95 % Wilson score intervals.</p>'
    return (
        '<section><h2>Success</h2><table><thead><tr><th scope="col">Task</th>'
        '<th scope="col" class="number">Episodes</th><th scope="col" class="number">Rate</th>'
        '<th scope="col" class="wide"><span>0</span><span>100 %</span></th>'
        '<th scope="col" class="number">95 % interval</th></tr></thead>'
        f'<tbody>{rows}</tbody><tfoot>{total}</tfoot></table>{note}</section>'
    )


def latency_figure(title: str, samples: Float64Array) -> str:
    """Return the histogram of latencies (n,) [ms] with its percentiles in words."""
    spread = percentiles(samples)
    chart, beyond = histogram(f'histogram of {title.lower()} in milliseconds', samples)
    outside = f' {beyond} beyond the axis.' if beyond else ''
    return (
        f'<figure><figcaption>{escape(title)} [ms]</figcaption>{chart}'
        f'<p class="note">{spread.count} samples: p50 {milliseconds(spread.p50)}, '
        f'p90 {milliseconds(spread.p90)}, p99 {milliseconds(spread.p99)}, '
        f'maximum {milliseconds(spread.maximum)} ms.{outside}</p></figure>'
    )


def _latencies(run: RunReport) -> str:
    if not run.latencies:
        return ''
    charts = ''.join(
        latency_figure(LATENCY_NAMES[name], samples) for name, samples in run.latencies.items()
    )
    return f'<section><h2>Latency</h2><div class="charts">{charts}</div></section>'


def _headline(run: RunReport) -> str:
    total = run.total
    facts = [
        (percent(total.rate), 'success', f'{total.successes} of {total.trials} episodes'),
        (interval_text(total), '95 % interval', 'Wilson score'),
    ]
    for name, samples in run.latencies.items():
        spread = percentiles(samples)
        facts.append(
            (
                f'{spread.p50:.0f}\N{NARROW NO-BREAK SPACE}ms',
                LATENCY_NAMES[name].lower(),
                f'p50; p99 {spread.p99:.0f} ms',
            )
        )
    return headline(facts)


def headline(facts: list[tuple[str, str, str]]) -> str:
    """Return large figures side by side: (value as markup, label, detail) each."""
    cells = ''.join(
        f'<div><dt>{escape(label)}</dt><dd>{value}</dd><dd class="note">{escape(detail)}</dd></div>'
        for value, label, detail in facts
    )
    return f'<dl class="headline">{cells}</dl>'


def origin(command: str, machine: Machine, rows: Mapping[str, str]) -> str:
    """Return how a run was made: its command, `rows` of what it was given, and the machine."""
    rows = {
        **rows,
        'Processor': f'{machine.cpu}, {machine.cores} cores',
        'System': machine.system,
        'Versions': ', '.join(f'{name} {number}' for name, number in machine.versions.items()),
    }
    cells = ''.join(
        f'<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>'
        for name, value in rows.items()
    )
    return (
        '<section><h2>How it was made</h2>'
        f'<pre><code>{escape(command)}</code></pre><dl class="origin">{cells}</dl></section>'
    )


def document(title: str, byline: str, body: str) -> str:
    """Return a whole page with the house's style, from a title, a line below it, and markup."""
    style = (resources.files(__package__) / 'style.css').read_text()
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><style>{style}</style></head><body><main>'
        f'<header><h1>{escape(title)}</h1>'
        f'<p class="byline">{escape(byline)}</p></header>{body}</main></body></html>\n'
    )


def page(run: RunReport, folder: Path) -> str:
    """Return the page of a run; videos too large to inline are linked relative to `folder`."""
    first = _first_episode(run.episodes[0], folder) if run.episodes else ''
    rows = {'Policy': run.policy, **run.parameters}
    if run.start:
        rows['Start to first motion'] = run.start
    body = (
        f'{_headline(run)}{first}{_success_table(run)}{_latencies(run)}'
        f'{_more_episodes(run.episodes[1:], folder)}'
        f'{origin(run.command, run.machine, rows)}'
    )
    return document(run.title, f'{run.policy} · {run.created}', body)
