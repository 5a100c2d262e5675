"""Prints how fast the Mamba core is on this machine: `robomamba bench scan`.

A tool. What is compared takes turns within one run, so that a busy machine slows both alike, and
every ratio is one of medians.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from robomamba_ros.benchmarks.measuring import PeakMemory, machine, report, take_turns
from robomamba_ros.benchmarks.speeds import (
    FLOAT32,
    dtypes,
    print_speeds,
    product,
    product_shapes,
)
from robomamba_ros.common.memory import keep_freed_memory
from robomamba_ros.mamba.backbone import MambaBackbone, MambaConfig
from robomamba_ros.mamba.block import Mixer
from robomamba_ros.mamba.checkpoint import load_language_model
from robomamba_ros.mamba.conv import causal_conv1d
from robomamba_ros.mamba.generation import generate
from robomamba_ros.mamba.language_model import LanguageModelConfig, MambaLanguageModel
from robomamba_ros.mamba.packing import pack
from robomamba_ros.mamba.scan import available_backends, selective_scan
from robomamba_ros.mamba.state import MambaState

# mamba-370m, and the tokens of one AnoleVLA pass with one camera.
LARGE = MambaConfig(d_model=1024, n_layer=48)
TOKENS = 230
LENGTHS = (64, 230, 1024, 8192)
# A backbone for training on a CPU, at the paper's batch.
SMALL, BATCH = MambaConfig(d_model=256, n_layer=4), 16
VOCABULARY = 50_280


def large_backbone(dtype: torch.dtype) -> MambaBackbone:
    """Return a random body of the size of mamba-370m."""
    torch.manual_seed(0)
    return MambaBackbone(LARGE).to(dtype).eval().requires_grad_(False)


def products(backbone: MambaBackbone, length: int) -> Callable[[], object]:
    """Return a run of all matrix products of a pass over `length` tokens, and of nothing else."""
    config, dtype = backbone.config, backbone.norm_f.weight.dtype
    hidden = torch.randn(1, length, config.d_model, dtype=dtype)
    inner = torch.randn(1, length, config.d_inner, dtype=dtype)
    low_rank = torch.randn(1, length, config.rank, dtype=dtype)
    mixers = [module for module in backbone.modules() if isinstance(module, Mixer)]

    def run() -> None:
        for mixer in mixers:
            mixer.in_proj(hidden)
            mixer.x_proj(inner)
            mixer.dt_proj(low_rank)
            mixer.out_proj(inner)

    return run


def oracle_of(backbone: MambaBackbone) -> nn.Module | None:
    """Return transformers' MambaModel with the weights of `backbone`, None where not installed."""
    try:
        import transformers
    except ImportError:
        return None
    config = backbone.config
    sizes = transformers.MambaConfig(
        vocab_size=8, hidden_size=config.d_model, num_hidden_layers=config.n_layer
    )
    oracle: nn.Module = transformers.MambaModel(sizes)
    oracle.to(backbone.norm_f.weight.dtype).eval()
    oracle.load_state_dict(backbone.state_dict(), strict=False)
    return oracle


@torch.inference_mode()
def transformers(repeats: int) -> None:
    """Compare a pass over a prompt with transformers' MambaModel on the same weights."""
    for dtype in dtypes():
        backbone = large_backbone(dtype)
        oracle = oracle_of(backbone)
        if oracle is None:
            print('\ntransformers is not installed: no comparison with it')
            return
        pack(backbone)
        embeddings = torch.randn(1, TOKENS, LARGE.d_model, dtype=dtype)
        expected = oracle(inputs_embeds=embeddings, use_cache=False).last_hidden_state
        error = (backbone(embeddings)[0] - expected).abs().max() / expected.abs().max()
        runs: dict[str, Callable[[], object]] = {
            FLOAT32: product(torch.float32, product_shapes(LARGE, TOKENS)),
            'robomamba_ros': partial(backbone, embeddings),
            "transformers' MambaModel": partial(oracle, inputs_embeds=embeddings, use_cache=False),
        }
        title = f'body of mamba-370m, {TOKENS} tokens, {dtype}'
        report(f'{title}, largest relative difference {error:.1e}', runs, max(2, repeats // 3))


@torch.inference_mode()
def body(repeats: int) -> None:
    """Compare a pass over a prompt with its matrix products."""
    for dtype in dtypes():
        backbone = large_backbone(dtype)
        pack(backbone)
        embeddings = torch.randn(1, TOKENS, LARGE.d_model, dtype=dtype)
        runs: dict[str, Callable[[], object]] = {
            FLOAT32: product(torch.float32, product_shapes(LARGE, TOKENS)),
            'its matrix products alone': products(backbone, TOKENS),
            'robomamba_ros': partial(backbone, embeddings),
        }
        report(f'body of mamba-370m, {TOKENS} tokens, {dtype}', runs, 2 * repeats)


@torch.inference_mode()
def lengths(repeats: int) -> None:
    """Show that a token costs the same in a short and in a long sequence."""
    dtype = dtypes()[0]
    backbone = large_backbone(dtype)
    pack(backbone)
    print(f'\nbody of mamba-370m, {dtype}\n{"tokens":36}{"ms":>10}{"ms/token":>10}')
    for length in LENGTHS:
        embeddings = torch.randn(1, length, LARGE.d_model, dtype=dtype)
        turns = max(1, repeats * TOKENS // max(length, TOKENS))
        times = take_turns({'pass': partial(backbone, embeddings)}, turns)
        middle = float(np.median(times['pass']))
        print(f'  {length:<34}{middle:10.1f}{middle / length:10.3f}')


@torch.inference_mode()
def streaming(repeats: int) -> None:
    """Compare one streamed token with reading as many bytes as the weights have."""
    for dtype in dtypes():
        _streaming(dtype, repeats)


def _streaming(dtype: torch.dtype, repeats: int) -> None:
    backbone = large_backbone(dtype)
    size = sum(p.numel() * p.element_size() for p in backbone.parameters())
    pack(backbone)
    state = MambaState.empty(LARGE, 1)
    token = torch.randn(1, 1, LARGE.d_model, dtype=dtype)
    # Ones: zeros that nobody wrote are all the same page, which is never read from memory.
    memory = torch.ones(size // 4)
    runs = {
        f'reading {size / 1e6:.0f} MB': lambda: memory.sum(),
        'matrix products of one token': products(backbone, 1),
        'one streamed token': lambda: backbone(token, state),
    }
    report(f'streaming, mamba-370m, {dtype}', runs, 4 * repeats)


@torch.inference_mode()
def layer(repeats: int) -> None:
    """Compare the backends on scan and convolution of one layer of mamba-370m."""
    d, n = LARGE.d_inner, LARGE.d_state
    u, delta, z = torch.randn(3, 1, TOKENS, d)
    B, C = torch.randn(2, 1, TOKENS, n)
    A, D, bias, weight = -torch.rand(d, n) * n, torch.randn(d), torch.randn(d), torch.randn(d, 4)
    backends = [name for name in ('cpu', 'reference') if name in available_backends()]

    def scan(backend: str) -> Callable[[], object]:
        return lambda: selective_scan(u, delta, A, B, C, D, z, bias, True, backend=backend)

    def convolution(backend: str) -> Callable[[], object]:
        return lambda: causal_conv1d(u, weight, bias, backend=backend)

    shape = f'one layer of mamba-370m, {TOKENS} tokens, float32'
    layer_products = product(torch.float32, product_shapes(MambaConfig(LARGE.d_model, 1), TOKENS))
    for name, run in (('scan', scan), ('convolution', convolution)):
        runs: dict[str, Callable[[], object]] = {"the layer's products in float32": layer_products}
        report(f'{name}, {shape}', runs | {b: run(b) for b in backends}, 4 * repeats)


def training(repeats: int) -> None:
    """Compare the backends on a training step of a small backbone, without its optimiser."""
    for dtype in dtypes():
        _training(dtype == torch.bfloat16, repeats)


def _training(autocast: bool, repeats: int) -> None:
    embeddings = torch.randn(BATCH, TOKENS, SMALL.d_model)

    def step(backend: str) -> Callable[[], object]:
        torch.manual_seed(0)
        backbone = MambaBackbone(SMALL, backend=backend)

        def run() -> None:
            with torch.autocast('cpu', torch.bfloat16) if autocast else nullcontext():
                hidden, _ = backbone(embeddings)
            hidden.float().square().mean().backward()

        return run

    # Forward, and backward to the inputs and to the weights: as many products each.
    shapes = {k: 3 * n for k, n in product_shapes(SMALL, BATCH * TOKENS).items()}
    runs: dict[str, Callable[[], object]] = {FLOAT32: product(torch.float32, shapes)}
    backends = [name for name in ('cpu', 'reference') if name in available_backends()]
    precision = 'bfloat16 autocast' if autocast else 'float32'
    title = f'training step, {SMALL.n_layer} x {SMALL.d_model}, {BATCH} x {TOKENS} tokens'
    runs |= {name: step(name) for name in backends}
    report(f'{title}, {precision}', runs, max(2, repeats // 4))


def memory(repeats: int) -> None:
    """Print what loading and running a language model of 370m takes, in a process of its own."""
    del repeats  # a peak is measured once
    model = MambaLanguageModel(LanguageModelConfig(LARGE, VOCABULARY, VOCABULARY))
    with tempfile.TemporaryDirectory() as folder:
        config: dict[str, Any] = {
            'd_model': LARGE.d_model,
            'n_layer': LARGE.n_layer,
            'vocab_size': VOCABULARY,
        }
        config |= {'ssm_cfg': {}, 'rms_norm': True, 'residual_in_fp32': True}
        write_checkpoint(Path(folder), model.to(torch.bfloat16), config)
        command = [sys.executable, '-m', __spec__.name, '--threads', str(torch.get_num_threads())]
        subprocess.run([*command, '--measure-memory', folder], check=True)


def write_checkpoint(folder: Path, model: MambaLanguageModel, config: dict[str, Any]) -> None:
    """Write a language model as state-spaces publishes it."""
    names = {'embedding.weight': 'backbone.embedding.weight'}
    weights = {names.get(name, name): value for name, value in model.state_dict().items()}
    save_file(weights, folder / 'model.safetensors')
    (folder / 'config.json').write_text(json.dumps(config))


@torch.inference_mode()
def measure_memory(folder: Path) -> None:
    """Load, pack, read a prompt and stream; print the peak over what the libraries take."""
    small = MambaBackbone(MambaConfig(16, 1)).to(torch.bfloat16).eval()
    pack(small)
    small(torch.randn(1, TOKENS, 16, dtype=torch.bfloat16))
    with PeakMemory() as peak:
        model = load_language_model(folder, dtype=torch.bfloat16)
        model.pack()
        prompt = model.embedding(torch.randint(0, 1000, (1, TOKENS)))
        list(generate(model, prompt, max_tokens=8))
    weights = (folder / 'model.safetensors').stat().st_size
    print(f'\nmemory, language model of 370m, bfloat16: load, pack, {TOKENS} tokens, 8 more')
    print(f'{"MB":36}{"peak":>10}{"of weights":>12}')
    print(f'  {"weights in the file":34}{weights / 1e6:10.0f}{1:12.2f}')
    for name, size in peak.sizes.items():
        print(f'  {name:34}{size / 1e6:10.0f}{size / weights:12.2f}')


TABLES: dict[str, Callable[[int], None]] = {
    'transformers': transformers,
    'layer': layer,
    'body': body,
    'lengths': lengths,
    'streaming': streaming,
    'memory': memory,
    'training': training,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every table."""
    parser = argparse.ArgumentParser(
        prog='robomamba bench scan', description='Time the Mamba core on this machine.'
    )
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--repeats', type=int, default=12, help='turns of the shorter cases')
    parser.add_argument('--only', choices=TABLES, help='one table, not all of them')
    parser.add_argument('--measure-memory', type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.measure_memory:
        measure_memory(options.measure_memory)
        return 0
    print(machine(options.threads))
    print_speeds()
    for name, table in TABLES.items():
        if options.only in (None, name):
            table(options.repeats)
        if name == 'transformers' and keep_freed_memory():
            print('\nfrom here on freed memory is kept, as where a policy runs')
    return 0


if __name__ == '__main__':
    sys.exit(main())
