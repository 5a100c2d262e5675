"""What checkpoint directories of all kinds of policy have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from robomamba_ros.common.files import all_written_whole
from robomamba_ros.common.machine import choose_dtype, compute_device
from robomamba_ros.errors import BackendError, CheckpointError, RoboMambaError

CONFIG, WEIGHTS = 'config.yaml', 'model.safetensors'
TOKENIZER, NORMALIZATION = 'tokenizer.json', 'normalization.json'


def require_files(folder: Path, *names: str) -> None:
    """Raise CheckpointError naming every file that the directory lacks."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"'{folder}' is not a whole checkpoint: it lacks {', '.join(missing)}. Give a "
            'directory written by robomamba train or assemble, or one under models/.'
        )


@contextmanager
def writing(folder: Path, *names: str) -> Iterator[tuple[Path, ...]]:
    """Give a path to write to for each file of a checkpoint; they appear when all are written.

    Raises CheckpointError where the disk does not take them: what was in `folder` stays.
    """
    try:
        with all_written_whole(folder, *names) as paths:
            yield paths
    except RoboMambaError:
        raise
    except Exception as error:  # the libraries that write raise a kind of their own each
        reason = str(error).partition('\n')[0]
        raise CheckpointError(
            f"'{folder}' cannot be written ({reason}); what was there stays. Free space, or choose "
            'another place'
        ) from error


def torch_device(name: str) -> torch.device:
    """Return the device called `name`; raises BackendError where this machine has none."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BackendError(f"'{name}' is not a device; give cpu, cuda or cuda:N") from error
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise BackendError(
            f"the device '{name}' was asked for and this PyTorch ({torch.__version__}) sees no "
            'GPU; install a CUDA build of torch or give device cpu'
        )
    return device


def compute_dtype(asked: str, device: torch.device, weights: Iterable[torch.Tensor]) -> torch.dtype:
    """Return the type in which the large weights compute, of those that LoadOptions names.

    weights: as they are stored; the small ones among them may be wider than the rest.
    """
    half = any(tensor.dtype == torch.bfloat16 for tensor in weights)
    preferred = 'bfloat16' if half else 'float32'
    chosen: torch.dtype = getattr(torch, choose_dtype(asked, compute_device(device), preferred))
    return chosen
