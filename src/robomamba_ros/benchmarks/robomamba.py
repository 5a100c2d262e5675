"""Prints what RoboMamba costs on this machine.

`robomamba bench robomamba --size full`. The weights are random: what is computed costs the same.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from robomamba_ros.benchmarks.measuring import PeakMemory, machine
from robomamba_ros.benchmarks.speeds import dtypes, print_speeds
from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.language_model import LanguageModelConfig
from robomamba_ros.mamba.packing import pack
from robomamba_ros.policies.base import DTYPES, CameraSpec
from robomamba_ros.policies.robomamba.config import RoboMambaConfig, VisionConfig, paper_head
from robomamba_ros.policies.robomamba.network import RoboMamba
from robomamba_ros.policies.robomamba.policy import RoboMambaPolicy
from robomamba_ros.types import UInt8Array
from robomamba_ros.vision.clip import ClipConfig

CAMERA = CameraSpec('front', 480, 640)
QUESTION = 'what should the robot do next to open the drawer of the cabinet?'
TASK = 'open the drawer of the cabinet'
ANSWER_TOKENS = 16
SIZES = {
    'small': (ClipConfig(hidden_size=256, intermediate_size=1024, num_attention_heads=4), 256, 8),
    'full': (ClipConfig(), 2560, 64),
}
READING = "reading the language model's weights"
FIRST, SECOND = 'first question, to the first token', 'second question, same image, likewise'
TOKEN = 'each further token'
BUFFER = 1 << 28  # bytes that are read in the place of all weights, which packing made opaque


def measure(policy: RoboMambaPolicy, weights: int, rounds: int) -> dict[str, float]:
    """Return median seconds of questions and poses, about new images and about the same.

    weights: bytes. All take turns, so that a busy machine slows them alike.
    """
    # Ones, for zeros that nobody wrote are all the same page.
    buffer = torch.ones(min(weights, BUFFER) // 8, dtype=torch.int64)
    times: dict[str, list[float]] = defaultdict(list)
    images = pictures()
    policy.contact(next(images), TASK)  # kernels compile, memory is taken
    for _ in range(rounds):
        image = next(images)
        first, *further = ask(policy, image, ANSWER_TOKENS)
        times[READING].append(seconds(buffer.sum) * weights / (buffer.numel() * 8))
        times[FIRST].append(first)
        times[SECOND].append(ask(policy, image, 1)[0])
        times[TOKEN] += further
        pose = partial(policy.contact, next(images), TASK)
        times['pose, new image'].append(seconds(pose))
        times['pose, same image'].append(seconds(pose))
    return {name: statistics.median(values) for name, values in times.items()}


def ask(policy: RoboMambaPolicy, image: UInt8Array, tokens: int) -> list[float]:
    """Return how long each token of an answer takes [s]."""
    known = [time.perf_counter()]

    def choose(logits: Tensor) -> int:
        known.append(time.perf_counter())
        return 1 + int(logits[1:].argmax())  # never the end of the answer

    policy.answer(image, QUESTION, max_tokens=tokens, choose=choose)
    return [after - before for before, after in pairwise(known)]


def seconds(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def random_network(
    clip: ClipConfig, d_model: int, n_layer: int, vocabulary: int, dtype: torch.dtype
) -> RoboMamba:
    """Return a network with the paper's head, its weights random, made in `dtype` right away."""
    backbone = MambaConfig(d_model=d_model, n_layer=n_layer)
    config = RoboMambaConfig(
        name='random',
        language=LanguageModelConfig(backbone, vocabulary, 50_280),
        vision=VisionConfig(CAMERA, clip),
        head=paper_head(d_model),
    )
    with default_dtype(dtype):
        network = RoboMamba(config).to(dtype)
    if network.head is not None:
        network.head.float()
    return network.eval().requires_grad_(False)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Make tensors in `dtype` where nothing else is said."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def size(module: nn.Module) -> tuple[int, int]:
    """Return the parameters of a module, and their bytes."""
    each = [(p.numel(), p.element_size()) for p in module.parameters()]
    return sum(n for n, _ in each), sum(n * b for n, b in each)


def pictures() -> Iterator[UInt8Array]:
    """Yield images of the camera, no two alike."""
    rng = np.random.default_rng(0)
    while True:
        yield rng.integers(0, 256, (CAMERA.height, CAMERA.width, 3), dtype=np.uint8)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog='robomamba bench robomamba', description='Time RoboMamba on this machine.'
    )
    parser.add_argument('--size', choices=SIZES, default='small', help="full is the paper's")
    parser.add_argument('--threads', type=int, default=1, help='threads of torch and the kernels')
    parser.add_argument('--dtype', choices=DTYPES, default='auto', help='of the weights')
    parser.add_argument('--rounds', type=int, default=3, help='runs per row; the median counts')
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    tokenizer = TextTokenizer.train([f'<|user|> {QUESTION} {TASK}\n<|assistant|>'], 320)
    dtype = dtypes()[0] if options.dtype == 'auto' else getattr(torch, options.dtype)
    print(machine(options.threads))
    print_speeds()
    with PeakMemory() as peak:
        network = random_network(*SIZES[options.size], tokenizer.vocabulary, dtype)
        count, large = (size(part) for part in (network, network.language))
        policy = RoboMambaPolicy(network, tokenizer, cache='prefix')
        pack(network)
        rows = measure(policy, large[1], options.rounds)
    print(
        f'\nRoboMamba {options.size}, {dtype}: {count[0] / 1e9:.2f} billion parameters, '
        f'{count[1] / 1e9:.2f} GB, the language model {large[1] / 1e9:.2f} GB'
    )
    print(f'{"":44}{"ms":>9}{"x reading":>12}')
    for name, value in rows.items():
        print(f'{name:44}{1e3 * value:9.0f}{value / rows[READING]:12.2f}')
    print(f'second over first question: {rows[SECOND] / rows[FIRST]:.1%}')
    print(f'answer: {1 / rows[TOKEN]:.1f} tokens/s')
    print(
        *(f'peak memory, {name}: {size / 1e9:.2f} GB' for name, size in peak.sizes.items()),
        sep='\n',
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
