"""Where a checkpoint is: a directory, a name in models/, or a name on the Hugging Face Hub."""

from __future__ import annotations

import re
from pathlib import Path

from robomamba_ros.common.resources import share_directory
from robomamba_ros.errors import CheckpointError
from robomamba_ros.policies.hub import PREFIX, hub_directory

_COMMIT = re.compile(r'[0-9a-f]{40}')


def checkpoint_directory(name: str) -> Path:
    """Return `name` where it is a directory, else models/<name>, or what `hf:owner/name` names.

    Raises CheckpointError where there is none, BackendError where the Hub's package is missing.
    """
    given = Path(name)
    if name and given.is_dir():
        return given
    if name.startswith(PREFIX):
        return hub_directory(name)
    models = share_directory() / 'models'
    known = sorted(path.parent.name for path in models.glob('*/config.yaml'))
    if name in known:
        return models / name
    raise CheckpointError(
        f"there is no directory '{name}', and models/ has: {', '.join(known) or 'none'}; give the "
        'directory of a checkpoint, one of these, or hf:owner/name'
    )


def published_directory(source: str) -> Path:
    """Return where published weights are: a path as it is, or what `hf:owner/name` names.

    Raises what hub_directory raises.
    """
    return hub_directory(source) if source.startswith(PREFIX) else Path(source)


def checkpoint_name(folder: Path) -> str:
    """Return what a checkpoint in a directory is called: of the Hub, owner/name@commit."""
    if folder.parent.name == 'snapshots' and _COMMIT.fullmatch(folder.name):
        repository = folder.parents[1].name.removeprefix('models--').replace('--', '/', 1)
        return f'{repository}@{folder.name[:12]}'
    return folder.name
