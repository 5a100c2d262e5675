"""The kinds of policies: `load_policy` turns a checkpoint directory into one of them.

A kind is a module with `load` and `describe`, imported when a checkpoint of it is met, so that a
policy without weights needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, cast

from robomamba_ros.common.documents import read_yaml
from robomamba_ros.common.memory import keep_freed_memory
from robomamba_ros.common.resources import find_file
from robomamba_ros.errors import CheckpointError, ConfigError, unknown_name
from robomamba_ros.policies.base import ChunkPolicy, LoadOptions, Policy
from robomamba_ros.policies.description import Description
from robomamba_ros.policies.location import checkpoint_directory

CONFIG = 'config.yaml'
# The value of `policy` in config.yaml, and the module that knows this kind.
KINDS = {
    'anolevla': 'robomamba_ros.policies.anolevla.checkpoint',
    'robomamba': 'robomamba_ros.policies.robomamba.checkpoint',
    'scripted': 'robomamba_ros.policies.scripted',
    'remote': 'robomamba_ros.policies.remote.policy',
    'lerobot': 'robomamba_ros.policies.lerobot.policy',
}
# Those whose `infer` gives a chunk.
CHUNK_KINDS = ('anolevla', 'scripted', 'remote', 'lerobot')


def load_policy(
    directory: str | Path,
    *,
    device: str = 'cpu',
    dtype: str = 'auto',
    cache: str = 'auto',
    threads: int = 1,
    instructions: str = 'auto',
) -> Policy:
    """Return the policy in a checkpoint directory or of a name in models/; see LoadOptions.

    The process keeps what it frees from then on: a forward pass takes the same memory every time.
    Raises CheckpointError and ConfigError with everything that does not fit, BackendError for a
    device or package that is missing.
    """
    folder = checkpoint_directory(str(directory))
    options = LoadOptions(device, dtype, cache, threads, instructions)
    policy: Policy = _load(folder, _read_kind(folder / CONFIG), options)
    return policy


def load_chunk_policy(directory: str | Path, options: LoadOptions) -> ChunkPolicy:
    """Return what load_policy returns, of the kinds that can run a robot step by step.

    Raises ConfigError for another kind before its weights are read, and what load_policy raises.
    """
    folder = checkpoint_directory(str(directory))
    return cast(ChunkPolicy, _load(folder, _chunk_kind(folder), options))


def require_chunks(directory: str | Path) -> None:
    """Raise ConfigError for a policy that cannot run a robot step by step; reads no weights."""
    _chunk_kind(checkpoint_directory(str(directory)))


def _chunk_kind(directory: Path) -> str:
    kind = _read_kind(directory / CONFIG)
    if kind not in CHUNK_KINDS:
        raise ConfigError(
            f"'{directory}' is a policy of the kind '{kind}': it gives end-effector targets and "
            f'answers, not chunks of actions. Give one of the kinds {", ".join(CHUNK_KINDS)}, or '
            'call this one from Python by load_policy.'
        )
    return kind


def describe_policy(name: str) -> Description:
    """Return what a policy is and costs: a checkpoint, or a file of config/policies.

    Raises CheckpointError and ConfigError.
    """
    path = _config_file(name)
    description: Description = import_module(KINDS[_read_kind(path)]).describe(path)
    return description


def _config_file(name: str) -> Path:
    try:
        return checkpoint_directory(name) / CONFIG
    except CheckpointError as no_checkpoint:
        try:
            return find_file('policies', name)
        except ConfigError as no_file:
            raise ConfigError(f'{no_checkpoint}; {no_file}') from no_file


def _load(folder: Path, kind: str, options: LoadOptions) -> Any:
    keep_freed_memory()
    return import_module(KINDS[kind]).load(folder, options)


def _read_kind(path: Path) -> str:
    if not path.exists():
        raise CheckpointError(
            f"'{path.parent}' is not a checkpoint: it lacks {path.name}. Give a directory written "
            'by robomamba train or assemble, or one under models/.'
        )
    try:
        document, _ = read_yaml(path)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    kind = document.get('policy') if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise CheckpointError(f'{path}: {unknown_name("policy", str(kind)[:80], KINDS)}')
    return kind
