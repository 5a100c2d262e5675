"""What an AnoleVLA is made of: config.yaml of a checkpoint, and the files of config/policies.

Every choice of parts is named here once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from robomamba_ros.common.config_file import Section, refuse
from robomamba_ros.common.documents import read_yaml
from robomamba_ros.errors import ConfigError
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.policies.spec_file import (
    CAMERA_KEYS,
    LARGEST,
    SPEC_KEYS,
    read_camera,
    read_size,
    read_spec,
    write_spec,
)
from robomamba_ros.vision.efficientnet import EfficientNetConfig
from robomamba_ros.vision.encoders import KeypointConfig
from robomamba_ros.vision.preprocess import CropResize
from robomamba_ros.vision.siglip import SiglipConfig

KIND = 'anolevla'
# The paper's order (eq. 2): proprioception first, so that the recurrence reads the image and the
# instruction already knowing where the robot is.
TOKEN_ORDER = ('state', 'delta_state', 'vision', 'language')
VISIONS = {
    'keypoints': KeypointConfig,
    'siglip2': SiglipConfig,
    'efficientnet_lite0': EfficientNetConfig,
}
CROP_KEYS = ('left', 'top', 'side')
# Of MambaConfig: what every published model has alike.
UNREAD = ('norm_epsilon', 'dt_rank')


@dataclass(frozen=True)
class LanguageConfig:
    """How an instruction becomes tokens."""

    # Rows of the embedding.
    vocabulary: int
    # Tokens that an instruction is padded to.
    length: int
    # Whether a linear layer follows the embedding, as where it is a language model's own.
    project: bool = False


@dataclass(frozen=True)
class AnoleVLAConfig:
    """The network and what it reads and writes. Raises ConfigError where parts do not fit."""

    # What the policy needs and gives.
    spec: PolicySpec
    # What is cut out of the image of each camera of `spec`, in its order.
    crops: tuple[CropResize, ...]
    # Encoder of the images.
    vision: KeypointConfig | SiglipConfig | EfficientNetConfig
    # Embedding of the instruction.
    language: LanguageConfig
    # Sizes of the Mamba backbone that reads all tokens.
    backbone: MambaConfig
    # Each of TOKEN_ORDER once; the head reads the last token.
    token_order: tuple[str, ...] = TOKEN_ORDER
    # Whether the token of the state says where the vision sees things, too.
    places: bool = False

    def __post_init__(self) -> None:
        if sorted(self.token_order) != sorted(TOKEN_ORDER):
            raise ConfigError(
                f'token_order is {list(self.token_order)}; it must hold each of '
                f'{", ".join(TOKEN_ORDER)} once'
            )
        if self.places and isinstance(self.vision, SiglipConfig):
            raise ConfigError('siglip2 does not say where it sees things; leave out places')
        if not self.spec.cameras:
            raise ConfigError('an AnoleVLA needs at least one camera')
        sizes = [(c.height, c.width, self.vision.image_size) for c in self.spec.cameras]
        if sizes != [(crop.height, crop.width, crop.target) for crop in self.crops]:
            raise ConfigError(
                f'the crops {self.crops} do not fit the cameras {self.spec.cameras} and images of '
                f'{self.vision.image_size} px'
            )

    @property
    def constant_prefix(self) -> bool:
        """Whether the sequence begins with tokens that stay the same: those of the instruction."""
        return self.token_order[0] == 'language'

    @property
    def tokens(self) -> dict[str, int]:
        """Number of tokens of each part, in order."""
        counts = {'state': 1, 'delta_state': 1, 'language': self.language.length}
        counts['vision'] = len(self.spec.cameras) * self.vision.tokens
        return {name: counts[name] for name in self.token_order}


def read_config(path: Path, name: str) -> AnoleVLAConfig:
    """Return the configuration in a YAML file, for a policy called `name`.

    The instructions it was trained on lie beside it. Raises ConfigError with every error of the
    file at once, CheckpointError for wrong instructions.
    """
    document, errors = read_yaml(path)
    config = parse_config(document, errors, name, f'the policy {path}')
    # A language model's words mean something beyond the texts of the data.
    texts = Instructions.load(path.parent, own_words=not config.language.project)
    return replace(config, spec=replace(config.spec, instructions=texts))


def parse_config(document: Any, errors: list[str], name: str, where: str) -> AnoleVLAConfig:
    """Return the configuration in a document, without instructions, for a policy called `name`.

    errors: those found before; where: what is refused. Raises ConfigError with every error.
    """
    keys = (*SPEC_KEYS, 'cameras', 'vision', 'language', 'backbone')
    root = Section(document, '', errors, keys, ('token_order', 'places'))
    root.choice('policy', (KIND,))
    parts = root.section('vision', (), tuple(VISIONS))
    kinds = [kind for kind in VISIONS if parts.has(kind)]
    if len(kinds) != 1 and parts.clean:
        parts.error('', ', '.join(kinds) or 'nothing', f'one of {", ".join(VISIONS)}')
    vision = _sizes(parts, kinds[0], VISIONS[kinds[0]]) if kinds else KeypointConfig()
    views = [
        _read_view(section, vision.image_size)
        for section in root.sections('cameras', CAMERA_KEYS, (*CROP_KEYS, 'optional'))
    ]
    names = [camera.name for camera, _ in views]
    if len(set(names)) < len(names):
        root.error('cameras', ', '.join(names), 'each name once')
    words = root.section('language', ('vocabulary', 'length'), ('project',))
    language = LanguageConfig(
        words.integer('vocabulary', 2, most=LARGEST['vocabulary']),
        read_size(words, 'length'),
        words.flag('project') if words.has('project') else False,
    )
    backbone = _sizes(root, 'backbone', MambaConfig, required=('d_model', 'n_layer'))
    order = root.texts('token_order', 'parts') if root.has('token_order') else TOKEN_ORDER
    if sorted(order) != sorted(TOKEN_ORDER):
        root.error('token_order', str(list(order)), f'each of {", ".join(TOKEN_ORDER)} once')
    places = root.flag('places') if root.has('places') else False
    spec = read_spec(root, name, tuple(camera for camera, _ in views))
    refuse(where, errors)
    crops = tuple(crop for _, crop in views)
    return AnoleVLAConfig(spec, crops, vision, language, backbone, order, places)


def write_config(config: AnoleVLAConfig, path: Path) -> None:
    """Write what `read_config` reads, without instructions; the name is that of the directory."""
    cameras = [
        {'name': camera.name, 'height': camera.height, 'width': camera.width}
        | {key: getattr(crop, key) for key in CROP_KEYS}
        | ({'optional': True} if camera.optional else {})
        for camera, crop in zip(config.spec.cameras, config.crops, strict=True)
    ]
    document = {'policy': KIND, 'cameras': cameras, **write_spec(config.spec), **outline(config)}
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding='utf-8')


def outline(config: AnoleVLAConfig) -> dict[str, Any]:
    """Return what a document says of the network alone: no cameras, no channels."""
    kind = next(name for name, cls in VISIONS.items() if isinstance(config.vision, cls))
    return {
        'token_order': list(config.token_order),
        **({'places': True} if config.places else {}),
        'vision': {kind: asdict(config.vision)},
        'language': asdict(config.language),
        'backbone': {k: v for k, v in asdict(config.backbone).items() if k not in UNREAD},
    }


def _read_view(section: Section, target: int) -> tuple[CameraSpec, CropResize]:
    """Return a camera and its crop: the largest square at the centre where the file says none."""
    camera = read_camera(section)
    if section.has('optional'):
        camera = replace(camera, optional=section.flag('optional'))
    side = min(camera.height, camera.width)
    given = {'left': (camera.width - side) // 2, 'top': (camera.height - side) // 2, 'side': side}
    given |= {
        key: section.integer(key, 0, 'px', most=LARGEST['width'])
        for key in CROP_KEYS
        if section.has(key)
    }
    try:
        return camera, CropResize((camera.height, camera.width), **given, target=target)
    except ConfigError as error:
        section.problem('', str(error))
        return camera, CropResize(target, 0, 0, target, target)


_Sizes = TypeVar('_Sizes', KeypointConfig, SiglipConfig, EfficientNetConfig, MambaConfig)


def _sizes(parent: Section, key: str, cls: type[_Sizes], required: Sequence[str] = ()) -> _Sizes:
    """Return the sizes under `key`, whole numbers all, with the defaults of their class."""
    names = tuple(field.name for field in fields(cls) if field.name not in UNREAD)
    section = parent.section(key, required, [name for name in names if name not in required])
    sizes = {n: read_size(section, n) for n in names if n in required or section.has(n)}
    try:
        return cls(**sizes)
    except ConfigError as error:
        section.problem('', str(error))
        return cls(**dict.fromkeys(required, 1))  # the others have defaults
