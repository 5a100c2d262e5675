"""Reads the weights and configuration of published models, and fits weights to a module.

Nothing in a file is executed: safetensors, or pickles read with weights_only=True. Knows nothing
about particular models.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from robomamba_ros.errors import CheckpointError

WEIGHTS, INDEX, PICKLE = 'model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin'


# Methods that must do what they say: initialisers draw until they like what they drew.
_DONE = ('requires_grad_', 'normal_', 'uniform_')


class _WriteNothing(TorchFunctionMode):
    """Leaves out initialisers, and what changes tensors in place: PyTorch ends its name with _."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, '__name__', '')
        initialiser = getattr(func, '__module__', '') == 'torch.nn.init'
        in_place = name.endswith('_') and not name.startswith('_') and name not in _DONE
        if initialiser or in_place:
            return kwargs['tensor'] if kwargs and 'tensor' in kwargs else args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def uninitialised() -> Iterator[None]:
    """Make modules without filling their weights, which are about to be read.

    Memory that nobody writes to is not taken from the machine. The device `meta` would do the same
    but imports torch's compiler, and with it triton where that is installed: seconds, and a crash
    in a process that has loaded Mesa's LLVM to render in software.
    """
    with _WriteNothing():
        yield


def read_weights(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """Return the weights in a directory by name, and the file they came from.

    Looks for model.safetensors, its shards and their index, and pytorch_model.bin, in this order.
    Raises CheckpointError naming the file and the remedy.
    """
    readers: dict[str, Callable[[Path], dict[str, Tensor]]] = {
        WEIGHTS: read_safetensors,
        INDEX: _read_shards,
        PICKLE: read_pickle,
    }
    for name, read in readers.items():
        path = folder / name
        if path.is_file():
            return path, read(path)
    raise CheckpointError(
        f"'{folder}' has no weights; copy one of {', '.join(readers)} (with its shards) into it"
    )


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of one file, mapped into memory; raises CheckpointError."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f'{path} cannot be read ({error}); copy it again') from error


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Return the tensors of one file of torch.save, mapped into memory where it is a zip file.

    Raises CheckpointError for anything but names and tensors; no code in it is run.
    """
    try:
        mapped = zipfile.is_zipfile(path)
        found = torch.load(path, map_location='cpu', weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged or hostile pickle can raise anything
        reason = str(error).partition('\n')[0]
        raise CheckpointError(
            f'{path} is damaged, or holds more than tensors and was refused ({reason}); copy it '
            f'again, or get the {WEIGHTS} of this model'
        ) from error
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(x, Tensor) for name, x in found.items()
    ):
        raise CheckpointError(f'{path} must hold names and tensors; export the weights alone')
    return found


def read_json(path: Path, owner: str) -> dict[str, Any]:
    """Return the keys of a JSON file; `owner` says in an error whose directory is needed."""
    try:
        raw = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise CheckpointError(
            f'{path} is missing; give the directory of {owner} with its {path.name}'
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f'{path} is not valid JSON ({error}); copy it again') from error
    if not isinstance(raw, dict):
        raise CheckpointError(f'{path} must hold keys and values')
    return raw


def fit_weights(
    module: nn.Module, found: Mapping[str, Tensor], source: str, described_in: str
) -> None:
    """Put `found` into a module in the place of its tensors, in the types that they have.

    Raises CheckpointError with every missing, extra and mis-shaped
    tensor at once; `source` and `described_in` name in it the file and where the sizes come from.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    problems = [f'{name}: missing' for name in expected if name not in found]
    problems += [f'{name}: not part of this model' for name in found if name not in expected]
    problems += [
        f'{name}: shape {tuple(found[name].shape)}, expected {shape}'
        for name, shape in expected.items()
        if name in found and tuple(found[name].shape) != shape
    ]
    if problems:
        raise CheckpointError(f'{source} does not fit {described_in}:\n  ' + '\n  '.join(problems))
    module.load_state_dict(found, assign=True)


def _read_shards(path: Path) -> dict[str, Tensor]:
    places = read_json(path, 'a model').get('weight_map')
    if not isinstance(places, dict) or not all(isinstance(x, str) for x in places.values()):
        raise CheckpointError(f"{path} has no 'weight_map' of tensors and files; copy it again")
    shards = sorted(set(places.values()))
    outside = [name for name in shards if Path(name).name != name]
    if outside:
        raise CheckpointError(f'{path} names files outside its directory: {", ".join(outside)}')
    missing = [name for name in shards if not (path.parent / name).is_file()]
    if missing:
        raise CheckpointError(f'{path} names shards that are missing: {", ".join(missing)}')
    return {k: v for name in shards for k, v in read_safetensors(path.parent / name).items()}
