"""Checkpoints on the Hugging Face Hub, by names as `hf:owner/name@revision`.

What is on this machine is taken first: a robot that starts again runs what it ran before, without a
network. `HF_HUB_OFFLINE`, `HF_HOME` and `HF_TOKEN` mean what they mean to huggingface_hub.
"""

from __future__ import annotations

import re
from pathlib import Path

from robomamba_ros.errors import BackendError, CheckpointError

PREFIX = 'hf:'
# What checkpoints are made of. Pickles and code are not even downloaded.
FILES = ('*.yaml', '*.json', '*.safetensors', '*.md', 'LICENSE*')
_NAME = re.compile(r'(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?')


def hub_directory(name: str) -> Path:
    """Return the local snapshot of `hf:owner/name` or `hf:owner/name@revision`.

    revision: a branch, a tag or a commit; main where there is none. It is downloaded where this
    machine has no whole snapshot of it. Raises CheckpointError saying why there is none, and
    BackendError where huggingface_hub is missing.
    """
    found = _NAME.fullmatch(name.removeprefix(PREFIX))
    if found is None:
        raise CheckpointError(f"'{name}' is no name of the form hf:owner/name@revision")
    try:
        from huggingface_hub import constants, snapshot_download
    except ImportError as error:
        raise BackendError(
            f"'{name}' is found by the package huggingface_hub, which is not installed: pip "
            "install -e '.[hub]'"
        ) from error
    problem = ''
    for local in (True, False):
        try:
            snapshot = snapshot_download(
                found['repository'],
                revision=found['revision'],
                allow_patterns=list(FILES),
                local_files_only=local,
            )
            return Path(snapshot)
        # Its errors have no base of their own: of the network, of the cache, of the name.
        except Exception as error:
            problem = str(error).strip().split('\n')[0] or type(error).__name__
    remedy = (
        'unset HF_HUB_OFFLINE, or'
        if constants.HF_HUB_OFFLINE
        else 'check the name and the network, or'
    )
    raise CheckpointError(
        f"'{name}' is not on this machine and cannot be downloaded: {problem}; {remedy} download "
        'it elsewhere and give its directory'
    )
