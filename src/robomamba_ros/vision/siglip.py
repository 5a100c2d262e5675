"""The SigLIP 2 vision part (Tschannen et al. 2025, arXiv 2502.14786): patch tokens of an image.

The one place that imports `transformers` for it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from robomamba_ros.common.weights import fit_weights, read_json, read_weights
from robomamba_ros.errors import BackendError, CheckpointError, ConfigError
from robomamba_ros.vision.encoders import VisionTokens
from robomamba_ros.vision.tower import TowerConfig

# What a published configuration may set but this part has one way of doing.
FIXED = {
    'hidden_act': 'gelu_pytorch_tanh',
    'layer_norm_eps': 1e-6,
    'num_channels': 3,
    'vision_use_head': True,
}
MODEL_TYPES = ('siglip', 'siglip_vision_model')
PREFIX = 'vision_model.'  # of the image tower in a whole SigLIP model
OTHER_PARTS = ('text_model.', 'logit_scale', 'logit_bias')


@dataclass(frozen=True)
class SiglipConfig(TowerConfig):
    """The defaults are base/16 at 224 px."""

    image_size: int = 224
    patch_size: int = 16
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12


class SiglipVision(nn.Module):
    """The image tower of SigLIP and a linear projection of its patch tokens to d_model.

    The tower has its attention-pooling head, as published: a policy reads the patches, so the head
    is carried along and not computed.
    """

    def __init__(self, config: SiglipConfig, d_model: int) -> None:
        super().__init__()
        self.config = config
        self.tower = _tower(config)
        self.project = nn.Linear(config.hidden_size, d_model)

    @property
    def pretrained(self) -> nn.Module:
        """The part whose weights are published."""
        tower: nn.Module = self.tower
        return tower

    def forward(self, images: Tensor, language: Tensor) -> VisionTokens:
        """Images (b, cameras, 3, s, s) in -1..1 -> n = cameras * patches; language is not read."""
        batch = images.shape[0]
        hidden = self.tower.embeddings(images.flatten(0, 1))
        hidden = self.tower.encoder(inputs_embeds=hidden).last_hidden_state
        tokens = self.project(self.tower.post_layernorm(hidden))
        return VisionTokens(tokens.unflatten(0, (batch, -1)).flatten(1, 2), None)


def load_siglip(directory: str | Path, vision: SiglipVision) -> None:
    """Put a published image tower into `vision`.

    directory: config.json and weights of a whole SigLIP model with a fixed image size, or of its
    image tower alone. Raises CheckpointError with everything that does not fit.
    """
    folder = Path(directory)
    path = folder / 'config.json'
    found = read_siglip_config(path)
    different = [
        f'{name} is {value}, the policy has {expected}'
        for (name, value), expected in zip(
            asdict(found).items(), asdict(vision.config).values(), strict=True
        )
        if value != expected
    ]
    if different:
        raise CheckpointError(f'{path} does not fit the policy: {"; ".join(different)}')
    source, weights = read_weights(folder)
    tower = {
        name.removeprefix(PREFIX): tensor
        for name, tensor in weights.items()
        if not name.startswith(OTHER_PARTS)
    }
    fit_weights(vision.tower, tower, str(source), str(path))


def read_siglip_config(path: Path) -> SiglipConfig:
    """Return the sizes of the image tower in a config.json; raises CheckpointError."""
    raw = read_json(path, 'a SigLIP model')
    kind = raw.get('model_type')
    if kind not in MODEL_TYPES:
        raise CheckpointError(
            f"{path} is of model_type '{kind}', not {' or '.join(MODEL_TYPES)}; SigLIP 2 with a "
            'fixed image size is needed, for example google/siglip2-base-patch16-224'
        )
    tower = raw.get('vision_config', {}) if kind == 'siglip' else raw
    names = [field.name for field in fields(SiglipConfig)]
    problems = [
        f'{key} is {tower[key]!r}, only {value!r} is supported'
        for key, value in FIXED.items()
        if tower.get(key, value) != value
    ]
    problems += [
        f'{key} is {tower[key]!r}, not a whole number'
        for key in names
        if key in tower and not isinstance(tower[key], int)
    ]
    if problems:
        raise CheckpointError(f'{path}: {"; ".join(problems)}')
    try:
        return SiglipConfig(**{key: tower[key] for key in names if key in tower})
    except ConfigError as error:
        raise CheckpointError(f'{path}: {error}') from error


def _tower(config: SiglipConfig) -> Any:
    try:
        from transformers import SiglipVisionConfig, SiglipVisionModel
    except ImportError as error:
        raise BackendError(
            "a policy that sees by SigLIP needs the package 'transformers': "
            "pip install 'robomamba_ros[vlm]'"
        ) from error
    # Its own initialisation takes seconds, and pretrained weights are to follow.
    tower: Any = type('Tower', (SiglipVisionModel,), {'_init_weights': lambda self, module: None})
    sizes: dict[str, Any] = {**asdict(config), 'attn_implementation': 'sdpa'}
    # Releases differ in whether the tower is the model or lies inside it.
    return tower(SiglipVisionConfig(**sizes)).base_model
