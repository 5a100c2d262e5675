"""A tokenizer of GPT-NeoX's kind, and a network small enough to train in a test."""

import pytest

from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.language_model import LanguageModelConfig
from robomamba_ros.policies.base import CameraSpec
from robomamba_ros.policies.robomamba.config import RoboMambaConfig, VisionConfig
from robomamba_ros.spatial.camera import Approach
from robomamba_ros.vision.clip import ClipConfig

CORPUS = ['<|user|> open the drawer\n<|assistant|> what is in the picture? a red cube\n']


@pytest.fixture(scope='session')
def tokenizer():
    return TextTokenizer.train(CORPUS, 320)


@pytest.fixture(scope='session')
def config(tokenizer):
    """Sees 48 x 64 pixels of a camera called front, and predicts poses."""
    pytest.importorskip('transformers', reason='CLIP needs transformers: pip install transformers')
    return RoboMambaConfig(
        name='tiny',
        language=LanguageModelConfig(
            MambaConfig(d_model=32, n_layer=2, d_state=8), tokenizer.vocabulary, 328
        ),
        vision=VisionConfig(
            CameraSpec('front', 48, 64),
            ClipConfig(
                image_size=28,
                patch_size=7,
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=2,
            ),
            connector=40,
        ),
        head=(16, 8),
        approach=Approach(pre_contact_m=0.2, contact_m=0.05, retreat_m=0.4),
    )
