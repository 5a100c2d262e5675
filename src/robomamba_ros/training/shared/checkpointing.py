"""What the state files of both trainers have in common."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from robomamba_ros.errors import CheckpointError

STATE_FILE, CHECKPOINT = 'training_state.pt', 'checkpoint'


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
