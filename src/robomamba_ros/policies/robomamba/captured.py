"""RoboMamba on a GPU: images, texts and tokens in captured passes over one recurrent state."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor

from robomamba_ros.common.captured import Captured
from robomamba_ros.mamba.generation import TopP, drawn
from robomamba_ros.mamba.state import MambaState
from robomamba_ros.policies.robomamba.network import PoseOutput, RoboMamba
from robomamba_ros.vision.clip import MEAN, STD

# Tokens of the passes over texts: a text takes the smallest that holds it, a longer one several.
# Up to 16 the scan walks token by token.
LENGTHS = (16, 64)


class CapturedPasses:
    """What RoboMambaPolicy computes, as passes that are captured once.

    `see` an image and the opening, or the opening alone; `read` a text about it, as often as there
    is another; then `pose`, or tokens by `generate`. All work on two states: that after the
    opening, and that after the text and what was generated.
    """

    def __init__(self, network: RoboMamba, opening: Sequence[int]) -> None:
        """Make one of a network on its device, frozen and packed; opening: its token ids."""
        weight = network.language.embedding.weight
        device = weight.device
        sizes = network.config.language.backbone
        self._network = network
        self._opening = torch.tensor([list(opening)], device=device)
        self._opened = MambaState.empty(sizes, 1, device=device)
        self._state = MambaState.empty(sizes, 1, device=device)
        # Hidden states of the first token after the image, and of the last one of the text.
        self._first, self._last = weight.new_zeros(2, 1, sizes.d_model).unbind()
        self._token = torch.zeros(1, 1, dtype=torch.int64, device=device)
        self._turn = 0
        # Made here, as a graph cannot take them from memory that is not pinned.
        self._mean, self._std = (torch.tensor(x, device=device)[:, None, None] for x in (MEAN, STD))
        keeps = [*self._opened.tensors(), *self._state.tensors()]
        keeps += [self._first, self._last, self._token]

        def capture(function: object, **inputs: Tensor) -> Captured:
            return Captured(function, inputs, device, keeps)  # type: ignore[arg-type]

        self._open = capture(self._see)
        self._look: Captured | None = None
        self._point: Captured | None = None
        if network.vision is not None:
            side = network.vision.image_size
            self._look = capture(self._see, pixels=torch.zeros(3, side, side, dtype=torch.uint8))
        self._begin = capture(lambda: self._state.restore(self._opened))
        count = torch.ones(1, dtype=torch.int32)
        self._texts = {
            length: capture(self._read, ids=torch.zeros(length, dtype=torch.int64), count=count)
            for length in LENGTHS
        }
        if network.head is not None:
            self._point = capture(self._pose)
        self._choose, self._step = capture(self._greedy), capture(self._greedy_step)
        example = dict.fromkeys(('number', 'top_p', 'temperature'), torch.tensor(0.5))
        # Now, as a capture runs what it captures, and the state would not be the same after it.
        self._choose_drawn = capture(self._draw, **example)
        self._step_drawn = capture(self._draw_step, **example)

    @property
    def captured(self) -> dict[str, Captured]:
        """The passes by name; `image` and `pose` are those of a network that has such parts."""
        passes: dict[str, Captured | None]
        passes = {'opening': self._open, 'begin': self._begin, 'pose': self._point}
        passes |= {'image': self._look, 'first token': self._choose, 'token': self._step}
        passes |= {'first token, drawn': self._choose_drawn, 'token, drawn': self._step_drawn}
        texts = {f'text of up to {length}': run for length, run in self._texts.items()}
        return {name: run for name, run in (passes | texts).items() if run is not None}

    def see(self, pixels: Tensor | None) -> None:
        """Read an image, of clip_pixels (3, s, s), and the opening; or the opening alone."""
        if pixels is None:
            self._open()
        elif self._look is not None:
            self._look(pixels=pixels)

    def read(self, ids: Sequence[int]) -> None:
        """Read a text behind the opening."""
        self._begin()
        self._turn += 1
        for first in range(0, len(ids), LENGTHS[-1]):
            part = ids[first : first + LENGTHS[-1]]
            length = min(x for x in LENGTHS if x >= len(part))
            padded = torch.zeros(length, dtype=torch.int64)
            padded[: len(part)] = torch.tensor(list(part))
            self._texts[length](ids=padded, count=[len(part)])

    def pose(self) -> PoseOutput:
        """Return the pose of the text, on the host."""
        found = None if self._point is None else self._point()
        assert found is not None
        found = found.clone()
        return PoseOutput(found[:, :2], found[:, 2:])

    def generate(
        self, *, max_tokens: int, stop: Collection[int], top_p: TopP | None = None
    ) -> Iterator[int]:
        """Yield the tokens that follow the text, as generation.generate does; greedy by default.

        Raises RuntimeError where another text is read before it has ended.
        """
        turn = self._turn
        choose, step = self._choose, self._step
        if top_p is not None:
            choose, step = self._choose_drawn, self._step_drawn
        for number in range(max_tokens):
            if self._turn != turn:
                raise RuntimeError('another text was read while this answer was not at its end')
            run = step if number else choose
            found = run(**({} if top_p is None else top_p.draw()))
            assert found is not None
            token = int(found)
            if token in stop:
                return
            yield token

    def _see(self, pixels: Tensor | None = None) -> None:
        language, vision = self._network.language, self._network.vision
        tokens = language.embedding(self._opening)
        if pixels is not None and vision is not None:
            images = ((pixels / 255.0 - self._mean) / self._std)[None]
            tokens = torch.cat((vision(images), tokens), dim=1)
        hidden, state = language.backbone(tokens)
        self._opened.restore(state)
        self._first.copy_(hidden[:, -self._opening.shape[1]])

    def _read(self, ids: Tensor, count: Tensor) -> None:
        language = self._network.language
        embeddings = language.embedding(ids[None])
        hidden, _ = language.backbone(embeddings, self._state, valid=count, in_place=True)
        self._last.copy_(hidden[0].index_select(0, count - 1))

    def _pose(self) -> Tensor:
        pose = self._network.pose(self._first, self._last)
        return torch.cat((pose.contact, pose.directions), dim=-1)

    def _advance(self) -> None:
        language = self._network.language
        embeddings = language.embedding(self._token)
        hidden, _ = language.backbone(embeddings, self._state, in_place=True)
        self._last.copy_(hidden[:, -1])

    def _greedy(self) -> Tensor:
        logits = self._network.language.logits(self._last)
        return self._token.copy_(logits.argmax(dim=-1, keepdim=True))

    def _greedy_step(self) -> Tensor:
        self._advance()
        return self._greedy()

    def _draw(self, number: Tensor, top_p: Tensor, temperature: Tensor) -> Tensor:
        logits = self._network.language.logits(self._last)[0]
        return self._token.copy_(drawn(logits, number, top_p, temperature))

    def _draw_step(self, number: Tensor, top_p: Tensor, temperature: Tensor) -> Tensor:
        self._advance()
        return self._draw(number, top_p, temperature)
