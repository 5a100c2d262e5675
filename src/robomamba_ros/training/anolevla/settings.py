"""Reads the settings of a run from its file and the command line, with every error at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from robomamba_ros.common.config_file import Range, Section, refuse
from robomamba_ros.common.documents import parse_yaml, read_yaml
from robomamba_ros.errors import ConfigError
from robomamba_ros.training.anolevla.config import TrainConfig

# Of whole numbers: from, to. Anything else may be 0 and has no end that a run could reach.
COUNTS: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(('save_every', 'log_every', 'data_every', 'validation_every'), (1, 10**9)),
    **dict.fromkeys(('streaming', 'stream_segments'), (1, 1024)),
    'batch_size': (1, 65_536),
    'threads': (1, 1024),
    'augment_shift': (0, 1024),
    'augment_jpeg': (0, 100),
}
ANY_COUNT = (0, 10**9)
RATE = Range(0.0, 1.0, '1', 'a step would be larger than the weights')
SHARE = Range(0.0, 1.0, '1', 'it is a share')
WEIGHT = Range(0.0, 1e6, '1', 'nothing else would count beside it')
CHANGE = Range(0.0, 0.5, '1', 'the image would be turned inside out')
FIELD_OF_VIEW = Range(1.0, 175.0, 'degrees', 'no camera of straight lines shows more')
NUMBERS: Mapping[str, Range] = {
    'field_of_view': FIELD_OF_VIEW,
    'learning_rate': RATE,
    'final_learning_rate': RATE,
    'weight_decay': RATE,
    'ema_decay': SHARE,
    'validation_share': SHARE,
    **dict.fromkeys(('camera_dropout', 'state_dropout', 'delta_dropout', 'augment_erase'), SHARE),
    'stream_resets': SHARE,
    'augment_rotation': Range(0.0, 180.0, 'degrees', 'it is an angle to either side'),
    'augment_zoom': CHANGE,
    'augment_perspective': CHANGE,
    'augment_blur': Range(0.0, 64.0, 'px', 'nothing of the image would be left'),
}
# A run of RoboMamba has stages; one of AnoleVLA has its data.
STAGES_KEY = 'stages'


def is_robomamba(path: Path) -> bool:
    """Return whether a run is RoboMamba's, by what its file says; raises ConfigError."""
    document, _ = read_yaml(path)
    return isinstance(document, dict) and STAGES_KEY in document


def load_train_config(path: Path, overrides: Mapping[str, Any]) -> TrainConfig:
    """Read a run's YAML file, with some of its settings replaced.

    Raises ConfigError with every wrong key and value at once.
    """
    document, errors = read_yaml(path)
    known = {field.name: field for field in fields(TrainConfig)}
    required = [
        name
        for name, field in known.items()
        if field.default is MISSING and field.default_factory is MISSING
    ]
    if isinstance(document, dict):
        document = {**document, **overrides}
    root = Section(document, '', errors, required, [name for name in known if name not in required])
    settings = {
        name: _read(root, name, str(field.type))
        for name, field in known.items()
        if root.has(name) or name in required
    }
    refuse(f'the run {path}', errors)
    try:
        return TrainConfig(**settings)
    except ConfigError as error:
        raise ConfigError(f'the run {path}: {error}') from error


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Return settings given as 'key=value' on a command line; values are read as YAML."""
    settings = {}
    for text in texts:
        key, equals, value = text.partition('=')
        if not equals:
            raise ConfigError(f"'{text[:80]}' is not a setting; write KEY=VALUE")
        settings[key] = parse_yaml(value, f'the setting {key[:40]}')
    return settings


# With postponed annotations the type of a field is its name.
def _read(root: Section, name: str, kind: str) -> Any:
    if kind == 'int':
        least, most = COUNTS.get(name, ANY_COUNT)
        return root.integer(name, least, most=most)
    if kind == 'float':
        return root.within(name, NUMBERS.get(name, WEIGHT))
    if kind == 'bool':
        return root.flag(name)
    if kind == 'dict[str, float]':
        return root.within_each(name, NUMBERS.get(name, WEIGHT))
    return root.text(name, 'a text', r'.*')
