from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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


def test_version_is_the_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(['--version'])
    assert capsys.readouterr().out == f'robomamba_ros {__version__}\n'


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
