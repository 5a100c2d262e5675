"""What the state files of both trainers have in common."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from robomamba_ros.errors import CheckpointError, RoboMambaError

STATE_FILE, CHECKPOINT = 'training_state.pt', 'checkpoint'


def is_begun(state: Path) -> bool:
    """Return whether a run has a state file, whatever is the matter with it.

    One that cannot be read must not let the run begin anew, over the checkpoint that is there.
    """
    return os.path.lexists(state)


@contextmanager
def restoring(path: Path, device: torch.device | str = 'cpu') -> Iterator[dict[str, Any]]:
    """Give what a state file holds; raises CheckpointError where it does not fit the run.

    Nothing of the run has been written by then.
    """
    try:
        if not path.is_file():
            raise OSError('it is no regular file')
        state = torch.load(path, map_location=device, weights_only=True)
        if not isinstance(state['step'], int) or state['step'] < 0:
            raise ValueError(f'step is {state["step"]!r:.40}')
        yield state
    except RoboMambaError:
        raise
    except Exception as error:  # a damaged pickle, or one of another network, raises anything
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())[:200]
        raise CheckpointError(
            f'{path} is damaged or not of this run ({reason}); copy it again, or begin another run '
            f'in another folder, from {path.parent / CHECKPOINT}, which nothing has touched'
        ) from error


def refuse_other_settings(
    path: Path, saved: Mapping[str, Any], now: Mapping[str, Any], may_change: Container[str] = ()
) -> None:
    """Raise CheckpointError with the settings in which a run differs from its state file."""
    changed = [name for name in now if name not in may_change and saved.get(name) != now[name]]
    if changed:
        raise CheckpointError(
            f'{path} was made with other settings of {", ".join(changed)}; give another output '
            'folder or the same settings'
        )
