"""The state of a run that cannot be what was saved is one line, whatever it is instead."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robomamba_ros.errors import CheckpointError
from robomamba_ros.training.shared.checkpointing import STATE_FILE, is_begun, restoring


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.save({'step': 3, 'network': {'a': torch.zeros(4)}}, tmp_path / STATE_FILE)
    return tmp_path / STATE_FILE


def restore(path: Path) -> int:
    with restoring(path) as state:
        torch.nn.Linear(2, 2, bias=False).load_state_dict(
            {'weight': state['network']['a'].reshape(2, 2)}
        )
        return int(state['step'])


def test_what_was_saved_is_given(path: Path) -> None:
    assert is_begun(path)
    assert restore(path) == 3


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'<html>404</html>',
        {'step': 3},
        [1, 2],
        {'step': -3, 'network': {'a': torch.zeros(4)}},
        {'step': 'many', 'network': {'a': torch.zeros(4)}},
        {'step': 3, 'network': {'a': torch.zeros(5)}},
        {'step': 3, 'network': None},
    ],
)
def test_anything_else_is_one_line_and_stays(path: Path, content: object) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match='is damaged or not of this run') as error:
        restore(path)
    assert '\n' not in str(error.value)
    assert str(path.parent / 'checkpoint') in str(error.value)
    assert path.read_bytes() == before


def test_a_state_that_is_cut_off_is_damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match='is damaged or not of this run'):
        restore(path)


def test_a_folder_or_a_link_that_leads_nowhere_is_no_fresh_start(tmp_path: Path) -> None:
    assert not is_begun(tmp_path / STATE_FILE)
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'link').symlink_to('gone')
    for name in ('folder', 'link'):
        assert is_begun(tmp_path / name)
        with pytest.raises(CheckpointError, match='it is no regular file'):
            restore(tmp_path / name)
