"""The settings of RoboMamba's training, read from YAML and checked before anything starts.

Stages 1.1, 1.2 and 2 are the paper's (sections 3.3 and 3.4). Stage 0 is not: it trains everything,
for networks whose vision has never seen anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from robomamba_ros.common.config_file import Range, Section, refuse
from robomamba_ros.common.documents import read_yaml
from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.base import TRAINING_DTYPES


@dataclass(frozen=True)
class StageSpec:
    """Which weights a stage trains, and on which data."""

    # Beginnings of parameter names; every other parameter is frozen.
    trains: tuple[str, ...]
    # Whether it learns from the pose data set.
    poses: bool
    # Whether it learns from the conversations.
    conversations: bool


STAGES: Mapping[str, StageSpec] = {
    '0': StageSpec(('vision.', 'language.', 'head.'), poses=True, conversations=True),
    '1.1': StageSpec(('vision.connector.',), poses=False, conversations=True),
    '1.2': StageSpec(('vision.connector.', 'language.'), poses=False, conversations=True),
    '2': StageSpec(('head.',), poses=True, conversations=False),
}


@dataclass(frozen=True)
class StageConfig:
    """How a stage trains. DEFAULTS has the values of each stage."""

    # Passes over the poses, where the stage learns them, else over the conversations.
    epochs: int
    # Largest rate of AdamW. It rises over `warmup` and falls along a cosine to 0.
    learning_rate: float
    # AdamW's decay of matrices; vectors and Mamba's A and D do not decay.
    weight_decay: float = 0.0
    # Samples of one step.
    batch_size: int = 32
    # Conversations beside a batch of poses, where the stage learns both.
    conversation_batch: int = 8
    # Share of the steps in which the rate rises, 0 .. 1.
    warmup: float = 0.03
    # Norm to which the gradient is clipped.
    gradient_norm: float = 1.0
    # Weight of the L1 distance of the contact point (of one image side).
    contact_weight: float = 1.0
    # Weight of the angle between rotations [rad].
    direction_weight: float = 1.0
    # Weight of the cross entropy of the answers' tokens.
    answer_weight: float = 1.0
    # Weight of a loss that asks each image patch whether the contact is in it; not the paper's.
    # It helps vision that starts at random, so only stage 0 of the shipped run uses it. 0: off.
    localization_weight: float = 0.0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.conversation_batch) < 1:
            raise ConfigError('a stage needs at least 1 epoch and batches of at least 1')
        if not 0.0 <= self.warmup <= 1.0:
            raise ConfigError(f'warmup is {self.warmup}; it is a share of the steps, 0 to 1')


# Epochs, rates and the decay of the head are the paper's; it does not state the rest.
DEFAULTS: Mapping[str, StageConfig] = {
    '0': StageConfig(epochs=10, learning_rate=1e-3, weight_decay=0.05),
    '1.1': StageConfig(epochs=1, learning_rate=4e-5),
    '1.2': StageConfig(epochs=2, learning_rate=4e-5),
    '2': StageConfig(epochs=8, learning_rate=1e-5, weight_decay=0.1),
}


@dataclass(frozen=True)
class RoboMambaTraining:
    """What a run does; config/training/robomamba*.yaml hold one of these each."""

    # A checkpoint directory, the name of one in models/, or a file of config/policies by name or
    # path: then the network starts with random weights.
    start: str
    # Folder of the run; each stage gets a directory in it.
    output: str
    # Stages by name, in their order.
    stages: Mapping[str, StageConfig]
    # Pose data set: a folder. Empty where no stage learns poses.
    poses: str = ''
    # A JSON file of conversations, or a folder of them. Empty where no stage learns them.
    conversations: str = ''
    # Folder that image paths of conversations are relative to; empty: the one with the JSON file.
    images: str = ''
    # Type of the matrix products: float32 or bfloat16; auto: bfloat16 where the device is fast in
    # it. Weights and optimizer stay float32.
    dtype: str = 'auto'
    # Of everything random: the same seed repeats a run.
    seed: int = 0
    # CPU threads to use.
    threads: int = 2
    # cpu, cuda or cuda:N.
    device: str = 'cpu'
    # Steps between two writings of state and checkpoint.
    save_every: int = 500
    # Steps that one line of metrics.jsonl is a mean over.
    log_every: int = 10

    def __post_init__(self) -> None:
        for stage in self.stages:
            for name in ('poses', 'conversations'):
                if getattr(STAGES[stage], name) and not getattr(self, name):
                    raise ConfigError(f'stage {stage} learns from {name}: give their folder')


TEXTS = ('start', 'output', 'poses', 'conversations', 'images', 'device')
MOST = 10**9
RATE = Range(0.0, 1.0, '1', 'a step would be larger than the weights')
WEIGHT = Range(0.0, 1e6, '1', 'nothing else would count beside it')
SHARE = Range(0.0, 1.0, '1', 'it is a share of the steps')
RANGES: Mapping[str, Range] = {'learning_rate': RATE, 'weight_decay': RATE, 'warmup': SHARE}
COUNTS = ('threads', 'save_every', 'log_every')


def load_robomamba_training(path: Path, overrides: Mapping[str, Any]) -> RoboMambaTraining:
    """Read a run's YAML file, with some of its settings replaced.

    Raises ConfigError with every wrong key and value at once.
    """
    document, errors = read_yaml(path)
    if isinstance(document, dict):
        document = {**document, **overrides}
    known = [field.name for field in fields(RoboMambaTraining)]
    root = Section(document, '', errors, known[:3], known[3:])
    settings: dict[str, Any] = {
        name: root.text(name, 'a path or a name')
        for name in TEXTS
        if root.has(name) or name in known[:3]
    }
    settings |= {name: root.integer(name, 1, most=MOST) for name in COUNTS if root.has(name)}
    if root.has('seed'):
        settings['seed'] = root.integer('seed', 0, most=2**31)
    if root.has('dtype'):
        settings['dtype'] = root.choice('dtype', TRAINING_DTYPES)
    stages = root.section('stages', (), tuple(STAGES))
    names = [name for name in STAGES if stages.has(name)]
    if stages.clean and not names:
        stages.error('', 'no stage', ', '.join(STAGES))
    settings['stages'] = {name: _read_stage(stages, name) for name in names}
    refuse(f'the run {path}', errors)
    return RoboMambaTraining(**settings)


def _read_stage(stages: Section, name: str) -> StageConfig:
    known = [field.name for field in fields(StageConfig)]
    section = stages.section(name, (), known)
    given: dict[str, Any] = {}
    for key in known:
        if not section.has(key):
            continue
        if isinstance(getattr(DEFAULTS[name], key), int):
            given[key] = section.integer(key, 1, most=MOST)
        else:
            given[key] = section.within(key, RANGES.get(key, WEIGHT))
    try:
        return replace(DEFAULTS[name], **given)
    except ConfigError as error:
        section.problem('', str(error))
        return DEFAULTS[name]
