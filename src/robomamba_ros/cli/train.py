"""`robomamba train`: train an AnoleVLA policy from demonstrations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from robomamba_ros.resources import find_file


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'train',
        help='train a policy from demonstrations',
        description='Trains AnoleVLA in two stages. The same command continues an interrupted run.',
    )
    parser.add_argument(
        'config', help='a run of config/training by name, or a YAML file (see metaworld_mt10)'
    )
    parser.add_argument('--data', type=Path, help='the data set, instead of the one in the file')
    parser.add_argument('--output', type=Path, help='the run directory, likewise')
    parser.add_argument(
        '--set',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='other settings of the file, for example stage1_steps=100',
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, with a progress bar."""
    import torch
    from tqdm import tqdm

    from robomamba_ros.memory import keep_freed_memory
    from robomamba_ros.training.config import load_train_config, parse_settings
    from robomamba_ros.training.loop import Trainer

    overrides = parse_settings(args.set)
    if args.data:
        overrides['data'] = str(args.data)
    if args.output:
        overrides['output'] = str(args.output)
    config = load_train_config(find_file('training', args.config), overrides)
    torch.set_num_threads(config.threads)
    keep_freed_memory()
    trainer = Trainer(config)
    if trainer.step:
        print(f'continuing {config.output} at step {trainer.step}')
    mean: dict[str, float] = {}
    with tqdm(total=config.steps, initial=trainer.step, unit='step') as bar:
        for progress in trainer.run():
            for name, value in progress.losses.items():
                mean[name] = 0.98 * mean.get(name, value) + 0.02 * value
            bar.update()
            bar.set_postfix(
                stage=progress.stage, **{name: f'{value:.4f}' for name, value in mean.items()}
            )
    print(f'the checkpoint is {Path(config.output) / "checkpoint"}')
    return 0
