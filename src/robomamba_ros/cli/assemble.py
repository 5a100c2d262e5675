"""`robomamba assemble`: an AnoleVLA checkpoint from published vision and language weights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from robomamba_ros.common.resources import find_file


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'assemble',
        help='make an AnoleVLA checkpoint from published weights, to be trained',
        description='Puts the image tower of SigLIP 2 and a Mamba language model together as a '
        'policy file says. Projections and action head start fresh: the policy does nothing useful '
        'until it is trained. Whatever does not fit is named at once.',
    )
    parser.add_argument('output', type=Path, help='the checkpoint directory to write')
    parser.add_argument(
        '--vision', required=True, help='directory of a SigLIP 2 model, or hf:owner/name'
    )
    parser.add_argument(
        '--mamba', required=True, help='directory of a Mamba language model, or hf:owner/name'
    )
    parser.add_argument(
        '--config',
        default='anolevla-467m',
        help='a policy of config/policies by name, or a YAML file (default: %(default)s)',
    )
    parser.add_argument(
        '--tokenizer', type=Path, help="tokenizer.json, where it is not in the language model's"
    )
    parser.add_argument(
        '--normalization', type=Path, help='normalization.json (default: scales change nothing)'
    )
    parser.add_argument(
        '--dtype', choices=('float32', 'bfloat16'), default='float32', help='of the large weights'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the fresh layers (default: 0)')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Assemble, and say what came of it."""
    import torch

    from robomamba_ros.policies.anolevla.assemble import Sources, assemble
    from robomamba_ros.policies.anolevla.config import read_config
    from robomamba_ros.policies.location import published_directory
    from robomamba_ros.policies.registry import describe_policy

    config = read_config(find_file('policies', args.config), args.output.name)
    vision, mamba = (published_directory(source) for source in (args.vision, args.mamba))
    sources = Sources(vision, mamba, args.tokenizer, args.normalization)
    assemble(config, sources, args.output, seed=args.seed, dtype=getattr(torch, args.dtype))
    print(describe_policy(str(args.output)).text())
    return 0
