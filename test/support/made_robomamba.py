"""A RoboMamba of random weights on disk, small enough to run in every test that needs one."""

from __future__ import annotations

from pathlib import Path

import torch

from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.language_model import LanguageModelConfig
from robomamba_ros.policies.base import CameraSpec
from robomamba_ros.policies.robomamba.checkpoint import save
from robomamba_ros.policies.robomamba.config import RoboMambaConfig, VisionConfig
from robomamba_ros.policies.robomamba.network import RoboMamba
from robomamba_ros.vision.clip import ClipConfig

WORDS = ('Open a drawer', 'Push the puck to a goal')


def write_robomamba(folder: Path) -> None:
    """Write a RoboMamba of random weights, whose contact is the middle of every image."""
    tokenizer = TextTokenizer.train([f'<|user|> {words}\n' for words in WORDS], 300)
    sizes = ClipConfig(
        image_size=28,
        patch_size=7,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    config = RoboMambaConfig(
        name=folder.name,
        language=LanguageModelConfig(MambaConfig(32, 2, d_state=4), tokenizer.vocabulary, 304),
        vision=VisionConfig(CameraSpec('front', 48, 64), sizes, connector=40),
        head=(16, 8),
    )
    torch.manual_seed(0)
    network = RoboMamba(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        _, _, second, _, last = network.head.position
        second.weight.zero_()
        second.bias.fill_(1.0)
        last.weight.fill_(0.5 / last.in_features)
    save(folder, config, network.state_dict(), tokenizer)
