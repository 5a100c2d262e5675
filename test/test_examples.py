"""The examples of the documentation run, and say what they promise."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import robomamba_ros

REPOSITORY = Path(__file__).parents[1]
EXAMPLES = sorted((REPOSITORY / 'docs' / 'examples').glob('*.py'))
# What each prints last, with the numbers that follow from what it does.
LAST = {
    'drive_an_arm': r'z 0\.3000 m',
    'make_a_data_set': r'its image: \(64, 64, 3\) wave',
    'read_a_bag': r'0\.50 s  /instruction .*close the drawer',
    'run_a_policy': r'stamp 0\.25 s, first action \[',
    'write_a_policy': r'0\.80 s  -0\.005 m an action',
}


def run(program: list[str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *program],
        cwd=folder,
        env={
            **os.environ,
            'PYTHONPATH': str(REPOSITORY / 'src'),
            'OMP_NUM_THREADS': '1',
            'PYTHONWARNINGS': 'error',
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_leaves_nothing(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # In this process, which has imported torch already; the program of the README has its own.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.argv', [str(path)])
    runpy.run_path(str(path), run_name='__main__')
    output, errors = capsys.readouterr()
    assert errors == ''
    assert re.search(LAST[path.stem], output.splitlines()[-1]), output
    assert list(tmp_path.iterdir()) == []
    assert 20 <= len(path.read_text().splitlines()) <= 70


def test_the_first_program_of_the_readme_runs(tmp_path: Path) -> None:
    (program, *_) = re.findall(
        r'```python\n(.*?)```', (REPOSITORY / 'README.md').read_text(), re.DOTALL
    )
    assert run(['-c', program], tmp_path).startswith('(50, 4) actions of')


def test_every_public_name_is_there_and_none_is_loaded_before_it_is_used() -> None:
    for name in robomamba_ros.__all__:
        assert getattr(robomamba_ros, name) is not None
    assert set(robomamba_ros.__all__) <= set(dir(robomamba_ros))
    with pytest.raises(AttributeError, match=r'no attribute .gone.'):
        _ = robomamba_ros.gone
    program = (
        'import sys, robomamba_ros as rm\nrm.load_arm("ur5e"), rm.SetpointLoop, rm.PolicyLoop\n'
        'print([name for name in ("torch", "cv2", "mujoco", "rosbags") if name in sys.modules])'
    )
    assert run(['-c', program], REPOSITORY) == '[]\n'
