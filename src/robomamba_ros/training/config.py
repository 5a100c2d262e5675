"""The settings of a training run, read from YAML and checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from robomamba_ros.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class TrainConfig:
    """What a run does; config/training/*.yaml holds one of these.

    acceleration_weight is the paper's lambda_acc (not stated there); localization_weight 0 turns
    the localisation loss off. threads: CPU threads to use. policy: a file of config/policies by
    name, or a path; its cameras, state and actions give way to those of the data. emphasis: how
    much more often than others an instruction is drawn.
    """

    data: str
    output: str
    stage1_steps: int = 12_000
    stage2_steps: int = 3_000
    batch_size: int = 64
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup_steps: int = 300
    weight_decay: float = 1e-2
    gradient_norm: float = 1.0
    ema_decay: float = 0.999
    acceleration_weight: float = 0.5
    localization_weight: float = 0.2
    bfloat16: bool = True
    seed: int = 0
    threads: int = 2
    save_every: int = 500
    policy: str = 'anolevla-small'
    emphasis: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.stage1_steps + self.stage2_steps <= 0 or self.batch_size <= 0:
            raise ConfigError('a training run needs stage1_steps + stage2_steps > 0 and a batch')

    @property
    def steps(self) -> int:
        """Steps of both stages."""
        return self.stage1_steps + self.stage2_steps


def load_train_config(path: Path, overrides: Mapping[str, Any]) -> TrainConfig:
    """Read a run's YAML file, with some of its settings replaced.

    Raises ConfigError with every wrong key and value at once.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f'{path} cannot be read as YAML: {error}') from error
    if not isinstance(settings, dict):
        raise ConfigError(f'{path} must hold settings as key: value')
    settings = {**settings, **overrides}
    problems = list(_problems(settings))
    if problems:
        raise ConfigError(f'{path}:\n  ' + '\n  '.join(problems))
    return TrainConfig(**settings)


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Return settings given as 'key=value' on a command line; values are read as YAML."""
    settings = {}
    for text in texts:
        key, equals, value = text.partition('=')
        if not equals:
            raise ConfigError(f"'{text}' is not a setting; write KEY=VALUE")
        settings[key] = yaml.safe_load(value)
    return settings


# With postponed annotations the type of a field is its name.
_ALLOWED: Mapping[str, tuple[type, ...]] = {
    'int': (int,),
    'float': (int, float),
    'bool': (bool,),
    'str': (str,),
    'dict[str, float]': (dict,),
}


def _problems(settings: Mapping[str, Any]) -> list[str]:
    known = {f.name: f for f in fields(TrainConfig)}
    problems = [unknown_name('setting', str(key), known) for key in settings if key not in known]
    for name, spec in known.items():
        if name in settings:
            problems += _value_problems(name, str(spec.type), settings[name])
        elif spec.default is MISSING and spec.default_factory is MISSING:
            problems.append(f'{name}: missing')
    return problems


def _value_problems(name: str, kind: str, value: Any) -> list[str]:
    if kind == 'dict[str, float]' and isinstance(value, dict):
        return [p for key, part in value.items() for p in _value_problems(key, 'float', part)]
    if not isinstance(value, _ALLOWED[kind]) or (isinstance(value, bool) and kind != 'bool'):
        hint = ' (YAML reads 1e-3 as text; write 1.0e-3)' if kind == 'float' else ''
        return [f'{name}: {value!r} is not {kind}{hint}']
    if isinstance(value, (int, float)) and value < 0:
        return [f'{name}: {value} is negative']
    return []
