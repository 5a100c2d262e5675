"""Prints what a chunk of actions costs: `robomamba bench policies`.

A tool, imported by nothing. The large policy has random weights: what is computed costs the same.
What is compared takes turns, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robomamba_ros.benchmarks.measuring import machine, print_table, report, take_turns
from robomamba_ros.benchmarks.scan import oracle_of, products
from robomamba_ros.benchmarks.speeds import (
    FLOAT32,
    dtypes,
    print_speeds,
    product,
    product_shapes,
)
from robomamba_ros.common.memory import keep_freed_memory
from robomamba_ros.common.resources import find_file
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.config import AnoleVLAConfig, read_config
from robomamba_ros.policies.anolevla.network import AnoleVLA
from robomamba_ros.policies.anolevla.policy import AnoleVLAPolicy
from robomamba_ros.policies.base import DTYPES, fake_observation
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.policies.registry import describe_policy, load_policy
from robomamba_ros.vision.siglip import SiglipConfig, SiglipVision

LARGE, SMALL = 'anolevla-467m', 'anolevla-mt10'
OURS = 'robomamba_ros, observation to chunk'
FLOW_STEPS = 10  # SmolVLA's, to denoise a chunk


def random_network(config: AnoleVLAConfig, dtype: torch.dtype) -> AnoleVLA:
    """Return a network of random weights, its large ones in `dtype`."""
    torch.manual_seed(0)
    network = AnoleVLA(config).eval().requires_grad_(False)
    network.compute_in(dtype)
    return network


def composition(network: AnoleVLA) -> Callable[..., Tensor]:
    """Return the same model put together from transformers' modules, with the same weights."""
    body = oracle_of(network.backbone)
    vision = network.vision
    assert body is not None
    assert isinstance(vision, SiglipVision)
    # The tower is transformers' own module; ours is packed later.
    tower, project = copy.deepcopy(vision.tower), copy.deepcopy(vision.project)
    dtype = project.weight.dtype

    def run(images: Tensor, state: Tensor, delta_state: Tensor, words: Tensor) -> Tensor:
        parts = (
            network.state(state)[:, None],
            network.delta_state(delta_state)[:, None],
            project(tower(images[:, 0].to(dtype)).last_hidden_state),
            network.project(network.language(words)),
        )
        embeddings = torch.cat([part.to(dtype) for part in parts], dim=1)
        return network.actions(body(inputs_embeds=embeddings, use_cache=False).last_hidden_state)

    return run


def tower_products(vision: SiglipVision) -> Callable[[], object]:
    """Return a run of all products of the tower's weights with one image, and of nothing else."""
    config, dtype = vision.config, vision.tower.post_layernorm.weight.dtype
    hidden = torch.randn(1, config.tokens, config.hidden_size, dtype=dtype)
    inner = torch.randn(1, config.tokens, config.intermediate_size, dtype=dtype)

    def run() -> None:
        for block in vision.tower.encoder.layers:
            attention, perceptron = block.self_attn, block.mlp
            for layer in (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj):
                layer(hidden)
            perceptron.fc1(hidden)
            perceptron.fc2(inner)
        vision.project(hidden)

    return run


def tower_shapes(config: SiglipConfig, outputs: int) -> dict[tuple[int, int, int], int]:
    """Return how often each (rows, inputs, outputs) occurs among those products."""
    rows, hidden, inner = config.tokens, config.hidden_size, config.intermediate_size
    layers = config.num_hidden_layers
    return {
        (rows, hidden, hidden): 4 * layers,
        (rows, hidden, inner): layers,
        (rows, inner, hidden): layers,
        (rows, hidden, outputs): 1,
    }


@torch.inference_mode()
def large(dtype: torch.dtype, repeats: int) -> None:
    """Compare the paper's policy with its matrix products and with transformers' modules."""
    network = random_network(read_config(find_file('policies', LARGE), LARGE), dtype)
    config = network.config
    side = config.vision.image_size
    inputs = (
        torch.rand(1, 1, 3, side, side) * 2 - 1,
        torch.randn(1, len(config.spec.state_names)),
        torch.randn(1, len(config.spec.state_names)),
        torch.randint(2, config.language.vocabulary, (1, config.language.length)),
    )
    others = composition(network)
    expected = others(*inputs)
    network.pack()
    error = (network(*inputs).actions - expected).abs().max() / expected.abs().max()
    words = InstructionTokenizer.train(['open the drawer'], 300, config.language.length)
    policy = AnoleVLAPolicy(network, words, Normalization.identity(config.spec), cache='none')
    assert isinstance(network.vision, SiglipVision)
    backbone = products(network.backbone, sum(config.tokens.values()))
    tower = tower_products(network.vision)
    print(f'\n{describe_policy(LARGE).text()}')
    # As load_policy does for what it loads.
    keep_freed_memory()
    shapes = product_shapes(config.backbone, sum(config.tokens.values()))
    shapes |= tower_shapes(network.vision.config, config.backbone.d_model)
    runs: dict[str, Callable[[], object]] = {
        FLOAT32: product(torch.float32, shapes),
        'its matrix products alone': lambda: (backbone(), tower()),
        OURS: partial(policy.infer, fake_observation(config.spec)),
    }
    times = take_turns(runs, 2 * repeats)
    command = [sys.executable, '-m', __spec__.name, '--transformers', '--repeats', str(repeats)]
    command += ['--threads', str(torch.get_num_threads()), '--dtype', str(dtype).split('.')[1]]
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    others_ms = json.loads(child.stdout)
    times |= {f'on its own: {name}': np.array(values) for name, values in others_ms.items()}
    title = f'{LARGE}, {dtype}, largest difference to transformers, relative, {error:.1e}'
    print_table(title, times)


@torch.inference_mode()
def alone(dtype: torch.dtype, repeats: int) -> None:
    """Print the times [ms] of transformers' modules, in a process that runs them alone.

    A chunk by the modules of the same model, and a trunk of the size of SmolVLA's over as many
    tokens, and the steps of its flow. Most of the time of a chunk goes where the allocator gives
    memory back to the kernel, and whether it does depends on what else a process has allocated
    before.
    """
    import transformers

    config = read_config(find_file('policies', LARGE), LARGE)
    assert isinstance(config.vision, SiglipConfig)
    side, width = config.vision.image_size, config.backbone.d_model
    vision: nn.Module = transformers.SiglipVisionModel(
        transformers.SiglipVisionConfig(**asdict(config.vision))
    )
    body: nn.Module = transformers.MambaModel(
        transformers.MambaConfig(
            vocab_size=config.language.vocabulary,
            hidden_size=width,
            num_hidden_layers=config.backbone.n_layer,
        )
    )
    project = nn.Linear(config.vision.hidden_size, width)
    for part in (vision, body, project):
        part.to(dtype).eval()
    head = nn.Linear(width, config.spec.horizon * len(config.spec.action_names))
    image = torch.rand(1, 3, side, side, dtype=dtype)
    others = torch.randn(1, sum(config.tokens.values()) - config.vision.tokens, width, dtype=dtype)

    def chunk() -> None:
        seen = project(vision(image).last_hidden_state)
        hidden = body(inputs_embeds=torch.cat((others, seen), dim=1), use_cache=False)
        head(hidden.last_hidden_state[:, -1].float())

    trunk, expert = smolvla_like(dtype)
    tokens = torch.randn(1, sum(config.tokens.values()), trunk.config.hidden_size, dtype=dtype)
    actions = torch.randn(1, config.spec.horizon, expert.config.hidden_size, dtype=dtype)

    def attend() -> None:
        trunk(inputs_embeds=tokens, use_cache=False)

    def flow() -> None:
        for _ in range(FLOW_STEPS):
            expert(inputs_embeds=actions, use_cache=False)

    runs = {"transformers' modules": chunk, "SmolVLA's trunk": attend, "SmolVLA's flow": flow}
    print(json.dumps({name: t.tolist() for name, t in take_turns(runs, repeats).items()}))


def smolvla_like(dtype: torch.dtype) -> tuple[Any, Any]:
    """Return transformers' Llama in the sizes of SmolVLA's trunk and of its action expert.

    16 layers of SmolLM2 at 960, and 16 at 720 (arXiv 2506.01844, section 3). The expert's attention
    to the trunk is left out, so it costs less here than there.
    """
    import transformers

    heads = {'num_hidden_layers': 16, 'num_attention_heads': 15, 'num_key_value_heads': 5}
    sizes = (
        {'hidden_size': 960, 'intermediate_size': 2560},
        {'hidden_size': 720, 'intermediate_size': 2048},
    )
    configs = (transformers.LlamaConfig(vocab_size=8, head_dim=64, **heads, **s) for s in sizes)
    trunk, expert = (transformers.LlamaModel(config).to(dtype).eval() for config in configs)
    return trunk, expert


def small(repeats: int) -> None:
    """Time the shipped policy."""
    policy = load_policy(SMALL, threads=torch.get_num_threads())
    run = partial(policy.infer, fake_observation(policy.spec))
    report(f'{SMALL}, float32', {OURS: run}, 10 * repeats)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog='robomamba bench policies', description='Time a chunk of actions on this machine.'
    )
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--repeats', type=int, default=10, help='turns of each')
    parser.add_argument('--dtype', choices=DTYPES, default='auto', help='of the large policy')
    parser.add_argument('--transformers', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.transformers:
        alone(getattr(torch, options.dtype), options.repeats)
        return 0
    print(machine(options.threads))
    print_speeds()
    dtype = dtypes()[0] if options.dtype == 'auto' else getattr(torch, options.dtype)
    if importlib.util.find_spec('transformers') is None:
        print(f'\n{LARGE} needs transformers, which is not installed: pip install transformers')
    else:
        large(dtype, options.repeats)
    small(options.repeats)
    return 0


if __name__ == '__main__':
    sys.exit(main())
