"""RoboMamba as a policy: an image and a text in, an end-effector target or an answer out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from robomamba_ros.common.captured import where_possible
from robomamba_ros.errors import ActionError, ConfigError
from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.mamba.generation import Choice, TopP, generate, greedy
from robomamba_ros.mamba.state import MambaState
from robomamba_ros.policies.base import ANSWER_TOKENS, PolicySpec
from robomamba_ros.policies.robomamba.captured import CapturedPasses
from robomamba_ros.policies.robomamba.network import (
    PoseOutput,
    RoboMamba,
    rotation_from_directions,
)
from robomamba_ros.policies.robomamba.prompts import Prompts
from robomamba_ros.spatial.camera import pose_target, surface_at
from robomamba_ros.types import Float64Array, Observation, PoseTarget, UInt8Array
from robomamba_ros.vision.clip import Square, clip_image, clip_pixels

CACHES = ('auto', 'none', 'prefix')

Part = TypeVar('Part')


class Contact(NamedTuple):
    """pixel (2,): column and row in the camera image, centres at integers; rotation (3, 3) of the
    end effector in the camera's optical frame, columns forward, left, up."""

    pixel: Float64Array
    rotation: Float64Array


class _Start(NamedTuple):
    """What all texts about an image have in common: the hidden state of the first text token
    (1, d_model), and the recurrent state after the opening."""

    image: UInt8Array | None
    first: Tensor
    state: MambaState


class RoboMambaPolicy:
    """The network with its tokenizer.

    network: on its device and in its type; it is frozen. cache: 'prefix', which 'auto' means here,
    keeps the state after the last image and the opening of the text, so that another text about
    equal bytes costs its own tokens only; the results are those of 'none' to the bit. captured:
    whether passes are captured as a whole; by default on CUDA, where that is possible. Raises
    ConfigError for another cache.
    """

    def __init__(
        self,
        network: RoboMamba,
        tokenizer: TextTokenizer,
        *,
        cache: str,
        captured: bool | None = None,
    ) -> None:
        if cache not in CACHES:
            raise ConfigError(
                f"policy '{network.config.name}' cannot run with the cache '{cache}': every image "
                f'begins a sequence of its own. Give {" or ".join(CACHES)}.'
            )
        self.network = network.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._prompts = Prompts(tokenizer)
        self._keep = cache != 'none'
        self._kept: _Start | None = None

        def capture() -> CapturedPasses:
            return CapturedPasses(self.network, self._prompts.opening)

        self._captured: CapturedPasses | None = None
        if captured is None:
            self._captured = where_possible(capture, self._device)
        elif captured:
            self._captured = capture()
        # The image in the state of the captured passes, in a tuple; None where there is none.
        self._seen: tuple[UInt8Array | None] | None = None

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self.network.config.spec

    def reset(self) -> None:
        """Forget the last image."""
        self._kept = self._seen = None

    def infer(self, observation: Observation) -> PoseTarget:
        """Return where to act for the instruction; the frame is the camera's, called by its name.

        Raises ObservationError on a bad observation or where the contact has no depth, and what
        `contact` raises.
        """
        self.spec.check(observation)
        config = self.network.config
        camera = self._require(config.vision, 'vision').camera.name
        contact = self.contact(observation.images[camera], observation.instruction)
        depth, intrinsics = observation.depth[camera], observation.intrinsics[camera]
        return pose_target(
            surface_at(contact.pixel, depth, intrinsics),
            contact.rotation,
            config.approach,
            stamp_ns=observation.stamp_ns,
            frame=camera,
        )

    @torch.inference_mode()
    def contact(self, image: UInt8Array, instruction: str) -> Contact:
        """Return where in an image (h, w, 3) RGB uint8 to make contact, and how to turn.

        Raises ConfigError where the policy has no pose head, ActionError where the head gives no
        rotation.
        """
        # Any other text goes as it was said: a language model reads case and punctuation too.
        said = self.network.config.instructions.known(instruction) or instruction
        pose = self._pose(image, self._prompts.task(said))
        rotation = rotation_from_directions(pose.directions[0].double()).cpu().numpy()
        if not np.isfinite(rotation).all() or abs(np.linalg.det(rotation) - 1.0) > 1e-6:
            raise ActionError(
                f'the pose head gives the directions {pose.directions[0].tolist()}: up and forward '
                'are parallel, or no numbers; train the head, or give another image'
            )
        square = Square.of(*image.shape[:2])
        within = pose.contact[0].double().cpu().numpy()
        return Contact(np.array([square.left, square.top]) + square.side * within, rotation)

    def answer(
        self,
        image: UInt8Array | None,
        question: str,
        *,
        max_tokens: int = ANSWER_TOKENS,
        choose: Choice = greedy,
    ) -> str:
        """Return the answer to a question about an image (h, w, 3) RGB uint8, or about none."""
        pieces = self.answer_pieces(image, question, max_tokens=max_tokens, choose=choose)
        return ''.join(pieces)

    def answer_pieces(
        self,
        image: UInt8Array | None,
        question: str,
        *,
        max_tokens: int = ANSWER_TOKENS,
        choose: Choice = greedy,
    ) -> Iterator[str]:
        """Yield the answer in pieces of text, each as soon as it is known."""
        passes = self._captured
        if passes is not None and (choose is greedy or isinstance(choose, TopP)):
            self._look(passes, image)
            passes.read(self._prompts.question(question))
            ids = passes.generate(
                max_tokens=max_tokens,
                stop={self._tokenizer.end},
                top_p=choose if isinstance(choose, TopP) else None,
            )
            return _stripped(self._tokenizer.pieces(ids))
        ids = generate(
            self.network.language,
            self._embed(self._prompts.question(question)),
            self._start(image).state,
            max_tokens=max_tokens,
            stop={self._tokenizer.end},
            choose=choose,
        )
        return _stripped(self._tokenizer.pieces(ids))

    def _pose(self, image: UInt8Array, text: list[int]) -> PoseOutput:
        self._require(self.network.head, 'pose head')
        if self._captured is not None:
            self._look(self._captured, image)
            self._captured.read(text)
            return self._captured.pose()
        start = self._start(image)
        hidden, _ = self.network.language.backbone(self._embed(text), start.state)
        return self.network.pose(start.first, hidden[:, -1])

    def _look(self, passes: CapturedPasses, image: UInt8Array | None) -> None:
        """Have the state after an image and the opening ready."""
        if self._keep and self._seen is not None and _same(image, self._seen[0]):
            return
        self._seen = None
        if image is None:
            passes.see(None)
        else:
            side = self._require(self.network.vision, 'vision').image_size
            passes.see(clip_pixels(image, side))
        self._seen = (None if image is None else image.copy(),)

    @torch.inference_mode()
    def _start(self, image: UInt8Array | None) -> _Start:
        if self._kept is not None and _same(image, self._kept.image):
            return self._kept
        opening = self._embed(self._prompts.opening)
        tokens = (
            opening if image is None else torch.cat((self._encode_image(image), opening), dim=1)
        )
        # Always a pass of its own, kept or not: the same cut gives the same bits.
        hidden, state = self.network.language.backbone(tokens)
        copy = None if image is None else image.copy()
        start = _Start(copy, hidden[:, -opening.shape[1]], state)
        if self._keep:
            self._kept = start
        return start

    def _encode_image(self, image: UInt8Array) -> Tensor:
        vision = self._require(self.network.vision, 'vision')
        pixels = clip_image(image, vision.image_size)
        tokens: Tensor = vision(pixels[None].to(self._device))
        return tokens

    @torch.inference_mode()
    def _embed(self, ids: list[int]) -> Tensor:
        """Return the embeddings (1, l, d_model) of token ids."""
        embeddings: Tensor = self.network.language.embedding(
            torch.tensor([ids], device=self._device)
        )
        return embeddings

    @property
    def _device(self) -> torch.device:
        return self.network.language.embedding.weight.device

    def _require(self, part: Part | None, what: str) -> Part:
        if part is None:
            raise ConfigError(
                f"policy '{self.spec.name}' has no {what}: its checkpoint was made without. Give "
                'one that has it, from robomamba convert or from training.'
            )
        return part


def _same(image: UInt8Array | None, kept: UInt8Array | None) -> bool:
    if image is None or kept is None:
        return image is kept
    return np.array_equal(image, kept)


def _stripped(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the pieces without the blanks before and after the whole."""
    blanks, begun = '', False
    for piece in pieces:
        text = blanks + piece if begun else piece.lstrip()
        body = text.rstrip()
        blanks = text[len(body) :]
        if body:
            begun = True
            yield body
