"""Budgets of what is launched on a GPU, for published sizes, counted on tensors without data."""

from dataclasses import replace

import pytest
import torch

pytest.importorskip('triton', reason='triton is not installed')
pytest.importorskip('transformers', reason='SigLIP and CLIP need transformers')

from robomamba_ros.benchmarks.launches import Launches, anolevla_passes, robomamba_passes
from robomamba_ros.common.captured import Captured
from robomamba_ros.common.resources import find_file
from robomamba_ros.policies.anolevla.config import read_config
from robomamba_ros.vision.clip import ClipConfig

# Norm, conv and four products; the scan is one kernel up to 16 tokens, and three beyond.
STEP, STRETCHES = 7, 9


def of_sizes(measure, layers, blocks):
    """Return the launches with this many Mamba layers and blocks of the tower, and per layer.

    From few of both: what each adds is the same for each.
    """
    sizes = ((1, 1), (2, 1), (1, 2))
    first, deeper, higher = ({x.name: x.total for x in measure(*each)} for each in sizes)
    layer = {name: deeper[name] - first[name] for name in first}
    block = {name: higher[name] - first[name] for name in first}
    total = {
        name: count + (layers - 1) * layer[name] + (blocks - 1) * block[name]
        for name, count in first.items()
    }
    return total, layer


# Launches depend on the numbers of layers and tokens, and not on widths.
NARROW = {'hidden_size': 32, 'intermediate_size': 32, 'num_attention_heads': 2}


def test_a_chunk_of_the_papers_policy():
    config = read_config(find_file('policies', 'anolevla-467m'), 'anolevla-467m')

    def measure(layers, blocks):
        return anolevla_passes(
            replace(
                config,
                backbone=replace(config.backbone, d_model=32, n_layer=layers),
                vision=replace(config.vision, **NARROW, num_hidden_layers=blocks),
                language=replace(config.language, vocabulary=100),
            )
        )

    total, layer = of_sizes(measure, config.backbone.n_layer, config.vision.num_hidden_layers)
    assert layer == {'chunk': STRETCHES}
    assert total['chunk'] <= 610


def test_a_pose_and_a_token_of_robomamba():
    def measure(layers, blocks):
        return robomamba_passes(ClipConfig(**NARROW, num_hidden_layers=blocks), 32, layers)

    total, layer = of_sizes(measure, 64, ClipConfig().num_hidden_layers)
    assert layer['image'] == layer['text of up to 64'] == STRETCHES
    assert layer['text of up to 16'] == layer['token'] == layer['opening'] == STEP
    assert layer['begin'] == layer['pose'] == layer['first token'] == 0
    assert total['token'] <= 457
    new_image = [total[name] for name in ('image', 'begin', 'text of up to 64', 'pose')]
    assert sum(new_image) <= 1543


@pytest.mark.parametrize(
    'wait',
    [
        lambda x: x.item(),
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: bool(x > 0),
        lambda x: x.tolist(),
    ],
)
def test_what_waits_for_the_gpu_inside_a_pass_fails(wait):
    with pytest.raises((RuntimeError, NotImplementedError)):
        Captured(wait, {'x': torch.zeros(())}, torch.device('meta'))


def test_views_are_free_and_what_moves_numbers_counts():
    x = torch.zeros(4, 6, device='meta')
    with torch.inference_mode(), Launches() as launches:
        torch.nn.functional.linear(x.view(2, 2, 6)[:, :1].transpose(0, 1), x)
        torch.empty_like(x).copy_(x)
        x.t().contiguous()
    assert launches.counts['copy_'] == launches.counts['clone'] == 1
    assert sum(launches.counts.values()) == 3
