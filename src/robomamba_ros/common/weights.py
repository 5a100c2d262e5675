"""Reads the weights and configuration of published models, and fits weights to a module.

Nothing in a file is executed: safetensors, or pickles read with weights_only=True.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from robomamba_ros.common import documents
from robomamba_ros.errors import CheckpointError

WEIGHTS, INDEX, PICKLE = 'model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin'
# Of an index of thousands of tensors. How many times its size weights may unpack to: packed floats
# are hardly smaller. How many problems are told.
JSON_MEGABYTES, UNPACKED, PROBLEMS = 16, 20, 50


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
    try:
        with _WriteNothing():
            yield
    except (RuntimeError, MemoryError, TypeError) as error:
        # torch says it in three ways: no memory, no such size, no such number.
        reason = str(error).partition('\n')[0][:160]
        raise CheckpointError(
            f'a network of these sizes cannot be made on this machine ({reason}); correct the '
            'sizes in the configuration'
        ) from error


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
    records: Counter[int] | None = None
    try:
        mapped = zipfile.is_zipfile(path)
        if mapped:
            records, mapped = _records(path)
        found = torch.load(path, map_location='cpu', weights_only=True, mmap=mapped)
    except CheckpointError:
        raise
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
    if records is not None:
        # Mapped memory goes on behind a record that is shorter than its tensor.
        storages = {x.untyped_storage().data_ptr(): x.untyped_storage() for x in found.values()}
        if Counter(x.nbytes() for x in storages.values() if x.nbytes()) - records:
            raise CheckpointError(f'{path} holds less than it says it does; copy it again')
    return found


def _records(path: Path) -> tuple[Counter[int], bool]:
    """Return the sizes of what a zip file holds, and whether it may be mapped: nothing is packed.

    torch.save never packs, but other tools do. Mapped, packed bytes would be taken for weights.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    size = sum(entry.file_size for entry in entries)
    if size > UNPACKED * path.stat().st_size + (1 << 20):
        raise CheckpointError(
            f'{path} would unpack to {size >> 20} MiB, which weights never do; get the {WEIGHTS} '
            'of this model'
        )
    plain = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    return Counter(entry.file_size for entry in entries), plain


def read_json(path: Path, owner: str) -> dict[str, Any]:
    """Return the keys of a JSON file; `owner` says in an error whose directory is needed."""
    if not path.exists():
        raise CheckpointError(
            f'{path} is missing; give the directory of {owner} with its {path.name}'
        )
    raw = documents.read_json(path, megabytes=JSON_MEGABYTES, error=CheckpointError)
    if not isinstance(raw, dict):
        raise CheckpointError(f'{path} must hold keys and values')
    return raw


def fit_weights(
    module: nn.Module, found: Mapping[str, Tensor], source: str, described_in: str
) -> None:
    """Put `found` into a module in the place of its tensors, in the types that they have.

    Raises CheckpointError with every missing, extra and mis-shaped tensor at once; `source` and
    `described_in` name in it the file and where the sizes come from.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    problems = misfits(found, expected)
    if len(problems) > PROBLEMS:
        problems[PROBLEMS:] = [f'and {len(problems) - PROBLEMS} more']
    if problems:
        raise CheckpointError(f'{source} does not fit {described_in}:\n  ' + '\n  '.join(problems))
    module.load_state_dict(found, assign=True)


def misfits(found: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return a line for each tensor that is missing, extra, mis-shaped or not floating point.

    expected: the shape of every tensor by name.
    """
    problems = []
    for name, shape in expected.items():
        if name not in found:
            problems.append(f'{name}: missing, expected {shape}')
        elif tuple(found[name].shape) != shape:
            problems.append(f'{name}: shape {tuple(found[name].shape)}, expected {shape}')
        elif not found[name].is_floating_point():
            problems.append(f'{name}: {found[name].dtype}, expected a floating type')
    return problems + [f'{name}: not part of this model' for name in found if name not in expected]


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
