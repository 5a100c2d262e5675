"""AnoleVLA behind the Policy contract: physical units in, physical units out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from robomamba_ros.common.captured import where_possible
from robomamba_ros.errors import ConfigError
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.mamba.cache import PrefixCache, Stream
from robomamba_ros.policies.anolevla.captured import CapturedPass
from robomamba_ros.policies.anolevla.network import AnoleVLA, images_to_tensor
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.types import ActionChunk, Float32Array, Observation, UInt8Array


class AnoleVLAPolicy:
    """The network with its tokenizer and scales.

    network: on its device and in its type; it is frozen. cache: see LoadOptions. captured: whether
    a pass is captured as a whole, which is the default on CUDA alone. Raises ConfigError where the
    order of the tokens leaves nothing to cache.
    """

    def __init__(
        self,
        network: AnoleVLA,
        tokenizer: InstructionTokenizer,
        normalization: Normalization,
        *,
        cache: str,
        captured: bool | None = None,
    ) -> None:
        config = network.config
        if cache == 'prefix' and not config.constant_prefix:
            raise ConfigError(
                f"policy '{config.spec.name}' reads its tokens in the order "
                f'{", ".join(config.token_order)}: what comes first changes at every inference, so '
                'there is no prefix to keep. Orders that begin with language have one; give cache '
                'none, or a policy trained with such an order.'
            )
        self._network = network.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._normalization = normalization
        keep = cache in ('auto', 'prefix') and config.constant_prefix
        self._prefix = PrefixCache(network.backbone, enabled=keep)
        self._stream = Stream(network.backbone) if cache == 'stream' else None
        streamed = cache == 'stream'

        def capture() -> CapturedPass:
            return CapturedPass(self._network, streamed=streamed, keep=keep or streamed)

        self._captured: CapturedPass | None = None
        if captured is None:
            self._captured = where_possible(capture, network.head.weight.device)
        elif captured:
            self._captured = capture()
        self._said: str | None = None
        # An instruction as it was given, as it was spelled in training, and its token ids.
        self._words: tuple[str, str, Tensor] | None = None

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self._network.config.spec

    def reset(self) -> None:
        """Start an episode: forget its stream, and the prefix."""
        self._prefix.clear()
        self._said = None
        if self._stream is not None:
            self._stream.reset()
        if self._captured is not None:
            self._captured.reset()

    @torch.inference_mode()
    def infer(self, observation: Observation) -> ActionChunk:
        """Return the chunk for one observation; raises ObservationError on a bad one."""
        spec, scales = self.spec, self._normalization
        spec.check(observation)
        images = [observation.images[camera.name] for camera in spec.cameras]
        instruction, words = self._prepared(observation.instruction)
        delta = observation.state - observation.previous_state
        run = self._captured or self._step_by_step
        actions = run(
            images,
            scales.state.normalize(observation.state),
            scales.delta_state.normalize(delta),
            words,
            instruction,
        )
        return ActionChunk(
            stamp_ns=observation.stamp_ns,
            dt_ns=spec.dt_ns,
            actions=scales.action.restore(actions),
            space=spec.action_space,
            names=spec.action_names,
        )

    def _prepared(self, given: str) -> tuple[str, Tensor]:
        """Return an instruction in its trained spelling and its ids (l,), kept while it stays."""
        if self._words is None or self._words[0] != given:
            spelled = self.spec.instructions.spelled(given)
            self._words = given, spelled, torch.as_tensor(self._tokenizer.encode(spelled))
        return self._words[1:]

    def _step_by_step(
        self,
        images: Sequence[UInt8Array],
        state: Float32Array,
        delta_state: Float32Array,
        words: Tensor,
        instruction: str,
    ) -> Float32Array:
        """Return what CapturedPass does."""
        crops = zip(images, self._network.config.crops, strict=True)
        seen = torch.stack([self._tensor(crop(image)) for image, crop in crops])
        prefix, rest, _ = self._network.tokens(
            images_to_tensor(seen)[None],
            self._tensor(state)[None],
            self._tensor(delta_state)[None],
            self._tensor(words)[None],
        )
        hidden = self._hidden(prefix, rest, instruction)
        actions: Float32Array = self._network.actions(hidden)[0].float().cpu().numpy()
        return actions

    def _hidden(self, prefix: Tensor | None, rest: Tensor, instruction: str) -> Tensor:
        """Return the hidden states of the last tokens (1, m, d_model)."""
        if self._stream is not None:
            # The stream remembers the instruction, until another one is given.
            said, self._said = self._said, instruction
            if prefix is None or instruction == said:
                return self._stream(rest)
            return self._stream(torch.cat([prefix, rest], dim=1))
        if prefix is not None:
            return self._prefix(prefix, rest, instruction)[0]
        hidden: Tensor = self._network.backbone(rest)[0]
        return hidden

    def _tensor(self, array: Any) -> Tensor:
        return torch.as_tensor(array).to(self._network.head.weight.device)
