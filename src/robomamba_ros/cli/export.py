"""`robomamba export`: one forward pass of a policy as an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from robomamba_ros.errors import ConfigError


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'export',
        help='write one forward pass of a policy as ONNX',
        description='Writes an AnoleVLA as ONNX, from physical units to physical units, and checks '
        'that onnxruntime gives the same actions: otherwise there is no file.',
    )
    parser.add_argument('policy', help='a checkpoint directory, or a name in models/')
    parser.add_argument('output', type=Path, help='the file to write, as policy.onnx')
    parser.add_argument(
        '--cache',
        choices=('none', 'stream'),
        default='none',
        help='stream: the state that is carried from one inference to the next becomes an input '
        'and an output (%(default)s)',
    )
    parser.add_argument('--force', action='store_true', help='write over a file that is there')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export, and say how the file compares with the policy."""
    from robomamba_ros.policies.anolevla.config import KIND
    from robomamba_ros.policies.base import LoadOptions
    from robomamba_ros.policies.location import checkpoint_directory
    from robomamba_ros.policies.registry import describe_policy

    if args.output.exists() and not args.force:
        raise ConfigError(f'{args.output} is there already; give another file, or --force')
    if not args.output.parent.is_dir():
        raise ConfigError(f'{args.output.parent} is not a folder; make it first')
    kind = describe_policy(args.policy).kind
    if kind != KIND:
        raise ConfigError(
            f"'{args.policy}' is of the kind '{kind}'; what can be exported is of the kind '{KIND}'"
        )
    from robomamba_ros.policies.anolevla.export import export

    folder = checkpoint_directory(args.policy)
    exported = export(folder, args.output, LoadOptions(cache=args.cache))
    print(
        f'{args.output}: {args.output.stat().st_size / 1e6:.1f} MB; actions differ from the '
        f"policy's by {exported.difference:.1g} at most; an inference takes "
        f'{1e3 * exported.onnx_s:.1f} ms in onnxruntime and {1e3 * exported.torch_s:.1f} ms here, '
        f'{exported.onnx_s / exported.torch_s:.2f} times as long'
    )
    return 0
