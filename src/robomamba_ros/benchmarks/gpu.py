"""The first minutes of a device: `robomamba bench gpu --json FILE`.

Parity, tests and times, each part in a process of its own, so that what one does to the device or
to itself ends with it. Needs no network, and less than eight minutes on a large GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

from robomamba_ros.benchmarks.device_rows import LONGEST, Row, Rows, read_rows, table


@dataclass(frozen=True)
class Part:
    """module, function: (rows, device, full) of robomamba_ros.benchmarks. seconds: it may take."""

    module: str
    function: str
    seconds: float


# What matters most first: time may run out.
PARTS = {
    'machine': Part('device_kernels', 'machine', 60),
    'anolevla': Part('device_policies', 'anolevla', 120),
    'robomamba': Part('device_policies', 'robomamba', 150),
    'shipped': Part('device_policies', 'shipped', 60),
    'kernels': Part('device_kernels', 'kernels', 120),
    'tests': Part('device_tests', 'count_failures', 300),
}
SIZES = ('full', 'small')


def measure(part: str, device: str, size: str, path: Path) -> None:
    """Run a part in this process; its rows go to `path`."""
    import torch

    torch.set_num_threads(min(torch.get_num_threads(), 8))
    module = import_module(f'robomamba_ros.benchmarks.{PARTS[part].module}')
    function = getattr(module, PARTS[part].function)
    function(Rows(part, path), torch.device(device), size == 'full')


def run_alone(part: str, command: Sequence[str], path: Path, seconds: float) -> list[Row]:
    """Return the rows that a process wrote to `path`, with what it said on stderr.

    One more row where it did not end well.
    """
    said: str | bytes | None = None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=max(seconds, 1.0)
        )
        said = done.stderr
        problem = f'exit status {done.returncode}' if done.returncode else ''
    except subprocess.TimeoutExpired as error:
        said = error.stderr
        problem = f'not at its end after {seconds:.0f} s'
    except OSError as error:
        problem = str(error)
    rows = read_rows(path)
    # Warnings among it: that there is no graph, say, where a policy runs step by step.
    text = (said.decode(errors='replace') if isinstance(said, bytes) else said or '').strip()
    if problem:
        text = f'{problem}: {text}'
        rows.append(Row(part, 'fact', 'this part ended early', None, error=text[-LONGEST:]))
    elif text:
        rows.append(Row(part, 'fact', 'said', text[-10 * LONGEST :]))
    return rows


def run(device: str, size: str, parts: Sequence[str], minutes: float, json_path: Path) -> list[Row]:
    """Run parts one after the other; `json_path` has what is known after each of them."""
    end_s = time.monotonic() + 60.0 * minutes
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            path = Path(folder) / part
            own = ['--part', part, '--rows', str(path), '--device', device, '--size', size]
            seconds = min(PARTS[part].seconds, end_s - time.monotonic())
            began_s = time.monotonic()
            found = run_alone(part, [sys.executable, '-m', __spec__.name, *own], path, seconds)
            print(f'\n{part}, {time.monotonic() - began_s:.0f} s', flush=True)
            for row in found:
                print(row.line(), flush=True)
            rows += found
            document = {'device': device, 'size': size, 'rows': [asdict(row) for row in rows]}
            json_path.write_text(json.dumps(document, indent=1) + '\n', encoding='utf-8')
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every part; the exit code is 1 where a value is missing, or parity or a test failed."""
    parser = argparse.ArgumentParser(
        prog='robomamba bench gpu',
        description='Parity, tests and times on a GPU, in less than eight minutes.',
    )
    parser.add_argument('--device', default='cuda', help='cuda, cuda:N, or cpu to try it')
    parser.add_argument('--json', type=Path, default=Path('gpu.json'), help='written to')
    parser.add_argument('--size', choices=SIZES, default='full', help='small: random and tiny')
    parser.add_argument('--only', choices=PARTS, nargs='+', default=tuple(PARTS))
    parser.add_argument('--minutes', type=float, default=7.5, help='for all parts together')
    parser.add_argument('--part', choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument('--rows', type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        measure(options.part, options.device, options.size, options.rows)
        return 0
    from robomamba_ros.policies.checkpoint import torch_device

    torch_device(options.device)
    rows = run(options.device, options.size, options.only, options.minutes, options.json)
    print(f'\n{table(rows)}\n\nall of it: {options.json}')
    wrong = [row for row in rows if row.verdict == 'failed']
    wrong += [r for r in rows if r.kind in ('parity', 'test') and r.verdict == 'missed']
    for row in wrong:
        print(f'{row.part}: {row.line().strip()}', file=sys.stderr)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
