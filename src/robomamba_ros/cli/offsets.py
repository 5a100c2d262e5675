"""The option that corrects the stamps of a stream of a bag."""

from __future__ import annotations

import argparse


def add_offset(parser: argparse.ArgumentParser) -> None:
    """Add `--offset STREAM=S`, which may be repeated: args.offset is a list of pairs."""
    parser.add_argument(
        '--offset',
        action='append',
        default=[],
        type=_pair,
        metavar='STREAM=S',
        help='add S seconds to the stamps of a camera or input of the arm, whose clock is off by '
        'that; may be repeated',
    )


def _pair(text: str) -> tuple[str, float]:
    name, _, value = text.partition('=')
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not STREAM=S, as in --offset head=-0.3"
        ) from None
