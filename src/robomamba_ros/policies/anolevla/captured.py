"""AnoleVLA on a GPU: from camera frames to actions in one captured pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robomamba_ros.common.captured import Captured
from robomamba_ros.mamba.state import MambaState
from robomamba_ros.policies.anolevla.network import AnoleVLA, rescaled
from robomamba_ros.types import Float32Array, UInt8Array
from robomamba_ros.vision.area import AreaResize


class CapturedPass:
    """Computes what AnoleVLAPolicy computes step by step; frames are shrunk on the device too.

    network: on its device, frozen and packed. streamed: the state goes on from call to call until
    `reset`. keep: the state after an instruction that comes first is kept while it stays.
    """

    def __init__(self, network: AnoleVLA, *, streamed: bool, keep: bool) -> None:
        config, device = network.config, network.head.weight.device
        self._network = network
        self._streamed = streamed
        self._keep = keep
        self._said: str | None = None
        self._resizes = [AreaResize(crop.side, crop.target).to(device) for crop in config.crops]
        words = torch.zeros(config.language.length, dtype=torch.int64)
        measured = torch.zeros(len(config.spec.state_names))
        sides = [crop.side for crop in config.crops]
        frames = {
            f'frame{i}': torch.zeros(side, side, 3, dtype=torch.uint8)
            for i, side in enumerate(sides)
        }
        # What the pass over an image begins with: where nothing comes before it, nothing.
        self._state: MambaState | None = None
        if streamed or config.constant_prefix:
            self._state = MambaState.empty(config.backbone, 1, device=device)
        keeps = () if self._state is None else self._state.tensors()
        self._read: Captured | None = None
        if config.constant_prefix:
            self._read = Captured(self._instruct, {'words': words}, device, keeps)
        inputs = {'words': words, 'state': measured, 'delta_state': measured, **frames}
        self._act = Captured(self._infer, inputs, device, keeps)
        self.reset()

    @property
    def captured(self) -> dict[str, Captured]:
        """The passes by name: one over frames, and one over the instruction where that is first."""
        return {'chunk': self._act} | ({} if self._read is None else {'instruction': self._read})

    def reset(self) -> None:
        """Start an episode."""
        self._said = None
        if self._state is not None:
            self._state.reset()

    def __call__(
        self,
        images: Sequence[UInt8Array],
        state: Float32Array,
        delta_state: Float32Array,
        words: Tensor,
        instruction: str,
    ) -> Float32Array:
        """Return actions (H, d_a) on the unit scale.

        images: of each camera (h, w, 3), whole; state, delta_state (d_s,) on the unit scale; words
        (N_l,): the tokens of `instruction`.
        """
        if self._read is not None and not (self._keep and instruction == self._said):
            if not self._streamed and self._state is not None:
                self._state.reset()
            self._read(words=words)
        self._said = instruction
        frames = {
            f'frame{i}': crop.cut(image)
            for i, (image, crop) in enumerate(zip(images, self._network.config.crops, strict=True))
        }
        actions = self._act(words=words, state=state, delta_state=delta_state, **frames)
        assert actions is not None
        return actions.numpy().copy()

    def _instruct(self, words: Tensor) -> None:
        self._network.backbone(self._network.prefix(words[None]), self._state, in_place=True)

    def _infer(self, words: Tensor, state: Tensor, delta_state: Tensor, **frames: Tensor) -> Tensor:
        network = self._network
        seen = [resize(frames[f'frame{i}']) for i, resize in enumerate(self._resizes)]
        images = rescaled(torch.stack(seen))[None]
        tokens = network.tokens(images, state[None], delta_state[None], words[None])
        hidden, _ = network.backbone(tokens.rest, self._state, in_place=self._streamed)
        return network.actions(hidden)[0].float()
