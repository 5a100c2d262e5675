"""`robomamba convert`: a RoboMamba checkpoint from published weights."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

CAMERA = re.compile(r'([A-Za-z_][\w.-]*):(\d+)x(\d+)')


def add_parser(subparsers: Any) -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        'convert',
        help='make a RoboMamba checkpoint from published weights',
        description='Reads the state dict that RoboMamba is published as, or the directory of a '
        'Mamba language model of state-spaces or transformers, and writes a checkpoint directory. '
        'No code in a file is run; whatever does not fit is named at once.',
    )
    parser.add_argument('source', help='a .pth or .safetensors file, a directory, or hf:owner/name')
    parser.add_argument('output', type=Path, help='the checkpoint directory to write')
    parser.add_argument(
        '--tokenizer', type=Path, help='tokenizer.json, unless it lies beside the source'
    )
    parser.add_argument(
        '--head', type=Path, help="the public code's pose head, where it is a file of its own"
    )
    parser.add_argument(
        '--head-image',
        type=int,
        default=336,
        metavar='SIDE',
        help='side of the images in whose pixels the head was trained (default: %(default)s)',
    )
    parser.add_argument(
        '--camera',
        type=_camera,
        default='front:480x640',
        metavar='NAME:HEIGHTxWIDTH',
        help='the camera that the policy is to read (default: %(default)s)',
    )
    parser.add_argument('--dtype', choices=('bfloat16', 'float32'), default='bfloat16')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert, and say what the policy can do."""
    import torch

    from robomamba_ros.policies.base import CameraSpec
    from robomamba_ros.policies.location import published_directory
    from robomamba_ros.policies.robomamba.convert import ConvertOptions, convert

    options = ConvertOptions(
        tokenizer=args.tokenizer,
        head=args.head,
        head_image=args.head_image,
        camera=CameraSpec(*args.camera),
        dtype=getattr(torch, args.dtype),
    )
    config = convert(published_directory(args.source), args.output, options)
    can = ['answers questions']
    if config.vision is not None:
        can.append('sees')
    if config.head is not None:
        can.append('predicts poses')
    print(f'{args.output}: a policy that {", ".join(can)}')
    return 0


def _camera(text: str) -> tuple[str, int, int]:
    match = CAMERA.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME:HEIGHTxWIDTH, as front:480x640")
    return match[1], int(match[2]), int(match[3])
