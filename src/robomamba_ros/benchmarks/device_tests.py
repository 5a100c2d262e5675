"""The tests of this repository that find their device: each file in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch

from robomamba_ros.benchmarks.device_rows import Rows

FILES = (
    'common/test_captured.py',
    'policies/test_contract.py',
    'policies/test_captured.py',
    'policies/robomamba/test_captured.py',
    'mamba/test_norm.py',
    'mamba/test_triton.py',
    'mamba/test_streaming.py',
    'mamba/test_conv.py',
    'mamba/test_scan.py',
)
# For one file [s]: kernels compile for each of its shapes.
LONGEST_S = 90.0
# Of a checkout; an installed package has none.
TESTS = Path(__file__).parents[3] / 'test'
COUNTS = re.compile(r'(\d+) (passed|failed|errors?|skipped)')


def count_failures(rows: Rows, device: torch.device, full: bool, folder: Path = TESTS) -> None:
    """Run them; the value of a row is how many failed. They find the device by themselves."""
    del device
    for name in FILES if full else FILES[:1]:
        run = partial(failures, folder / name)
        rows.add('test', name, run, 'failed', target=0.0)


def failures(path: Path) -> float:
    """Run the tests of a file; raises RuntimeError with their last lines where they do not end."""
    if not path.is_file():
        raise RuntimeError(f'{path} is not here: run this in a checkout, with pytest installed')
    # Other versions of libraries may warn of what the pinned ones do not.
    command = [sys.executable, '-m', 'pytest', '-q', '-W', 'default', '--tb=line', str(path)]
    try:
        done = subprocess.run(
            [*command, '-p', 'no:cacheprovider', '--disable-warnings'],
            cwd=path.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired as error:
        said = str(error.output)[-200:]
        raise RuntimeError(f'not at its end after {LONGEST_S:.0f} s: {said}') from None
    counts = {kind.rstrip('s'): int(n) for n, kind in COUNTS.findall(done.stdout[-300:])}
    print(done.stdout[-3000:], file=sys.stderr)
    if 'passed' not in counts and 'failed' not in counts:
        raise RuntimeError(f'exit status {done.returncode}: {done.stdout[-300:]}')
    return float(counts.get('failed', 0) + counts.get('error', 0))
