"""The first minutes of a GPU, on the CPU: nothing but the device changes."""

import json
import sys

import pytest
import torch

from robomamba_ros.benchmarks import device_kernels, device_policies, device_tests, gpu
from robomamba_ros.benchmarks.device_rows import Row, Rows, read_rows, table
from robomamba_ros.cli.main import main

pytest.importorskip('transformers', reason='SigLIP and CLIP need transformers')

CPU = torch.device('cpu')


def measured(part, path, device=CPU):
    part(Rows('part', path), device, False)
    return read_rows(path)


def test_every_part_gives_a_value_for_every_row_and_parity_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(device_kernels, 'LENGTHS', (1, 17))
    parts = (device_kernels.kernels, device_policies.anolevla, device_policies.robomamba)
    rows = [row for part in parts for row in measured(part, tmp_path / part.__name__)]
    assert [row for row in rows if row.verdict == 'failed'] == []
    parity = [row for row in rows if row.kind == 'parity']
    assert len(parity) > 15
    assert {row.verdict for row in parity} == {'ok'}
    times = [row for row in rows if row.kind == 'time']
    assert all(row.value > 0 for row in times)
    printed = table(rows)
    for name in ('anolevla-467m, a chunk', 'pose, new image', 'pose, same image', 'a token'):
        assert name in printed


def test_parity_fails_where_a_backend_is_wrong(tmp_path, monkeypatch):
    right = device_kernels.selective_scan

    def wrong(*args, backend, **inputs):
        y, state = right(*args, backend=backend, **inputs)
        return (y, state) if backend == 'reference' else (y * 1.01, state)

    monkeypatch.setattr(device_kernels, 'selective_scan', wrong)
    monkeypatch.setattr(device_kernels, 'LENGTHS', (1, 2))
    rows = [
        row for row in measured(device_kernels.kernels, tmp_path / 'rows') if 'scan' in row.name
    ]
    assert {row.verdict for row in rows if row.kind == 'parity'} == {'missed'}


def test_an_error_is_the_row_and_the_part_goes_on(tmp_path):
    rows = Rows('part', tmp_path / 'rows')
    rows.add('time', 'broken', lambda: 1 / 0, 'ms', target=1.0)
    rows.add('time', 'right', lambda: 2.0, 'ms', target=1.0, limit=0.5)
    broken, right = read_rows(tmp_path / 'rows')
    assert (broken.value, broken.verdict, right.verdict) == (None, 'failed', 'missed')
    assert 'ZeroDivisionError: division by zero' in broken.line()
    assert '| broken | failed | 1 |  |' in table([broken, right])
    assert '| right | **2** | 1 | 0.5 |' in table([broken, right])


WRITE = """
import os, sys, time
from pathlib import Path
from robomamba_ros.benchmarks.device_rows import Rows
Rows('part', Path(sys.argv[1])).add('fact', 'before', lambda: 1.0)
print('no CUDA graph', file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize(
    ('end', 'seconds', 'said'),
    [
        ('os.abort()', 60.0, 'exit status -6: no CUDA graph'),
        ('time.sleep(600)', 3.0, 'not at its end after 3 s'),
        ('', 60.0, None),
    ],
)
def test_what_a_part_knew_before_its_process_died_is_kept(tmp_path, end, seconds, said):
    path = tmp_path / 'rows'
    command = [sys.executable, '-c', WRITE + end, str(path)]
    rows = gpu.run_alone('part', command, path, seconds)
    if said is None:
        assert [row.value for row in rows] == [1.0, 'no CUDA graph']
        return
    if 'not at' in said:
        # A slow machine may not even have begun.
        rows = rows[-1:]
    assert said in rows[-1].error
    assert rows[-1].verdict == 'failed'


def test_failing_tests_are_counted_and_what_cannot_run_says_so(tmp_path, monkeypatch):
    # What pytest finds installed takes it seconds to load.
    monkeypatch.setenv('PYTEST_DISABLE_PLUGIN_AUTOLOAD', '1')
    path = tmp_path / 'test_some.py'
    path.write_text('def test_a(): pass\ndef test_b(): assert 0\n')
    assert device_tests.failures(path) == 1
    path.write_text('import nothing_of_this_name\n')
    with pytest.raises(RuntimeError, match='nothing_of_this_name'):
        device_tests.failures(path)
    with pytest.raises(RuntimeError, match='run this in a checkout'):
        device_tests.failures(tmp_path / 'none.py')
    assert all((device_tests.TESTS / name).is_file() for name in device_tests.FILES)


def test_the_command_writes_what_it_prints(tmp_path, monkeypatch, capsys):
    def in_this_process(part, command, path, seconds):
        assert command[:3] == [sys.executable, '-m', 'robomamba_ros.benchmarks.gpu']
        assert gpu.main(command[3:]) == 0
        return read_rows(path)

    # Processes of their own are tested above; each would import torch once more.
    monkeypatch.setattr(gpu, 'run_alone', in_this_process)
    path = tmp_path / 'gpu.json'
    arguments = ['bench', '--device', 'cpu', '--json', str(path)]
    assert main([*arguments, 'gpu', '--size', 'small', '--only', 'machine']) == 0
    found = json.loads(path.read_text())
    rows = [Row(**row) for row in found['rows']]
    assert found['device'] == 'cpu'
    assert {'device', 'reading memory', 'a launch in a graph'} <= {row.name for row in rows}
    printed = capsys.readouterr().out
    assert all(row.line() in printed for row in rows)


def test_a_benchmark_is_named_or_a_device(monkeypatch, capsys):
    given = []
    monkeypatch.setattr(gpu, 'main', lambda arguments: given.append(arguments) or 0)
    assert main(['bench', '--device', 'cuda', '--json', 'x.json']) == 0
    assert given == [['--device', 'cuda', '--json', 'x.json']]
    assert main(['bench']) == main(['bench', '--device', 'cuda', 'scan']) == 2
    said = capsys.readouterr().err
    assert 'name a benchmark: scan, policies' in said
    assert "'scan' has options of its own" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
def test_without_a_gpu_one_line_says_so(tmp_path, capsys):
    path = tmp_path / 'gpu.json'
    assert main(['bench', 'gpu', '--json', str(path)]) == 2
    assert "the device 'cuda' was asked for" in capsys.readouterr().err
    assert not path.exists()
