"""Two-stage training of AnoleVLA (paper section IV-C) from a demonstration store.

Stage 1 minimises the velocity loss, stage 2 adds the acceleration loss. Everything random is a
function of the seed and the step, and a run saves all that moves, so a resumed run repeats what an
uninterrupted one does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from robomamba_ros.errors import RoboMambaError
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.mamba.state import MambaState
from robomamba_ros.policies.anolevla.checkpoint import save
from robomamba_ros.policies.checkpoint import torch_device
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.training.anolevla import start
from robomamba_ros.training.anolevla.batches import (
    Batch,
    BatchReader,
    BatchSampler,
    fit_normalization,
)
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.anolevla.kept_maps import KeptMaps, keep
from robomamba_ros.training.anolevla.localization import Targets, find_targets
from robomamba_ros.training.anolevla.objective import Objective
from robomamba_ros.training.anolevla.run_files import RunFiles
from robomamba_ros.training.anolevla.samples import Samples
from robomamba_ros.training.anolevla.sources import describe, open_samples, prepare
from robomamba_ros.training.anolevla.streams import Ticks
from robomamba_ros.training.anolevla.validation import Best, Validation
from robomamba_ros.training.anolevla.wordings import Wordings
from robomamba_ros.training.shared.distributed import Group
from robomamba_ros.training.shared.optimization import (
    average,
    copy_weights,
    make_optimizer,
    set_learning_rate,
)
from robomamba_ros.training.shared.precision import resolve_dtype
from robomamba_ros.training.shared.record import Record


@dataclass(frozen=True)
class Progress:
    """One training step: losses on the unit scale.

    error: velocity loss of the held-out samples, where it was measured after this step.
    """

    step: int
    stage: int
    losses: dict[str, float]
    error: float | None


class Trainer:
    """One run in one directory; `run` continues where the directory's state stands.

    group: the processes that train together, one of which writes. device: of this process, where
    it is not the configuration's. notes: what else run.json is to say of this start.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        group: Group | None = None,
        device: torch.device | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        self._group = group or Group()
        self._device = device or torch_device(config.device)
        config = replace(config, dtype=resolve_dtype(config.dtype, self._device))
        self.config, self._files = config, RunFiles(config)
        config.check_processes(self._group.size)
        torch.manual_seed(config.seed)
        template = start.read_template(config)
        for _ in prepare(config, template):
            pass
        samples, held_out = open_samples(config)
        known = Instructions.of(samples.instructions)
        wordings = Wordings.of(config, known, samples.meta.instructions)
        # A run that goes on keeps its words and scales, even where the data has grown since.
        if self._files.resumed:
            length = template.language.length
            self.tokenizer = InstructionTokenizer.load(self._files.tokenizer, length)
            self.normalization = Normalization.load(self._files.normalization)
        else:
            self.tokenizer = start.read_tokenizer(config, template, wordings.corpus)
            self.normalization = fit_normalization(samples)
        self.network, self.fresh = start.make_network(
            config,
            template,
            samples.meta,
            wordings.described(known),
            self.tokenizer.vocabulary,
            resumed=self._files.resumed,
        )
        if config.freeze_vision:
            start.freeze(self.network, trained=bool(config.initial))
        targets = find_targets(config, samples)
        if targets is not None and not config.initial:
            start.expect(self.network, targets.points)
        if config.delta_dropout >= 1.0:
            # It is never given in training; what it weighs in inference is to be nothing, too.
            nn.init.zeros_(self.network.delta_state.weight)
        self.network.to(self._device)
        self._ema = copy_weights(self.network)
        self._optimizer = self._make_optimizer()
        self._best = Best()
        self.step = 0
        self._stream = Objective(self.network, config, self._group, config.streaming)
        if self._files.resumed:
            self._restore()
        self._objective: nn.Module = self._stream
        if self._group.size > 1:
            # Without the localisation loss some parameters have no gradient.
            self._objective = DistributedDataParallel(
                self._objective, find_unused_parameters=not config.localization_weight
            )
        tokens = wordings.tokens(self.tokenizer)[:, 0]
        self._kept = keep(config, samples, self.network, self._files.folder, tokens)
        reader = self._reader(samples, wordings, targets, self._kept)
        self._sampler = BatchSampler(reader, config, self._ticks(samples))
        self._validation = None
        if held_out is not None:
            words = Wordings.own(known, held_out.meta.instructions)
            reader = self._reader(held_out, words, find_targets(config, held_out))
            self._validation = Validation(
                reader, self.network, config, self._group, self._ticks(held_out)
            )
        self._record = None
        if self._group.is_main:
            about = {
                **(notes or {}),
                'config': asdict(config),
                'data': describe(samples, held_out),
                'parameters': sum(p.numel() for p in self.network.parameters()),
                'processes': self._group.size,
            }
            self._record = Record(self._files.folder, self.step, about)

    @property
    def stage(self) -> int:
        """The stage that the next step belongs to."""
        return 1 if self.step < self.config.stage1_steps else 2

    def run(self, until: int | None = None) -> Iterator[Progress]:
        """Train to step `until` (default: the end), yielding every step; saves as it goes.

        A stage whose held-out error has stopped falling is cut short: its other steps are skipped.
        """
        last = self.config.steps if until is None else min(until, self.config.steps)
        for _ in self.keep_maps():
            pass
        self.network.train()
        while self.step < last:
            begun, stage = time.perf_counter(), self.stage
            losses, norm = self._train_step()
            self.step += 1
            done, error = self.step, self._validate(stage)
            rate = self.config.batch_size / (time.perf_counter() - begun)
            others = {'gradient_norm': norm, 'samples_per_second': rate}
            self._write(done, stage, losses | others, last)
            yield Progress(done, stage, losses, error)

    def _train_step(self) -> tuple[dict[str, float], float]:
        config = self.config
        set_learning_rate(self._optimizer, config.rate(self.step))
        found = self._objective(self._batch(), self.stage == 2)
        self._optimizer.zero_grad(set_to_none=True)
        found.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.gradient_norm)
        if not torch.isfinite(norm):
            raise RoboMambaError(
                f'the gradient is {norm.item()} at step {self.step}; lower learning_rate '
                f'(now {config.learning_rate}) and resume from {config.output}'
            )
        self._optimizer.step()
        average(self._ema, self.network, config.ema_decay, self.step)
        return {name: float(value) for name, value in found.means.items()}, float(norm)

    def _batch(self) -> Batch:
        """Return this process's part of the step's batch."""
        return self._sampler.batch(self.step, self._group.rank_slice)

    def _validate(self, stage: int) -> float | None:
        """Measure the held-out error where it is due; keep the best weights, and end a stage."""
        config = self.config
        end = config.stage1_steps if stage == 1 else config.steps
        due = self.step % config.validation_every == 0 or self.step == end
        if self._validation is None or not due:
            return None
        losses = self._validation.losses(self._ema)
        error = losses['velocity']
        if self._best.better(error):
            self._export()
        if self._record is not None:
            named = {f'held_out_{name}': value for name, value in losses.items()}
            self._record.line(self.step, stage, named)
        if self.step == end or 0 < config.patience <= self._best.since:
            self.step = end
            if stage == 1:
                self._begin_stage_2()
        return error

    def _begin_stage_2(self) -> None:
        """Go on from the best weights of stage 1, with an optimizer that has seen nothing else."""
        self._group.barrier()
        weights = self._files.weights()
        self.network.load_state_dict(weights)
        self._ema = copy_weights(self.network)
        self._optimizer = self._make_optimizer()
        self._best = Best()
        self._stream.carried = None

    def _write(self, done: int, stage: int, values: dict[str, float], last: int) -> None:
        config = self.config
        saves = done % config.save_every == 0 or self.step >= last
        if self._record is not None:
            self._record.add(values)
            if saves or done % config.log_every == 0:
                self._record.write(done, stage)
        if saves:
            self.save()

    def save(self) -> None:
        """Write the state, and the checkpoint where nothing held out says which weights are best.

        The checkpoint has averaged weights.
        """
        if not self._group.is_main:
            return
        if self._validation is None or not self._files.normalization.is_file():
            self._export()
        self._files.save(
            {
                'step': self.step,
                'network': self.network.state_dict(),
                'ema': self._ema,
                'optimizer': self._optimizer.state_dict(),
                'best': asdict(self._best),
                'carried': None if self._stream.carried is None else self._stream.carried.tensors(),
            }
        )

    def _make_optimizer(self) -> torch.optim.AdamW:
        config = self.config
        named = [(n, p) for n, p in self.network.named_parameters() if p.requires_grad]
        return make_optimizer(named, config.learning_rate, config.weight_decay)

    def _export(self) -> None:
        if self._group.is_main:
            folder, network = self._files.checkpoint, self.network.config
            save(folder, network, self._ema, self.tokenizer, self.normalization)

    def _restore(self) -> None:
        with self._files.restoring() as state:
            # The averages have to fit the network too: it takes them first.
            for weights in (state['ema'], state['network']):
                self.network.load_state_dict(weights)
            self._ema = {name: value.to(self._device) for name, value in state['ema'].items()}
            self._optimizer.load_state_dict(state['optimizer'])
            self._best = Best(**state.get('best', {}))
            self.step = state['step']
            if state.get('carried'):
                self._stream.carried = MambaState.of(state['carried']).to(self._device)

    def keep_maps(self) -> Iterator[tuple[int, int]]:
        """Compute the maps that are to be kept; yields (frames done, frames). `run` does it too."""
        if self._kept is not None:
            if self._group.is_main:
                yield from self._kept.fill()
            self._group.barrier()

    def _reader(
        self,
        samples: Samples,
        wordings: Wordings,
        targets: Targets | None,
        kept: KeptMaps | None = None,
    ) -> BatchReader:
        scales = self.normalization
        return BatchReader(samples, self.tokenizer, scales, wordings, self._device, targets, kept)

    def _ticks(self, samples: Samples) -> Ticks | None:
        if self.config.streaming == 1:
            return None
        return Ticks(samples, self.network.config.spec.execute_steps)
