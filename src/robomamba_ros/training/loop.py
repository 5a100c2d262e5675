"""Two-stage training of AnoleVLA (paper section IV-C) from a demonstration store.

Stage 1 minimises the velocity loss, stage 2 adds the acceleration loss. Everything random is a
function of the seed and the step, and a run saves all that moves, so a resumed run repeats what
an uninterrupted one does. Knows nothing about simulators or the command line.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from robomamba_ros.data.demonstrations import DatasetMeta, open_shards
from robomamba_ros.errors import CheckpointError, ConfigError, RoboMambaError
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.checkpoint import save
from robomamba_ros.policies.anolevla.config import AnoleVLAConfig, read_config
from robomamba_ros.policies.anolevla.network import AnoleVLA
from robomamba_ros.policies.base import CameraSpec
from robomamba_ros.policies.checkpoint import NORMALIZATION
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.resources import find_file
from robomamba_ros.training.batches import Batch, BatchSampler, fit_normalization
from robomamba_ros.training.config import TrainConfig
from robomamba_ros.training.losses import acceleration_loss, localization_loss, velocity_loss
from robomamba_ros.types import ActionSpace

STATE_FILE = 'training_state.pt'


@dataclass(frozen=True)
class Progress:
    """One training step: losses on the unit scale and the samples seen per second."""

    step: int
    stage: int
    losses: dict[str, float]
    samples_per_second: float


class Trainer:
    """One run in one directory; `run` continues where the directory's state stands."""

    def __init__(self, config: TrainConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.folder = Path(config.output)
        meta, shards = open_shards(Path(config.data))
        template = read_config(find_file('policies', config.policy), config.policy)
        words = template.language
        self.tokenizer = InstructionTokenizer.train(
            meta.instructions, words.vocabulary, words.length
        )
        # A run that goes on keeps its scales, even where the data set has grown since.
        scales = self.folder / 'checkpoint' / NORMALIZATION
        resumed = (self.folder / STATE_FILE).is_file()
        self.normalization = Normalization.load(scales) if resumed else fit_normalization(shards)
        self._sampler = BatchSampler(
            meta, shards, self.tokenizer, self.normalization, config.seed, config.emphasis
        )
        self.network = AnoleVLA(network_config(template, meta, self.tokenizer.vocabulary))
        self._ema = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self._optimizer = torch.optim.AdamW(
            _decay_groups(self.network, config.weight_decay), lr=config.learning_rate
        )
        self.step = 0
        if resumed:
            self._restore()

    def run(self, until: int | None = None) -> Iterator[Progress]:
        """Train to step `until` (default: the end), yielding every step; saves as it goes."""
        last = self.config.steps if until is None else min(until, self.config.steps)
        self.network.train()
        while self.step < last:
            start = time.perf_counter()
            losses = self._train_step()
            self.step += 1
            if self.step % self.config.save_every == 0 or self.step == last:
                self.save()
            elapsed = time.perf_counter() - start
            stage = 1 if self.step <= self.config.stage1_steps else 2
            yield Progress(self.step, stage, losses, self.config.batch_size / elapsed)

    def _train_step(self) -> dict[str, float]:
        config = self.config
        for group in self._optimizer.param_groups:
            group['lr'] = learning_rate(config, self.step)
        batch = self._sampler.batch(self.step, config.batch_size)
        losses = self.losses(batch)
        total = losses['velocity']
        if 'localization' in losses:
            total = total + config.localization_weight * losses['localization']
        if self.step >= config.stage1_steps:
            total = total + config.acceleration_weight * losses['acceleration']
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.gradient_norm)
        if not torch.isfinite(norm):
            raise RoboMambaError(
                f'the gradient is {norm.item()} at step {self.step}; lower learning_rate '
                f'(now {config.learning_rate}) and resume from {self.folder}'
            )
        self._optimizer.step()
        # A short average at first, or the random start would linger in it.
        decay = min(config.ema_decay, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self._ema[name].lerp_(value, 1.0 - decay)
        return {name: float(value.detach()) for name, value in losses.items()}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return every loss of a batch, unweighted."""
        with torch.autocast('cpu', torch.bfloat16, enabled=self.config.bfloat16):
            output = self.network(batch.images, batch.state, batch.delta_state, batch.instruction)
        actions = output.actions.float()
        losses = {
            'velocity': velocity_loss(actions, batch.actions, batch.valid),
            'acceleration': acceleration_loss(actions, batch.actions, batch.valid),
        }
        if output.localization is not None:
            keypoints, points = output.localization
            losses['localization'] = localization_loss(
                keypoints.float(), batch.pixels, points.float(), batch.points
            )
        return losses

    def save(self) -> None:
        """Write the training state, then the checkpoint (averaged weights) under checkpoint/."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            'config': asdict(self.config),
            'step': self.step,
            'network': self.network.state_dict(),
            'ema': self._ema,
            'optimizer': self._optimizer.state_dict(),
        }
        partial = self.folder / f'{STATE_FILE}.partial'
        torch.save(state, partial)
        partial.replace(self.folder / STATE_FILE)
        save(
            self.folder / 'checkpoint',
            self.network.config,
            self._ema,
            self.tokenizer,
            self.normalization,
        )

    def _restore(self) -> None:
        path = self.folder / STATE_FILE
        state = torch.load(path, weights_only=True)
        # Where the run ends, where its data lies and what it dwells on may change on resuming.
        free = {'stage1_steps', 'stage2_steps', 'emphasis', 'data', 'output', 'save_every'}
        free |= {'threads'}
        saved = state['config']
        changed = [k for k, v in asdict(self.config).items() if k not in free and saved.get(k) != v]
        if changed:
            raise CheckpointError(
                f'{path} was made with other settings of {", ".join(changed)}; give another '
                'output folder or the same settings'
            )
        self.network.load_state_dict(state['network'])
        self._ema = state['ema']
        self._optimizer.load_state_dict(state['optimizer'])
        self.step = state['step']


def network_config(template: AnoleVLAConfig, meta: DatasetMeta, vocabulary: int) -> AnoleVLAConfig:
    """Return the network of `template` with what a data set sees, measures and does.

    Raises ConfigError where the data set's images have not the size that the network reads.
    """
    if meta.crop.target != template.vision.image_size:
        raise ConfigError(
            f"the data set has images of {meta.crop.target} px, policy '{template.spec.name}' "
            f'reads {template.vision.image_size} px; give another policy or collect other images'
        )
    return replace(
        template,
        spec=replace(
            template.spec,
            cameras=(CameraSpec(meta.camera, meta.crop.height, meta.crop.width),),
            state_names=meta.state_names,
            action_space=ActionSpace(meta.action_space),
            action_names=meta.action_names,
            horizon=meta.horizon,
            dt_ns=meta.dt_ns,
            execute_steps=min(template.spec.execute_steps, meta.horizon),
        ),
        crops=(meta.crop,),
        language=replace(template.language, vocabulary=vocabulary),
    )


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the rate at a step: linear warm-up, then a cosine down to the final rate."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    span = max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * (step - config.warmup_steps) / span))
    return config.final_learning_rate + cosine * (config.learning_rate - config.final_learning_rate)


def _decay_groups(network: torch.nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Decay matrices only: vectors, and Mamba's A and D, which set time constants, stay free."""
    free = [p for n, p in network.named_parameters() if p.ndim < 2 or n.endswith(('A_log', '.D'))]
    decayed = [p for n, p in network.named_parameters() if p.ndim >= 2 and not n.endswith('A_log')]
    return [
        {'params': decayed, 'weight_decay': weight_decay},
        {'params': free, 'weight_decay': 0.0},
    ]
