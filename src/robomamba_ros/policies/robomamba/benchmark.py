"""Prints what RoboMamba costs on this machine.

`python -m robomamba_ros.policies.robomamba.benchmark --size full`. A tool, imported by nothing. The
weights are random: what is computed costs the same.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.benchmark import PeakMemory, machine
from robomamba_ros.mamba.language_model import LanguageModelConfig
from robomamba_ros.mamba.packing import pack
from robomamba_ros.policies.base import CameraSpec
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
FIRST = 'first question, to the first token'
SECOND = 'second question, same image, likewise'
STEP = 'each further token'


def measure(policy: RoboMambaPolicy, repeats: int) -> dict[str, float]:
    """Return the seconds of questions and poses, about new images and about the same."""
    images = pictures()
    image = next(images)

    def see() -> None:
        nonlocal image
        image = next(images)

    def nothing() -> None:
        pass

    def ask(tokens: int) -> Callable[[], object]:
        return lambda: deque(
            policy.answer_pieces(image, QUESTION, max_tokens=tokens, choose=never_end), maxlen=0
        )

    policy.contact(image, TASK)  # kernels compile, memory is taken
    rows = {FIRST: seconds(ask(1), repeats, see), SECOND: seconds(ask(1), repeats, nothing)}
    whole = seconds(ask(ANSWER_TOKENS), repeats, nothing)
    rows[STEP] = (whole - rows[SECOND]) / (ANSWER_TOKENS - 1)
    rows['pose, new image'] = seconds(lambda: policy.contact(image, TASK), repeats, see)
    rows['pose, same image'] = seconds(lambda: policy.contact(image, TASK), repeats, nothing)
    return rows


def never_end(logits: Tensor) -> int:
    """Return the most probable token that does not end the answer."""
    return 1 + int(logits[1:].argmax())


def random_network(clip: ClipConfig, d_model: int, n_layer: int, vocabulary: int) -> RoboMamba:
    """Return a network with the paper's head, its weights random, made in bfloat16 right away."""
    backbone = MambaConfig(d_model=d_model, n_layer=n_layer)
    config = RoboMambaConfig(
        name='random',
        language=LanguageModelConfig(backbone, vocabulary, 50_280),
        vision=VisionConfig(CAMERA, clip),
        head=paper_head(d_model),
    )
    with default_dtype(torch.bfloat16):
        network = RoboMamba(config).to(torch.bfloat16)
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


def seconds(run: Callable[[], object], repeats: int, before: Callable[[], object]) -> float:
    """Return the median time of `run`, each after `before`, which is not counted."""
    times = []
    for _ in range(repeats):
        before()
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def read_once(network: RoboMamba) -> int:
    """Add up all weights as integers, which is no more work than reading them; return the sum."""
    large = (p.flatten() for p in network.parameters() if p.numel() % 4 == 0)
    return sum(int(p.view(torch.int64).sum()) for p in large)


def pictures() -> Iterator[UInt8Array]:
    """Yield images of the camera, no two alike."""
    rng = np.random.default_rng(0)
    while True:
        yield rng.integers(0, 256, (CAMERA.height, CAMERA.width, 3), dtype=np.uint8)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description='Time RoboMamba on this machine.')
    parser.add_argument('--size', choices=SIZES, default='small', help="full is the paper's")
    parser.add_argument('--threads', type=int, default=1, help='threads of torch and the kernels')
    parser.add_argument('--repeats', type=int, default=3, help='runs per row; the median counts')
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = TextTokenizer.train([f'<|user|> {QUESTION} {TASK}\n<|assistant|>'], 320)
    with PeakMemory() as peak:
        network = random_network(*SIZES[options.size], tokenizer.vocabulary)
        weights = sum(p.numel() * p.element_size() for p in network.parameters())
        count = sum(p.numel() for p in network.parameters())
        reading = seconds(lambda: read_once(network), options.repeats + 1, lambda: None)
        policy = RoboMambaPolicy(network, tokenizer, cache='prefix')
        pack(network)
        rows = measure(policy, options.repeats)
    print(machine(options.threads))
    print(
        f'RoboMamba {options.size}, bfloat16: {count / 1e9:.2f} billion parameters, '
        f'{weights / 1e9:.2f} GB'
    )
    print(f'{"":44}{"ms":>9}{"x reading":>12}')
    for name, value in {'reading the weights once': reading, **rows}.items():
        print(f'{name:44}{1e3 * value:9.0f}{value / reading:12.2f}')
    first, second = (rows[name] for name in (FIRST, SECOND))
    print(f'second over first question: {second / first:.1%}')
    print(f'answer: {1 / rows[STEP]:.1f} tokens/s')
    print(
        *(f'peak memory, {name}: {size / 1e9:.2f} GB' for name, size in peak.sizes.items()),
        sep='\n',
    )


if __name__ == '__main__':
    main()
