"""AnoleVLA behind the Policy contract: physical units in, physical units out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from robomamba_ros.errors import ConfigError
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.mamba.cache import PrefixCache, Stream
from robomamba_ros.policies.anolevla.network import AnoleVLA, images_to_tensor
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.types import ActionChunk, Observation


class AnoleVLAPolicy:
    """The network with its tokenizer and scales.

    network: on its device and in its type; it is frozen. cache: see LoadOptions. Raises ConfigError
    where the order of the tokens leaves nothing to cache.
    """

    def __init__(
        self,
        network: AnoleVLA,
        tokenizer: InstructionTokenizer,
        normalization: Normalization,
        *,
        cache: str,
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

    @torch.inference_mode()
    def infer(self, observation: Observation) -> ActionChunk:
        """Return the chunk for one observation; raises ObservationError on a bad one."""
        spec, scales = self.spec, self._normalization
        spec.check(observation)
        crops = zip(spec.cameras, self._network.config.crops, strict=True)
        images = torch.stack(
            [self._tensor(crop(observation.images[camera.name])) for camera, crop in crops]
        )
        instruction, ids = self._prepared(observation.instruction)
        delta = observation.state - observation.previous_state
        prefix, rest, _ = self._network.tokens(
            images_to_tensor(images)[None],
            self._tensor(scales.state.normalize(observation.state))[None],
            self._tensor(scales.delta_state.normalize(delta))[None],
            ids,
        )
        hidden = self._hidden(prefix, rest, instruction)
        actions = self._network.actions(hidden)[0].float().cpu().numpy()
        return ActionChunk(
            stamp_ns=observation.stamp_ns,
            dt_ns=spec.dt_ns,
            actions=scales.action.restore(actions),
            space=spec.action_space,
            names=spec.action_names,
        )

    def _prepared(self, given: str) -> tuple[str, Tensor]:
        """Return an instruction in its trained spelling and its ids (1, l), kept while it stays."""
        if self._words is None or self._words[0] != given:
            spelled = self.spec.instructions.spelled(given)
            ids = self._tensor(self._tokenizer.encode(spelled))[None]
            self._words = given, spelled, ids
        return self._words[1:]

    def _hidden(self, prefix: Tensor | None, rest: Tensor, instruction: str) -> Tensor:
        """Return the hidden states of the last tokens (1, m, d_model)."""
        if self._stream is not None:
            # The stream remembers the instruction, until another one is given.
            said, self._said = self._said, instruction
            if prefix is None or instruction == said:
                return self._stream(rest)
            return self._stream(torch.cat([prefix, rest], dim=1))
        if prefix is not None:
            return self._prefix(prefix, rest)[0]
        hidden: Tensor = self._network.backbone(rest)[0]
        return hidden

    def _tensor(self, array: Any) -> Tensor:
        return torch.as_tensor(array).to(self._network.head.weight.device)
