"""What a RoboMamba is made of: config.yaml of a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from robomamba_ros.common.config_file import Section, refuse
from robomamba_ros.common.documents import read_yaml
from robomamba_ros.errors import ConfigError
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.language_model import LanguageModelConfig
from robomamba_ros.policies.base import CameraSpec, OutputKind, PolicySpec
from robomamba_ros.policies.spec_file import CAMERA_KEYS, LARGEST_WIDTH, read_camera, read_size
from robomamba_ros.spatial.camera import Approach
from robomamba_ros.types import EE_POSE_NAMES, ActionSpace
from robomamba_ros.vision.clip import ClipConfig

KIND = 'robomamba'
LANGUAGE_KEYS = ('vocab_size', 'vocab_rows', 'tied')
BACKBONE_KEYS = ('d_model', 'n_layer', 'd_state', 'd_conv', 'expand', 'dt_rank')
APPROACH_KEYS = ('pre_contact_m', 'contact_m', 'retreat_m')


@dataclass(frozen=True)
class VisionConfig:
    """How it sees."""

    # Whose images it reads.
    camera: CameraSpec
    # Sizes of CLIP's image tower.
    clip: ClipConfig = field(default_factory=ClipConfig)
    # Width of the first of the two inner layers between CLIP and the language model; the second is
    # as wide as the language model. 4096: as published.
    connector: int = 4096


@dataclass(frozen=True)
class RoboMambaConfig:
    """The network and what it reads and writes.

    Raises ConfigError for a head without vision: a pose is somewhere in an image.
    """

    # For messages and reports.
    name: str
    # Sizes of the Mamba language model.
    language: LanguageModelConfig
    # None: a language model alone, which answers questions without an image.
    vision: VisionConfig | None = None
    # Widths of the two inner layers of each pose MLP; None: no pose head.
    head: tuple[int, int] | None = None
    # Distances from the contact at which the approach begins and ends [m].
    approach: Approach = field(default_factory=Approach)
    # Those that the head was trained on.
    instructions: Instructions = field(default_factory=Instructions)

    def __post_init__(self) -> None:
        if self.head is not None and self.vision is None:
            raise ConfigError('a pose head needs vision: its contact point is a pixel of an image')

    @property
    def spec(self) -> PolicySpec:
        """What the policy needs, and whether it gives poses of the end effector or only words."""
        cameras = () if self.vision is None else (self.vision.camera,)
        return PolicySpec(
            name=self.name,
            cameras=tuple(replace(camera, depth=self.head is not None) for camera in cameras),
            state_names=(),
            action_space=ActionSpace.EE_POSE,
            action_names=EE_POSE_NAMES,
            horizon=1,
            dt_ns=1,
            execute_steps=1,
            output_kind=OutputKind.ANSWERS if self.head is None else OutputKind.TARGETS,
            instructions=self.instructions,
        )


def paper_head(d_model: int) -> tuple[int, int]:
    """Return the widths of the paper's head: 3.7M parameters at a d_model of 2560."""
    return d_model // 4, d_model // 8


def read_config(path: Path, name: str) -> RoboMambaConfig:
    """Return the configuration in a YAML file, for a policy called `name`.

    The instructions it was trained on lie beside it. Raises ConfigError with every error of the
    file at once, CheckpointError for wrong instructions.
    """
    document, errors = read_yaml(path)
    root = Section(document, '', errors, ('policy', 'language'), ('vision', 'head', 'approach'))
    root.choice('policy', (KIND,))
    language = _read_language(root.section('language', (*LANGUAGE_KEYS, 'backbone')))
    vision = _read_vision(root) if root.has('vision') else None
    head = _read_head(root.section('head', ('widths',))) if root.has('head') else None
    approach = _read_approach(root) if root.has('approach') else Approach()
    refuse(f'the policy {path}', errors)
    texts = Instructions.load(path.parent, own_words=False)
    return RoboMambaConfig(name, language, vision, head, approach, texts)


def write_config(config: RoboMambaConfig, path: Path) -> None:
    """Write what `read_config` reads, without instructions; the name is that of the directory."""
    language = config.language
    document: dict[str, Any] = {'policy': KIND}
    if config.vision is not None:
        camera = {key: getattr(config.vision.camera, key) for key in CAMERA_KEYS}
        document['vision'] = {
            'camera': camera,
            'clip': asdict(config.vision.clip),
            'connector': config.vision.connector,
        }
    document['language'] = {
        **{key: getattr(language, key) for key in LANGUAGE_KEYS},
        'backbone': asdict(language.backbone),
    }
    if config.head is not None:
        document['head'] = {'widths': list(config.head)}
        document['approach'] = asdict(config.approach)
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding='utf-8')


def _read_language(section: Section) -> LanguageModelConfig:
    sizes = section.section('backbone', (*BACKBONE_KEYS, 'norm_epsilon'))
    backbone = MambaConfig(
        **{key: read_size(sizes, key) for key in BACKBONE_KEYS},
        norm_epsilon=sizes.positive('norm_epsilon', '1'),
    )
    words, rows = read_size(section, 'vocab_size'), read_size(section, 'vocab_rows')
    if words > rows and section.clean:
        section.error('vocab_size', str(words), f'at most vocab_rows, {rows}')
    return LanguageModelConfig(backbone, min(words, rows), rows, section.flag('tied'))


def _read_vision(root: Section) -> VisionConfig:
    section = root.section('vision', ('camera', 'clip', 'connector'))
    camera = read_camera(section.section('camera', CAMERA_KEYS))
    names = tuple(field.name for field in fields(ClipConfig))
    sizes = section.section('clip', names)
    numbers = {name: read_size(sizes, name) for name in names}
    try:
        clip = ClipConfig(**numbers)
    except ConfigError as error:
        sizes.problem('', str(error))
        clip = ClipConfig()
    return VisionConfig(camera, clip, read_size(section, 'connector'))


def _read_head(section: Section) -> tuple[int, int]:
    first, second = section.numbers('widths', 2)
    if (
        not 1 <= min(first, second) <= max(first, second) <= LARGEST_WIDTH
        or not first.is_integer()
        or not second.is_integer()
    ):
        section.error('widths', str([first, second]), f'2 whole numbers from 1 to {LARGEST_WIDTH}')
    return int(first), int(second)


def _read_approach(root: Section) -> Approach:
    section = root.section('approach', APPROACH_KEYS)
    distances = {key: section.number(key) for key in APPROACH_KEYS}
    try:
        return Approach(**distances)
    except ConfigError as error:
        section.problem('', str(error))
        return Approach()
