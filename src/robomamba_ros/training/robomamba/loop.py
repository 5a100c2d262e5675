"""RoboMamba's training, stage by stage (paper sections 3.3 and 3.4).

Each stage has a directory: its checkpoint, what it needs to go on, and its record. Everything
random is a function of the seed and the step, so a resumed run repeats what an uninterrupted one
does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robomamba_ros.datasets.conversations import Conversation, read_conversations
from robomamba_ros.datasets.poses import PoseSample, read_poses
from robomamba_ros.errors import RoboMambaError
from robomamba_ros.policies.checkpoint import torch_device, writing
from robomamba_ros.policies.robomamba.checkpoint import save
from robomamba_ros.policies.robomamba.network import last_token
from robomamba_ros.policies.robomamba.prompts import ASSISTANT, USER, Prompts
from robomamba_ros.training.robomamba.batches import (
    ConversationBatch,
    ConversationBatches,
    Images,
    PoseBatch,
    PoseBatches,
)
from robomamba_ros.training.robomamba.config import STAGES, RoboMambaTraining, StageConfig
from robomamba_ros.training.robomamba.losses import (
    answer_loss,
    contact_loss,
    direction_loss,
    patch_loss,
)
from robomamba_ros.training.robomamba.start import begin
from robomamba_ros.training.shared.checkpointing import (
    CHECKPOINT,
    STATE_FILE,
    is_begun,
    refuse_other_settings,
    restoring,
)
from robomamba_ros.training.shared.optimization import cosine, make_optimizer, set_learning_rate
from robomamba_ros.training.shared.precision import autocast, resolve_dtype
from robomamba_ros.training.shared.record import Record


@dataclass(frozen=True)
class StageProgress:
    """One step of a stage: its number out of how many, and its losses."""

    stage: str
    step: int
    steps: int
    losses: dict[str, float]


class RoboMambaTrainer:
    """A run of stages in one directory; `run` continues where it stands."""

    def __init__(self, config: RoboMambaTraining) -> None:
        self.config = replace(
            config, dtype=resolve_dtype(config.dtype, torch_device(config.device))
        )
        self._poses: list[PoseSample] = read_poses(Path(config.poses)) if config.poses else []
        self._conversations: list[Conversation] = []
        if config.conversations:
            images = Path(config.images) if config.images else None
            self._conversations = read_conversations(Path(config.conversations), images)

    @property
    def checkpoint(self) -> Path:
        """The directory of the last stage's checkpoint."""
        return self._folder(list(self.config.stages)[-1]) / CHECKPOINT

    def run(self, until: int | None = None) -> Iterator[StageProgress]:
        """Train stage after stage, yielding every step; `until` ends each at this step of its own.

        Raises ConfigError and CheckpointError where a start or a resumed state does not fit.
        """
        start = self.config.start
        for name in self.config.stages:
            stage = self.stage(name, start)
            yield from stage.run(until)
            start = str(self._folder(name) / CHECKPOINT)

    def stage(self, name: str, start: str) -> Stage:
        """Return one stage that starts from a checkpoint or policy file, or goes on."""
        return Stage(name, self.config, start, self._folder(name), self._poses, self._conversations)

    def _folder(self, stage: str) -> Path:
        return Path(self.config.output) / f'stage-{stage}'


class Stage:
    """One stage in its directory. network: what it trains; step: how far it is."""

    def __init__(
        self,
        name: str,
        config: RoboMambaTraining,
        start: str,
        folder: Path,
        poses: list[PoseSample],
        conversations: list[Conversation],
    ) -> None:
        self.name, self.folder = name, folder
        self._run, self._config, self._spec = config, config.stages[name], STAGES[name]
        self._device = torch_device(config.device)
        began = begin(start, _corpus(poses, conversations), config.seed, head=self._spec.poses)
        self.network, self.tokenizer = began.network.to(self._device), began.tokenizer
        vision = self.network.config.vision
        assert vision is not None
        prompts, images = Prompts(self.tokenizer), Images(vision.clip.image_size)
        size = self._config.batch_size
        self._poses = self._conversations = None
        if self._spec.poses:
            self._poses = PoseBatches(poses, images, prompts, size, config.seed)
            texts = self._poses.instructions
            self.network.config = replace(self.network.config, instructions=texts)
        if self._spec.conversations:
            beside = self._config.conversation_batch if self._spec.poses else size
            if 'language.' not in self._spec.trains:
                # The connector learns nothing from a conversation without an image.
                conversations = [each for each in conversations if each.image is not None]
            self._conversations = ConversationBatches(
                conversations, images, prompts, beside, config.seed
            )
        self._probe = nn.Linear(vision.clip.hidden_size, 3).to(self._device)
        self._optimizer = self._make_optimizer()
        self.step = 0
        if is_begun(folder / STATE_FILE):
            self._restore()

    @property
    def steps(self) -> int:
        """Steps of the stage."""
        batches = self._poses or self._conversations
        assert batches is not None
        return self._config.epochs * batches.order.per_epoch

    def run(self, until: int | None = None) -> Iterator[StageProgress]:
        """Train to step `until` (default: the end), yielding every step; saves as it goes."""
        last = self.steps if until is None else min(until, self.steps)
        if self.step >= last:
            return
        left_out = 0 if self._poses is None else self._poses.left_out
        made = {'stage': self.name, 'poses_left_out': left_out, 'settings': asdict(self._run)}
        record = Record(self.folder, self.step, made)
        number = list(STAGES).index(self.name)
        self.network.train()
        while self.step < last:
            began = time.perf_counter()
            losses = self._train_step()
            self.step += 1
            record.add({**losses, 'seconds': time.perf_counter() - began})
            if self.step % self._run.log_every == 0 or self.step == last:
                record.write(self.step, number)
            if self.step % self._run.save_every == 0 or self.step == last:
                self.save()
            yield StageProgress(self.name, self.step, self.steps, losses)

    def _train_step(self) -> dict[str, float]:
        set_learning_rate(self._optimizer, learning_rate(self._config, self.step, self.steps))
        losses = self.losses(self.step)
        total = sum(self._weight(name) * loss for name, loss in losses.items())
        assert isinstance(total, Tensor)
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()
        trained = [p for group in self._optimizer.param_groups for p in group['params']]
        norm = torch.nn.utils.clip_grad_norm_(trained, self._config.gradient_norm)
        if not torch.isfinite(norm):
            raise RoboMambaError(
                f'the gradient of stage {self.name} is {norm.item()} at step {self.step}; lower '
                f'learning_rate (now {self._config.learning_rate})'
            )
        self._optimizer.step()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _weight(self, loss: str) -> float:
        return float(getattr(self._config, f'{loss}_weight'))

    def losses(self, step: int) -> dict[str, Tensor]:
        """Return every loss of the batches of a step, unweighted."""
        losses: dict[str, Tensor] = {}
        if self._poses is not None:
            losses |= self._pose_losses(self._poses.batch(step))
        if self._conversations is not None:
            losses['answer'] = self._answer_loss(self._conversations.batch(step))
        return losses

    def _pose_losses(self, batch: PoseBatch) -> dict[str, Tensor]:
        with self._autocast():
            seen, hidden = self._read(batch.images, batch.text)
            marks = self._probe(seen) if self._config.localization_weight else None
        last = last_token(hidden, batch.lengths.to(self._device))
        pose = self.network.pose(hidden[:, 0].float(), last.float())
        contact, directions = batch.contact.to(self._device), batch.directions.to(self._device)
        losses = {
            'contact': contact_loss(pose.contact, contact),
            'direction': direction_loss(pose.directions, directions),
        }
        if marks is not None:
            losses['localization'] = patch_loss(marks.float(), contact)
        return losses

    def _answer_loss(self, batch: ConversationBatch) -> Tensor:
        with self._autocast():
            _, hidden = self._read(batch.images, batch.text)
            logits = self.network.language.logits(hidden)
        text = batch.text.to(self._device)
        return answer_loss(logits.float(), text, batch.answers.to(self._device))

    def _read(self, images: Tensor | None, text: Tensor) -> tuple[Tensor, Tensor]:
        """Return CLIP's tokens (b, n, hidden_size) and the hidden states of the text (b, l, d)."""
        embedded = self.network.language.embedding(text.to(self._device))
        vision = self.network.vision
        assert vision is not None
        if images is None:
            return embedded[:, :0], self.network.language.backbone(embedded)[0]
        seen = vision.clip(images.to(self._device))
        tokens = torch.cat((vision.connector(seen), embedded), dim=1)
        hidden, _ = self.network.language.backbone(tokens)
        return seen, hidden[:, -text.shape[1] :]

    def _autocast(self) -> Any:
        return autocast(self._device, self._run.dtype)

    def _make_optimizer(self) -> torch.optim.AdamW:
        """Return AdamW over what the stage trains; all else is frozen."""
        trained: list[tuple[str, nn.Parameter]] = []
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name.startswith(self._spec.trains))
            if parameter.requires_grad:
                trained.append((name, parameter))
        probe = self._probe.parameters() if self._config.localization_weight else ()
        return make_optimizer(trained, self._config.learning_rate, self._config.weight_decay, probe)

    def save(self) -> None:
        """Write the checkpoint, then the state by which the stage goes on."""
        weights = {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}
        save(self.folder / CHECKPOINT, self.network.config, weights, self.tokenizer)
        state = {
            'settings': self._settings(),
            'step': self.step,
            'network': self.network.state_dict(),
            'probe': self._probe.state_dict(),
            'optimizer': self._optimizer.state_dict(),
        }
        with writing(self.folder, STATE_FILE) as (path,):
            torch.save(state, path)

    def _restore(self) -> None:
        path = self.folder / STATE_FILE
        with restoring(path, self._device) as state:
            refuse_other_settings(path, state['settings'], self._settings())
            self.network.load_state_dict(state['network'])
            self._probe.load_state_dict(state['probe'])
            self._optimizer.load_state_dict(state['optimizer'])
            self.step = state['step']

    def _settings(self) -> dict[str, Any]:
        return {**asdict(self._config), 'seed': self._run.seed}


def learning_rate(config: StageConfig, step: int, steps: int) -> float:
    """Return the rate at a step: linear warm-up, then a cosine down to 0."""
    warmup = config.warmup * steps
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    return cosine(step, warmup, steps, peak=config.learning_rate, final=0.0)


def _corpus(poses: list[PoseSample], conversations: list[Conversation]) -> Iterator[str]:
    """Yield the texts of the data with the marks of who speaks, for a tokenizer."""
    for sample in poses:
        yield f'{USER} {sample.instruction}\n'
    for conversation in conversations:
        for turn in conversation.turns:
            yield f'{USER} {turn.question}\n{ASSISTANT} {turn.answer}\n'
