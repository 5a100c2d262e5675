from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.html_page import read_page

from robomamba_ros.errors import DataError
from robomamba_ros.reports import page as report_page
from robomamba_ros.reports.charts import (
    Line,
    common_span,
    histogram,
    labels,
    milliseconds,
    ticks,
    time_chart,
)
from robomamba_ros.reports.report import (
    EpisodeReport,
    Machine,
    RunReport,
    this_machine,
    write_json,
    write_report,
)


def episode(task: str, seed: int, success: bool) -> EpisodeReport:
    time = np.arange(40) * 0.0125
    commanded = np.stack([0.1 * time, 0.6 + 0 * time, 0.2 - 0.05 * time], axis=1)
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    image[..., 0] = 200
    return EpisodeReport(
        task=task,
        instruction='open the <drawer> & wait',
        seed=seed,
        success=success,
        steps=40,
        sim_seconds=0.5,
        images=(('0.0 s', image), ('0.5 s', image)),
        time=time,
        commanded=commanded,
        measured=commanded - 0.001,
        gripper=np.ones(40),
        chunk_times=np.array([0.0, 0.125, 0.25, 0.375]),
    )


@pytest.fixture
def run() -> RunReport:
    return RunReport(
        title='A run <script>alert(1)</script>',
        machine=Machine('Test CPU', 2, 'Linux x86_64', {'python': '3.11.7'}),
        command='robomamba demo --task drawer-open',
        created='2026-01-02T03:04:05Z',
        policy='scripted',
        parameters={'executed steps': '10 of 50'},
        episodes=(
            episode('drawer-open', 0, True),
            episode('drawer-open', 1, False),
            episode('door-open', 0, True),
        ),
        inference_ms=np.linspace(20.0, 30.0, 101),
        start_s={'policy loaded': 2.25, 'first motion': 1.5},
    )


def test_page_is_one_well_formed_file_that_asks_for_nothing(run: RunReport, tmp_path: Path) -> None:
    write_report(tmp_path / 'new folder' / 'report.html', run)
    tags = read_page(tmp_path / 'new folder' / 'report.html')
    assert all(link.startswith('data:image/jpeg;base64,') for link in tags.links)
    assert len(tags.links) == 6
    assert 'script' not in tags.names
    assert 'A run <script>alert(1)</script>' in tags.text
    assert '“open the <drawer> & wait”' in tags.text
    assert 'url(' not in tags.text
    assert '@import' not in tags.text


def test_page_states_what_happened(run: RunReport, tmp_path: Path) -> None:
    write_report(tmp_path / 'report.html', run)
    text = read_page(tmp_path / 'report.html').text.replace('\N{NARROW NO-BREAK SPACE}', ' ')
    assert '67 %' in text
    assert '2 of 3 episodes' in text
    assert 'Mean of 2 tasks: 75 %' in text
    assert '101 samples: p50 25.0, p90 29.0, p99 29.9, maximum 30.0 ms.' in text
    assert 'robomamba demo --task drawer-open' in text
    assert '3.8 s (policy loaded 2.2 s, first motion 1.5 s)' in text
    assert text.count('✓ success') == 2
    assert text.count('✕ failed') == 1


def test_inlined_images_keep_their_colours(run: RunReport, tmp_path: Path) -> None:
    write_report(tmp_path / 'report.html', run)
    found = re.search('data:image/jpeg;base64,([^"]+)', (tmp_path / 'report.html').read_text())
    assert found
    image = cv2.imdecode(np.frombuffer(base64.b64decode(found[1]), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image.shape == (48, 64, 3)
    assert image.reshape(-1, 3).mean(axis=0) == pytest.approx([200, 0, 0], abs=3)


def test_small_videos_are_inlined_and_large_ones_linked(
    run: RunReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = tmp_path / 'videos' / 'drawer.mp4'
    video.parent.mkdir()
    video.write_bytes(b'four')
    shown = replace(run, episodes=(replace(run.episodes[0], images=(), video=video),))
    write_report(tmp_path / 'report.html', shown)
    assert read_page(tmp_path / 'report.html').links == ['data:video/mp4;base64,Zm91cg==']
    monkeypatch.setattr(report_page, 'INLINE_VIDEO_BYTES', 3)
    write_report(tmp_path / 'report.html', shown)
    assert read_page(tmp_path / 'report.html').links == ['videos/drawer.mp4']


def test_run_without_episodes_latencies_or_motion_is_still_a_page(
    run: RunReport, tmp_path: Path
) -> None:
    bare = EpisodeReport('reach', 'reach the goal', 3, True, 12, 0.15)
    for episodes in ((), (bare,)):
        write_report(
            tmp_path / 'report.html',
            replace(run, episodes=episodes, inference_ms=np.zeros(0)),
        )
        assert 'svg' not in read_page(tmp_path / 'report.html').names


def test_json_has_the_numbers(run: RunReport, tmp_path: Path) -> None:
    write_json(tmp_path / 'report.json', run)
    read = json.loads((tmp_path / 'report.json').read_text())
    assert read['start_s'] == run.start_s
    assert read['success']['total']['successes'] == 2
    assert read['success']['mean_of_tasks'] == pytest.approx(0.75)
    assert read['success']['by_task']['drawer-open']['interval_95'] == pytest.approx(
        [0.0945, 0.9055], abs=1e-4
    )
    assert read['latency_ms']['inference']['p50'] == pytest.approx(25.0)
    assert 'observation_to_command' not in read['latency_ms']
    assert [e['chunks'] for e in read['episodes']] == [4, 4, 4]


def test_motion_of_unequal_length_is_refused() -> None:
    with pytest.raises(DataError, match=r"'reach' seed 3: measured has shape \(4, 3\), 5 times"):
        EpisodeReport(
            'reach', '', 3, True, 5, 0.1,
            time=np.arange(5.0), commanded=np.zeros((5, 3)), measured=np.zeros((4, 3)),
            gripper=np.zeros(5),
        )  # fmt: skip


def test_this_machine_names_its_versions() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.cpu
    assert machine.versions['numpy'] == np.__version__


def test_ticks_are_round_and_inside() -> None:
    assert ticks(-0.12, 0.13, 4) == pytest.approx([-0.1, 0.0, 0.1])
    assert labels(ticks(0.0, 1.0, 4)) == ['0.00', '0.25', '0.50', '0.75', '1.00']
    assert labels([-0.1, 0.0]) == ['\N{MINUS SIGN}0.1', '0.0']
    assert labels([0.0, 0.00025]) == ['0.00000', '0.00025']


def test_axes_of_motion_share_one_scale() -> None:
    spans = common_span(np.array([0.0, 0.2]), np.array([1.0, 1.01]), least=0.05)
    assert [high - low for low, high in spans] == pytest.approx([0.22, 0.22])
    assert [(high + low) / 2 for low, high in spans] == pytest.approx([0.1, 1.005])


def test_lines_and_seams_lie_where_the_values_are() -> None:
    chart = time_chart(
        'x', np.array([0.0, 1.0, 2.0]), [Line('commanded', np.array([0.0, np.nan, 1.0]))],
        (0.0, 1.0), np.array([1.0, 9.0]),
    )  # fmt: skip
    assert 'points="48.0,144.0 448.0,10.0"' in chart
    assert re.findall('class="seam" x1="([0-9.]+)"', chart) == ['248.0']


def test_a_stall_does_not_flatten_the_histogram() -> None:
    samples = np.append(np.full(999, 20.0), 500.0)
    chart, beyond = histogram('latency', samples)
    assert beyond == 1
    assert '>p50 20.0<' in chart
    assert chart.count('class="bar"') == 1


def test_times_keep_what_can_be_read_of_them() -> None:
    assert [milliseconds(value) for value in (885.13, 7.14, 0.0483)] == ['885.1', '7.1', '0.048']
