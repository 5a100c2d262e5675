"""Counts what a pass launches on a GPU, without one: `robomamba bench launches`.

Networks are made on the device `meta`: all code runs as on a GPU, and no number is computed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from robomamba_ros.benchmarks.robomamba import SIZES, random_network
from robomamba_ros.common.captured import Captured
from robomamba_ros.common.resources import find_file
from robomamba_ros.common.weights import uninitialised
from robomamba_ros.errors import BackendError
from robomamba_ros.mamba.packing import pack
from robomamba_ros.mamba.scan.dispatch import TRITON, available_backends
from robomamba_ros.policies.anolevla.captured import CapturedPass
from robomamba_ros.policies.anolevla.config import AnoleVLAConfig, read_config
from robomamba_ros.policies.anolevla.network import AnoleVLA
from robomamba_ros.policies.robomamba.captured import CapturedPasses
from robomamba_ros.vision.clip import ClipConfig

if TRITON in available_backends('cuda'):
    from robomamba_ros.mamba.triton.launch import COUNTED
else:
    COUNTED = Counter()

POLICIES = ('anolevla-467m', 'anolevla-mt50')
PRODUCTS = ('mm', 'addmm', 'bmm', 'baddbmm', 'addmv', 'mv')
# Operators that make a tensor or another view of one, and run nothing.
FREE = ('empty', 'new_empty', 'empty_like', 'empty_strided', 'detach', 'alias', '_unsafe_view')
# One kernel on a GPU, made of others elsewhere.
FUSED = ('scaled_dot_product_attention', 'rms_norm')


class Launches(TorchDispatchMode):
    """Counts kernels by name while the context lasts: one for each operator that moves numbers.

    Some operators take more than one; so this is the least that is launched. What waits for a
    number (`item`, `bool(tensor)`, `cpu`, `nonzero`) fails, as there is none on `meta`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._operators: Counter[str] = Counter()
        COUNTED.clear()

    @property
    def counts(self) -> Counter[str]:
        """Launches so far, by kernel."""
        return self._operators + COUNTED

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        composite = 'CompositeImplicitAutograd'
        if name not in FUSED and torch._C._dispatch_has_kernel_for_dispatch_key(
            func.name(), composite
        ):
            with self:
                return func.decompose(*args, **kwargs)
        if name not in FREE and not func.is_view:
            self._operators[name] += 1
        return func(*args, **kwargs)


@dataclass(frozen=True)
class Pass:
    """A pass over tensors without data, and what it launches by kernel."""

    name: str
    counts: Counter[str]

    @property
    def total(self) -> int:
        """Number of launches."""
        return sum(self.counts.values())


def anolevla_passes(config: AnoleVLAConfig) -> list[Pass]:
    """Return the passes of a policy, from frames on the host to actions there."""
    with uninitialised():
        network = AnoleVLA(config)
    large = torch.bfloat16 if config.language.project else torch.float32
    network.compute_in(large)
    network.to('meta').eval().requires_grad_(False).pack()
    passes = CapturedPass(network, streamed=False, keep=False)
    return _counted(passes.captured)


def robomamba_passes(clip: ClipConfig, d_model: int, n_layer: int) -> list[Pass]:
    """Return the passes of a RoboMamba in bfloat16 with the paper's head."""
    with uninitialised():
        network = random_network(clip, d_model, n_layer, 50_280, torch.bfloat16)
    network.to('meta')
    pack(network)
    return _counted(CapturedPasses(network, range(5)).captured)


def _counted(passes: Mapping[str, Captured]) -> list[Pass]:
    counted = []
    for name, captured in passes.items():
        with Launches() as launches:
            captured.start()
        counted.append(Pass(name, launches.counts))
    return counted


def print_passes(title: str, passes: Sequence[Pass]) -> None:
    """Print the launches of each pass: all, products of matrices, our own kernels, others."""
    print(f'\n{title}\n{"launches":28}{"all":>8}{"products":>10}{"Triton":>8}{"others":>8}')
    for each in passes:
        products = sum(each.counts[name] for name in PRODUCTS)
        ours = sum(count for name, count in each.counts.items() if '.' in name)
        others = each.total - products - ours
        print(f'  {each.name:26}{each.total:8}{products:10}{ours:8}{others:8}')


def print_kernels() -> None:
    """Print what each kernel takes on GPUs of several compute capabilities."""
    from robomamba_ros.mamba.triton.resources import ARCHITECTURES, INFERENCE, TRAINING, measure

    print(f'\n{"kernel":28}{"sm":>6}{"registers":>11}{"spilled B":>11}{"instructions":>14}')
    for architecture in ARCHITECTURES:
        for name, taken in measure((*INFERENCE, *TRAINING), architecture):
            print(
                f'  {name:26}{architecture:6}{taken.registers:11}{taken.spilled_bytes:11}'
                f'{taken.instructions:14}'
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog='robomamba bench launches',
        description='Count what a chunk, a pose and a token launch on a GPU, without one.',
    )
    parser.add_argument(
        '--kernels', action='store_true', help='compile each kernel too, and print what it takes'
    )
    options = parser.parse_args(arguments)
    if TRITON not in available_backends('cuda'):
        raise BackendError('without triton there is nothing to be counted: pip install triton')
    print('Launches of one pass, a copy to the GPU and one from it among them.')
    for name in POLICIES:
        print_passes(name, anolevla_passes(read_config(find_file('policies', name), name)))
    print_passes('RoboMamba, full', robomamba_passes(*SIZES['full']))
    print('  a pose on a new image: image, begin, text, pose; on the same image without the first')
    if options.kernels:
        print_kernels()
    return 0


if __name__ == '__main__':
    sys.exit(main())
