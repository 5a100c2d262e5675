from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from robomamba_ros import __version__
from robomamba_ros.cli import main as cli
from robomamba_ros.errors import ConfigError

HEAVY = ('torch', 'rclpy', 'mujoco', 'metaworld', 'numba', 'cv2', 'tokenizers')


def run_verb(monkeypatch: pytest.MonkeyPatch, run: Callable[[argparse.Namespace], int]) -> int:
    parser = argparse.ArgumentParser()
    parser.set_defaults(run=run, verb='try')
    monkeypatch.setattr(cli, 'build_parser', lambda: parser)
    return cli.main([])


def raises(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(_: argparse.Namespace) -> int:
        raise error

    return run


def test_every_verb_has_help_with_a_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in cli.VERBS:
        with pytest.raises(SystemExit) as done:
            cli.main([verb, '--help'])
        assert done.value.code == 0
        assert capsys.readouterr().out.startswith(f'usage: robomamba {verb}')


def test_no_verb_is_forgotten() -> None:
    modules = Path(cli.__file__).parent.glob('*.py')
    assert {m.stem for m in modules if 'def add_parser(' in m.read_text()} == set(cli.VERBS)


def test_help_loads_nothing_heavy() -> None:
    program = (
        'import sys\nfrom robomamba_ros.cli.main import build_parser\n'
        'build_parser().format_help()\n'
        f'print([name for name in {HEAVY!r} if name in sys.modules])'
    )
    done = subprocess.run(
        [sys.executable, '-c', program],
        capture_output=True,
        text=True,
        check=True,
        env={'PYTHONPATH': str(Path(cli.__file__).parents[2])},
    )
    assert done.stdout == '[]\n'


def test_a_shell_that_asks_is_told_what_may_come_next(tmp_path: Path) -> None:
    line = 'robomamba up --dry'
    asked = {
        '_ARGCOMPLETE': '1',
        '_ARGCOMPLETE_STDOUT_FILENAME': str(tmp_path / 'answer'),
        'COMP_LINE': line,
        'COMP_POINT': str(len(line)),
    }
    subprocess.run(
        [sys.executable, '-m', 'robomamba_ros'],
        check=True,
        env={'PYTHONPATH': str(Path(cli.__file__).parents[2]), **asked},
    )
    assert (tmp_path / 'answer').read_text() == '--dry-run '


def test_version_is_the_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(['--version'])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f'robomamba_ros {__version__}'
    assert [line[:14].strip() for line in lines] == [
        *('Python', 'processor', 'ROS', 'packages', 'not installed'),
    ]
    assert f'numpy {np.__version__}' in lines[3]


def test_the_verb_gives_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_verb(monkeypatch, lambda _: 7) == 7


def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verb(monkeypatch, raises(ConfigError("no arm 'pnada'"))) == 2
    assert capsys.readouterr() == ('', "robomamba try: no arm 'pnada'\n")


def test_a_missing_package_is_one_line_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verb(monkeypatch, raises(ModuleNotFoundError('no', name='torch'))) == 2
    assert "'torch' is not installed; pip install" in capsys.readouterr().err


def test_a_missing_module_of_our_own_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError):
        run_verb(monkeypatch, raises(ModuleNotFoundError('no', name='robomamba_ros.gone')))


def test_interrupt_gives_130(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_verb(monkeypatch, raises(KeyboardInterrupt())) == 130


def test_what_the_machine_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'missing/policy.xml'

    def write(_: argparse.Namespace) -> int:
        return path.write_text('x')

    def move(_: argparse.Namespace) -> int:
        (tmp_path / 'part').write_text('x')
        (tmp_path / 'part').replace(tmp_path)
        return 0

    assert run_verb(monkeypatch, write) == 2
    assert capsys.readouterr().err == f'robomamba try: {path}: No such file or directory\n'
    assert run_verb(monkeypatch, move) == 2
    assert f'robomamba try: {tmp_path}: ' in capsys.readouterr().err


def test_a_reader_that_has_gone_ends_the_command_quietly() -> None:
    words = [sys.executable, '-m', 'robomamba_ros', 'security', '--arm', 'ur5e']
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b''
    assert process.wait() == 1
    process.stderr.close()
