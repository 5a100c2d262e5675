"""Several processes train as one does: started by the agent of torchrun, on the CPU."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import pytest
import torch
import yaml
from support.made_demonstrations import small_run, write_store

from robomamba_ros.errors import ConfigError
from robomamba_ros.training.anolevla.loop import Trainer
from robomamba_ros.training.shared.distributed import Group

SOURCE = Path(__file__).parents[3] / 'src'

# What torchrun does, but that its processes begin as copies of one that has imported everything:
# the verb, and what of Gloo is left when it is done.
TRAIN = """
import sys
from pathlib import Path
import torch._dynamo
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from robomamba_ros.cli.main import main
from robomamba_ros.training.anolevla import loop


def train(arguments):
    status = main(arguments)
    threads = [path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm')]
    left = [name for name in threads if 'gloo' in name]
    if status or left:
        raise SystemExit(f'status {status}, threads are left: {left}')


config = LaunchConfig(
    min_nodes=1,
    max_nodes=1,
    nproc_per_node=2,
    rdzv_backend='c10d',
    rdzv_endpoint='localhost:0',
    max_restarts=0,
    start_method='fork',
)
elastic_launch(config, train)(sys.argv[1:])
"""


def test_two_processes_give_the_losses_and_weights_of_one(tmp_path):
    """Three sequences for two processes: unequal parts, with unequal numbers of valid actions."""
    data = write_store(tmp_path / 'data', episodes=20, steps=7)
    config = small_run(
        data,
        tmp_path / 'one',
        batch_size=6,
        streaming=2,
        localization_weight=0.2,
        augment_shift=2,
        validation_share=0.2,
        validation_every=2,
        patience=1,
        log_every=1,
        # Adam makes steps of this size out of gradients that are zero but for rounding.
        learning_rate=1e-5,
    )
    list(Trainer(config).run())
    run = tmp_path / 'run.yaml'
    run.write_text(yaml.safe_dump(asdict(config)))
    script = tmp_path / 'train.py'
    script.write_text(TRAIN)
    command = [sys.executable, str(script), 'train', str(run), '--output', str(tmp_path / 'two')]
    environment = {**os.environ, 'PYTHONPATH': str(SOURCE), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = (_lines(tmp_path / name) for name in ('one', 'two'))
    assert len(one) == len(two) > 5
    for alone, together in zip(one, two, strict=True):
        assert alone == pytest.approx(together, abs=1e-6)
    alone, together = (
        torch.load(tmp_path / name / 'training_state.pt', weights_only=True)
        for name in ('one', 'two')
    )
    # Means of the gradients, of a scale that an absolute tolerance would say nothing about.
    for number, moments in alone['optimizer']['state'].items():
        other = together['optimizer']['state'][number]['exp_avg']
        scale = max(float(moments['exp_avg'].abs().max()), 1e-6)
        assert float((moments['exp_avg'] - other).abs().max()) < 1e-4 * scale
    (start,) = json.loads((tmp_path / 'two/run.json').read_text())['starts']
    assert start['processes'] == 2


def _lines(folder):
    lines = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != 'samples_per_second'} for line in lines]


def test_parts_make_the_whole():
    whole = list(range(7))
    parts = [whole[Group(rank, 3).rank_slice] for rank in range(3)]
    assert sorted(chain.from_iterable(parts)) == whole
    assert [Group(rank, 3).is_main for rank in range(3)] == [True, False, False]
    assert Group().sum(torch.tensor([2.0], requires_grad=True)).requires_grad is False


def test_a_batch_must_have_something_for_each_process(tmp_path):
    data = write_store(tmp_path / 'data', episodes=2, steps=2)
    config = small_run(data, tmp_path / 'run', streaming=2)
    with pytest.raises(ConfigError, match='a batch is 2 sequences, fewer than the 3 processes'):
        Trainer(config, group=Group(0, 3))
