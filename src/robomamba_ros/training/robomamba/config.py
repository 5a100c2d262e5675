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
from robomamba_ros.policies.base import DTYPES


@dataclass(frozen=True)
class Schooling:
    """What a stage trains, by the beginning of the parameters' names, and on what."""

    trains: tuple[str, ...]
    poses: bool
    conversations: bool


STAGES: Mapping[str, Schooling] = {
    '0': Schooling(('vision.', 'language.', 'head.'), poses=True, conversations=True),
    '1.1': Schooling(('vision.connector.',), poses=False, conversations=True),
    '1.2': Schooling(('vision.connector.', 'language.'), poses=False, conversations=True),
    '2': Schooling(('head.',), poses=True, conversations=False),
}


@dataclass(frozen=True)
class StageConfig:
    """How a stage trains.

    epochs: over the poses where it learns them, else over the conversations. talk_batch:
    conversations beside a batch of poses, where it learns both. warmup: share of the steps in which
    the rate rises; it falls along a cosine to 0. contact_weight, direction_weight, answer_weight:
    of the losses; localization_weight: of one that asks each image patch whether the contact is in
    it, in stage 0 only. gradient_norm: clipped to this.
    """

    epochs: int
    learning_rate: float
    weight_decay: float = 0.0
    batch_size: int = 32
    talk_batch: int = 8
    warmup: float = 0.03
    gradient_norm: float = 1.0
    contact_weight: float = 1.0
    direction_weight: float = 1.0
    answer_weight: float = 1.0
    localization_weight: float = 0.0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.talk_batch) < 1:
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
    """What a run does; config/training/robomamba*.yaml hold one of these each.

    start: a checkpoint directory or the name of one in models/, or a file of config/policies, by
    name or path, for a network of random weights. output: a directory for each stage is made in it.
    poses: a pose data set. conversations: a JSON file or a folder of them; images: the folder their
    image paths begin in, by default the one that holds them. stages: in their order.
    """

    start: str
    output: str
    stages: Mapping[str, StageConfig]
    poses: str = ''
    conversations: str = ''
    images: str = ''
    dtype: str = 'auto'
    seed: int = 0
    threads: int = 2
    device: str = 'cpu'
    save_every: int = 500
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
        settings['dtype'] = root.choice('dtype', DTYPES)
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
