"""Batches for RoboMamba's stages: images with tasks and their poses, images with conversations.

What is drawn is a function of the seed and the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from robomamba_ros.datasets.conversations import Conversation
from robomamba_ros.datasets.poses import PoseSample, read_image
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.policies.robomamba.prompts import Prompts
from robomamba_ros.vision.clip import Square, clip_pixels, clip_scale

KEPT_BYTES = 1 << 30


class PoseBatch(NamedTuple):
    """images (b, 3, s, s) on CLIP's scale; text (b, l) padded on the right, lengths (b,); contact
    (b, 2) 0..1 over the middle square; directions (b, 6)."""

    images: Tensor
    text: Tensor
    lengths: Tensor
    contact: Tensor
    directions: Tensor


class ConversationBatch(NamedTuple):
    """images (b, 3, s, s), None for conversations about none; text (b, l) padded on the right;
    answers (b, l): true for the tokens of answers, which the model learns to say."""

    images: Tensor | None
    text: Tensor
    answers: Tensor


class Images:
    """Images as the network sees them, of which the last gigabyte is kept."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._small = lru_cache(maxsize=KEPT_BYTES // (3 * size * size))(self._read)

    def batch(self, paths: Sequence[Path]) -> Tensor:
        """Return (b, 3, s, s) on CLIP's scale."""
        return clip_scale(torch.stack([self._small(path)[0] for path in paths]))

    def square(self, path: Path) -> Square:
        """Return which part of the image the network sees."""
        return self._small(path)[1]

    def _read(self, path: Path) -> tuple[Tensor, Square]:
        image = read_image(path)
        return clip_pixels(image, self._size), Square.of(*image.shape[:2])


class BatchOrder:
    """Batches of indices, epoch by epoch in random order; no batch mixes two kinds of things.

    kinds: one number per thing. The last batch of a kind in an epoch may be smaller.
    """

    def __init__(self, kinds: Sequence[int], size: int, seed: int) -> None:
        self._groups = [np.flatnonzero(np.equal(kinds, kind)) for kind in sorted(set(kinds))]
        self._size, self._seed = size, seed
        self.per_epoch = sum(-(-len(group) // size) for group in self._groups)
        self._epoch, self._batches = -1, list[list[int]]()

    def __call__(self, step: int) -> list[int]:
        """Return the indices of the batch of a step."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng((self._seed, epoch))
            batches = [
                order[first : first + self._size].tolist()
                for order in map(rng.permutation, self._groups)
                for first in range(0, len(order), self._size)
            ]
            self._batches = [batches[index] for index in rng.permutation(len(batches))]
            self._epoch = epoch
        return self._batches[position]


class PoseBatches:
    """Batches of pose samples.

    left_out: how many have their contact outside the middle square. instructions: all of theirs.
    """

    def __init__(
        self, samples: Sequence[PoseSample], images: Images, prompts: Prompts, size: int, seed: int
    ) -> None:
        contacts = [_within(sample, images.square(sample.image)) for sample in samples]
        seen = [bool(((at >= 0.0) & (at <= 1.0)).all()) for at in contacts]
        self.left_out = seen.count(False)
        self._samples = [sample for sample, kept in zip(samples, seen, strict=True) if kept]
        self._contacts = [at for at, kept in zip(contacts, seen, strict=True) if kept]
        self.instructions = Instructions.of(sample.instruction for sample in self._samples)
        self._images, self._prompts = images, prompts
        self.order = BatchOrder([0] * len(self._samples), size, seed)

    def batch(self, step: int) -> PoseBatch:
        """Return the batch of a step."""
        indices = self.order(step)
        chosen = [self._samples[index] for index in indices]
        opening = self._prompts.opening
        spelled = [self.instructions.spelled(sample.instruction) for sample in chosen]
        text, lengths = padded([opening + self._prompts.task(each) for each in spelled])
        return PoseBatch(
            images=self._images.batch([sample.image for sample in chosen]),
            text=text,
            lengths=lengths,
            contact=torch.tensor(np.array([self._contacts[i] for i in indices])).float(),
            directions=torch.tensor(np.array([s.directions for s in chosen])).float(),
        )


class ConversationBatches:
    """Batches of conversations, each about images or about none."""

    def __init__(
        self,
        conversations: Sequence[Conversation],
        images: Images,
        prompts: Prompts,
        size: int,
        seed: int,
    ) -> None:
        self._conversations, self._images, self._prompts = conversations, images, prompts
        self.order = BatchOrder([int(each.image is not None) for each in conversations], size, seed)

    def batch(self, step: int) -> ConversationBatch:
        """Return the batch of a step."""
        chosen = [self._conversations[index] for index in self.order(step)]
        tokenized = [conversation_tokens(self._prompts, each) for each in chosen]
        text, _ = padded([tokens for tokens, _ in tokenized])
        answers, _ = padded([[int(flag) for flag in flags] for _, flags in tokenized])
        paths = [each.image for each in chosen if each.image is not None]
        return ConversationBatch(self._images.batch(paths) if paths else None, text, answers.bool())


def conversation_tokens(
    prompts: Prompts, conversation: Conversation
) -> tuple[list[int], list[bool]]:
    """Return the tokens of a conversation, and which of them belong to an answer."""
    tokens: list[int] = []
    answers: list[bool] = []
    for turn in conversation.turns:
        question = prompts.opening + prompts.question(turn.question)
        answer = prompts.answer(turn.answer)
        tokens += question + answer
        answers += [False] * len(question) + [True] * len(answer)
    return tokens, answers


def padded(texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return ids (b, l) padded with 0 on the right, and lengths (b,)."""
    lengths = torch.tensor([len(text) for text in texts])
    ids = torch.zeros(len(texts), int(lengths.max()), dtype=torch.int64)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    return ids, lengths


def _within(sample: PoseSample, square: Square) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray((sample.contact - [square.left, square.top]) / square.side)
