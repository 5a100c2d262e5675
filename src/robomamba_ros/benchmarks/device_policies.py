"""Whole policies on a device: what a captured pass gives beside single steps, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch
from torch import nn

from robomamba_ros.benchmarks.device_kernels import waiter
from robomamba_ros.benchmarks.device_rows import Rows, median_ms
from robomamba_ros.benchmarks.policies import LARGE
from robomamba_ros.benchmarks.policies import random_network as random_anolevla
from robomamba_ros.benchmarks.robomamba import (
    CAMERA,
    QUESTION,
    SIZES,
    TASK,
    pictures,
    random_network,
)
from robomamba_ros.common.machine import compute_device
from robomamba_ros.common.resources import find_file
from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.mamba.block import Mixer
from robomamba_ros.mamba.generation import generate
from robomamba_ros.mamba.norm import RMSNorm
from robomamba_ros.mamba.packing import pack
from robomamba_ros.policies.anolevla.config import read_config
from robomamba_ros.policies.anolevla.policy import AnoleVLAPolicy
from robomamba_ros.policies.base import LoadOptions, fake_observation
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.policies.registry import load_chunk_policy
from robomamba_ros.policies.robomamba.captured import CapturedPasses
from robomamba_ros.policies.robomamba.policy import Contact, RoboMambaPolicy
from robomamba_ros.policies.robomamba.prompts import Prompts
from robomamba_ros.types import ActionChunk, Float32Array
from robomamba_ros.vision.clip import ClipConfig, clip_pixels

SHIPPED = 'anolevla-mt50'
# Turns of what is timed, and tokens of an answer, with a full policy and with a small one.
TURNS, TOKENS = {True: 50, False: 2}, {True: 64, False: 8}
# Largest difference of actions over the largest action. In 16 bits other kernels round otherwise.
GRAPH, BACKENDS, ROUNDED, DEVICES = 2e-2, 5e-2, 5e-2, 2e-3
# Of a contact, over the side of the image.
CONTACT = 1e-2
# The parts of a tower that is to be small.
NARROW = {'hidden_size': 32, 'intermediate_size': 32, 'num_attention_heads': 2}
NARROW |= {'num_hidden_layers': 2}
# Kernels of a profile that are listed.
LISTED = 15


def anolevla(rows: Rows, device: torch.device, full: bool) -> None:
    """Measure the paper's AnoleVLA with random weights."""
    config = read_config(find_file('policies', LARGE), LARGE)
    if not full:
        config = replace(
            config,
            backbone=replace(config.backbone, d_model=32, n_layer=2),
            vision=replace(config.vision, **NARROW),  # type: ignore[arg-type]
            language=replace(config.language, vocabulary=400),
        )
    with device:
        network = random_anolevla(config, torch.float32)
    words = InstructionTokenizer.train(['open the drawer'], 300, config.language.length)
    scales = Normalization.identity(config.spec)
    seen = fake_observation(config.spec)

    def policy(captured: bool) -> AnoleVLAPolicy:
        return AnoleVLAPolicy(network, words, scales, cache='none', captured=captured)

    expected = policy(False).infer(seen).actions
    dtype = large_dtype(device)
    network.compute_in(dtype)
    network.pack()
    stepwise = policy(False)
    found = stepwise.infer(seen).actions

    def by_reference() -> float:
        with run_by(network, 'reference'):
            return difference(found, stepwise.infer(seen).actions)

    rounded = partial(difference, found, expected)
    rows.add('parity', f'{dtype} beside float32', rounded, target=ROUNDED)
    rows.add('parity', 'kernels beside the reference', by_reference, target=BACKENDS)
    wait, turns = waiter(device), TURNS[full]
    name = f'{LARGE}, a chunk'
    one_by_one = partial(median_ms, partial(stepwise.infer, seen), wait, turns)
    rows.add('time', f'{name}, step by step', one_by_one, 'ms')
    # Made by the first row that needs it: where it cannot be, those rows say why.
    whole = cache(partial(policy, True))

    def beside_single_steps() -> float:
        return max(
            difference(whole().infer(x).actions, stepwise.infer(x).actions)
            for x in (fake_observation(config.spec, seed) for seed in range(3))
        )

    def run() -> ActionChunk:
        return whole().infer(seen)

    rows.add('parity', 'captured beside step by step', beside_single_steps, target=GRAPH)
    rows.add('time', name, partial(median_ms, run, wait, turns), 'ms', target=2.0, limit=0.3)
    profile(rows, 'a chunk', run, device)


def shipped(rows: Rows, device: torch.device, full: bool) -> None:
    """Measure the shipped AnoleVLA, whose weights were trained."""
    policy = load_chunk_policy(SHIPPED, LoadOptions(device=str(device)))
    seen = fake_observation(policy.spec)
    expected = load_chunk_policy(SHIPPED, LoadOptions()).infer(seen).actions

    def beside_the_cpu() -> float:
        return difference(policy.infer(seen).actions, expected)

    rows.add('parity', 'beside the CPU', beside_the_cpu, target=DEVICES)
    run = partial(policy.infer, seen)
    measure = partial(median_ms, run, waiter(device), TURNS[full])
    rows.add('time', f'{SHIPPED}, a chunk', measure, 'ms', target=0.6)
    profile(rows, 'a chunk', run, device)


def robomamba(rows: Rows, device: torch.device, full: bool) -> None:
    """Measure RoboMamba of the paper's size, with random weights."""
    tokenizer = TextTokenizer.train([f'<|user|> {QUESTION} {TASK}\n<|assistant|>'], 320)
    sizes = (ClipConfig(**NARROW), 32, 2)
    with device:
        network = random_network(
            *(SIZES['full'] if full else sizes), tokenizer.vocabulary, large_dtype(device)
        )
    pack(network)
    wait, turns, count = waiter(device), TURNS[full], TOKENS[full]
    images = pictures()
    image = next(images)
    prompts, side = Prompts(tokenizer), ClipConfig().image_size
    stepwise = RoboMambaPolicy(network, tokenizer, cache='prefix', captured=False)
    first = stepwise.contact(image, TASK)

    def by_reference() -> float:
        other = RoboMambaPolicy(network, tokenizer, cache='none', captured=False)
        with run_by(network.language, 'reference'):
            return _apart(other.contact(image, TASK), first)

    rows.add('parity', 'kernels beside the reference', by_reference, target=CONTACT)
    again = partial(median_ms, lambda: stepwise.contact(image, TASK), wait, turns)
    rows.add('time', 'RoboMamba, pose, same image, step by step', again, 'ms')
    embeddings = network.language.embedding(torch.tensor([prompts.opening], device=device))

    def tokens() -> list[int]:
        return list(generate(network.language, embeddings, max_tokens=count))

    one_by_one = partial(_per_token, tokens, wait, count)
    rows.add('time', 'RoboMamba, a token, step by step', one_by_one, 'ms')
    # Made by the first row that needs it: where it cannot be, those rows say why.
    whole = cache(partial(RoboMambaPolicy, network, tokenizer, cache='prefix', captured=True))
    passes = cache(partial(CapturedPasses, network, prompts.opening))

    def new_image() -> Contact:
        return whole().contact(next(images), TASK)

    def same_image() -> Contact:
        return whole().contact(image, TASK)

    def text() -> str:
        passes().see(clip_pixels(image, side))
        passes().read(prompts.question(QUESTION))
        return ' '.join(map(str, passes().generate(max_tokens=8, stop=())))

    def further() -> list[int]:
        return list(passes().generate(max_tokens=count, stop=()))

    rows.add(
        'parity',
        'captured beside step by step',
        lambda: _apart(same_image(), first),
        target=CONTACT,
    )
    new = partial(median_ms, new_image, wait, turns)
    rows.add('time', 'RoboMamba, pose, new image', new, 'ms', target=7.5, limit=3.0)
    same = partial(median_ms, same_image, wait, turns)
    rows.add('time', 'RoboMamba, pose, same image', same, 'ms', target=4.0)
    rows.add('fact', 'tokens of an answer', text)
    token = partial(_per_token, further, wait, count)
    name = 'RoboMamba, a token (2 ms: 500 tokens/s)'
    rows.add('time', name, token, 'ms', target=2.0, limit=1.4)
    profile(rows, 'tokens', further, device)
    profile(rows, 'pose, new image', new_image, device)


def large_dtype(device: torch.device) -> torch.dtype:
    """Return the type of large weights, as `dtype: auto` chooses it."""
    return torch.bfloat16 if compute_device(device).fast_bfloat16 else torch.float32


@contextmanager
def run_by(network: nn.Module, backend: str) -> Iterator[None]:
    """Let another backend run scan, convolution and norm of a network for a while."""
    parts = [part for part in network.modules() if isinstance(part, Mixer | RMSNorm)]
    before = [part.backend for part in parts]
    try:
        for part in parts:
            part.backend = backend
        yield
    finally:
        for part, name in zip(parts, before, strict=True):
            part.backend = name


def difference(found: Float32Array, expected: Float32Array) -> float:
    """Return the largest difference over the largest expected number."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _apart(found: Contact, expected: Contact) -> float:
    """Return the larger of the differences of pixels, over an image's side, and of rotations."""
    pixels = np.abs(found.pixel - expected.pixel).max() / CAMERA.height
    return float(max(pixels, np.abs(found.rotation - expected.rotation).max()))


def _per_token(run: Callable[[], object], wait: Callable[[], object], count: int) -> float:
    return median_ms(run, wait, 5) / count


def profile(rows: Rows, name: str, run: Callable[[], object], device: torch.device) -> None:
    """List what takes the time of a run: kernels of a GPU, operators of a CPU."""
    found: list[tuple[str, float]] = []

    def measure() -> str:
        from torch.profiler import ProfilerActivity
        from torch.profiler import profile as profiled

        cuda = device.type == 'cuda'
        kind = ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU
        with profiled(activities=[kind]) as record:
            run()
            waiter(device)()
        for event in record.key_averages():
            taken = event.self_device_time_total if cuda else event.self_cpu_time_total
            found.append((f'{event.count} x {event.key[:60]}', float(taken)))
        found.sort(key=lambda each: -each[1])
        return f'{len(found)} kinds of kernels, {sum(taken for _, taken in found):.0f} us'

    rows.add('profile', name, measure)
    for kernel, taken in found[:LISTED]:
        rows.add('profile', f'{name}: {kernel}', partial(float, taken), 'us')
