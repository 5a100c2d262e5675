"""`robomamba train`: train an AnoleVLA from demonstrations, or a RoboMamba in its stages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robomamba_ros.common.resources import find_file
from robomamba_ros.errors import ConfigError

if TYPE_CHECKING:
    from robomamba_ros.training.anolevla.config import TrainConfig


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'train',
        help='train a policy from demonstrations',
        description='Trains AnoleVLA in two stages. The same command continues an interrupted run. '
        'torchrun --nproc-per-node N -m robomamba_ros train ... trains with N processes.',
    )
    parser.add_argument(
        'config', help='a run of config/training by name, or a YAML file (see metaworld_mt10)'
    )
    parser.add_argument('--data', type=Path, help='the data set, instead of the one in the file')
    parser.add_argument('--output', type=Path, help='the run directory, likewise')
    parser.add_argument(
        '--set',
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help='other settings of the file, for example stage1_steps=100',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, with a progress bar."""
    import torch

    from robomamba_ros.common.memory import keep_freed_memory
    from robomamba_ros.policies.checkpoint import torch_device
    from robomamba_ros.training.anolevla.settings import (
        is_robomamba,
        load_train_config,
        parse_settings,
    )
    from robomamba_ros.training.shared.distributed import joined

    path = find_file('training', args.config)
    overrides = parse_settings(args.set)
    if is_robomamba(path):
        if args.data:
            raise ConfigError(
                f'{path} is a run of RoboMamba, which learns from poses and conversations; give '
                'them with --set poses=FOLDER conversations=FILE'
            )
        output = {'output': str(args.output)} if args.output else {}
        return train_robomamba(path, {**overrides, **output})
    if args.data:
        overrides['data'] = str(args.data)
    if args.output:
        overrides['output'] = str(args.output)
    config = load_train_config(path, overrides)
    torch.set_num_threads(config.threads)
    keep_freed_memory()
    with joined(torch_device(config.device)) as (group, device):
        _train(config, group, device)
    return 0


def train_robomamba(path: Path, settings: Mapping[str, Any]) -> int:
    """Train RoboMamba as a run's file says, with a progress bar for each stage."""
    import torch
    from tqdm import tqdm

    from robomamba_ros.common.memory import keep_freed_memory
    from robomamba_ros.training.robomamba.config import load_robomamba_training
    from robomamba_ros.training.robomamba.loop import RoboMambaTrainer

    config = load_robomamba_training(path, settings)
    torch.set_num_threads(config.threads)
    keep_freed_memory()
    trainer = RoboMambaTrainer(config)
    bars: dict[str, tqdm[None]] = {}
    for at in trainer.run():
        if at.stage not in bars:
            for bar in bars.values():
                bar.close()
            bars[at.stage] = tqdm(
                total=at.steps, initial=at.step - 1, unit='step', desc=f'stage {at.stage}'
            )
            mean: dict[str, float] = {}
        for name, value in at.losses.items():
            mean[name] = 0.98 * mean.get(name, value) + 0.02 * value
        bars[at.stage].update()
        bars[at.stage].set_postfix({name: f'{value:.4f}' for name, value in mean.items()})
    for bar in bars.values():
        bar.close()
    print(f'the checkpoint is {trainer.checkpoint}')
    return 0


def _train(config: TrainConfig, group: Any, device: Any) -> None:
    from tqdm import tqdm

    from robomamba_ros.training.anolevla.loop import Trainer
    from robomamba_ros.training.anolevla.sources import prepare
    from robomamba_ros.training.anolevla.start import read_template

    shown = group.is_main
    if shown:
        with tqdm(unit='episode', desc='reading', delay=1.0) as bar:
            for done, total in prepare(config, read_template(config), tqdm.write):
                bar.total = total
                bar.update(done - bar.n)
    group.barrier()
    notes = {'started': datetime.now(timezone.utc).isoformat(), 'command': ' '.join(sys.argv)}
    trainer = Trainer(config, group=group, device=device, notes=notes)
    if shown and trainer.step:
        print(f'continuing {config.output} at step {trainer.step}')
    if shown and trainer.fresh:
        print(f'begun anew, as {config.initial} has others: {", ".join(trainer.fresh)}')
    with tqdm(unit='frame', desc='seeing', delay=1.0, disable=not shown) as bar:
        for done, total in trainer.keep_maps():
            bar.total = total
            bar.update(done - bar.n)
    mean: dict[str, float] = {}
    with tqdm(total=config.steps, initial=trainer.step, unit='step', disable=not shown) as bar:
        for progress in trainer.run():
            for name, value in progress.losses.items():
                mean[name] = 0.98 * mean.get(name, value) + 0.02 * value
            if progress.error is not None:
                mean['held_out'] = progress.error
            bar.update(trainer.step - bar.n)
            bar.set_postfix(
                stage=progress.stage, **{name: f'{value:.4f}' for name, value in mean.items()}
            )
    if shown:
        print(f'the checkpoint is {Path(config.output) / "checkpoint"}')
