"""The options of commands that read bags: stamps that are off, and how much may be unpacked."""

from __future__ import annotations

import argparse

from robomamba_ros.errors import ConfigError


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


def add_unpacking(parser: argparse.ArgumentParser) -> None:
    """Add `--unpack-gib N`: args.unpack_gib, None where it is not given."""
    parser.add_argument(
        '--unpack-gib',
        type=float,
        metavar='N',
        help='how much the .zstd files of a bag may unpack to, in the folder for temporary files '
        '(256 MiB, or 200 times their size where that is more)',
    )


def unpacked_bytes(args: argparse.Namespace) -> int | None:
    """Return what --unpack-gib says in bytes; raises ConfigError."""
    if args.unpack_gib is None:
        return None
    if not 0.0 < args.unpack_gib < 1e6:
        raise ConfigError(f'--unpack-gib is {args.unpack_gib:g}; give a number above 0')
    return int(args.unpack_gib * (1 << 30))


def _pair(text: str) -> tuple[str, float]:
    name, _, value = text.partition('=')
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not STREAM=S, as in --offset head=-0.3"
        ) from None
