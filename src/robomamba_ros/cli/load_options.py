"""The options that say how a policy runs, the same for every verb that runs one."""

from __future__ import annotations

import argparse

from robomamba_ros.language.instructions import CHOICES as INSTRUCTIONS
from robomamba_ros.policies.base import CACHES, DTYPES, LoadOptions


def add_load_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a verb's parser."""
    parser.add_argument('--device', default='cpu', help='where the policy runs (%(default)s)')
    parser.add_argument(
        '--dtype',
        choices=DTYPES,
        default='auto',
        help='type of its large parts; auto: as stored, where this machine is fast in it '
        '(%(default)s)',
    )
    parser.add_argument(
        '--cache',
        choices=CACHES,
        default='auto',
        help='what it keeps from one inference to the next; auto: the state after constant tokens, '
        'where it has such (%(default)s)',
    )
    parser.add_argument(
        '--threads', type=int, default=1, help='CPU threads of an inference (%(default)s)'
    )
    parser.add_argument(
        '--instructions',
        choices=INSTRUCTIONS,
        default='auto',
        help='trained_only: refuse what it was not trained on; any: follow it; auto: follow it '
        'where the policy has the words of a language model or learned paraphrases (%(default)s)',
    )


def load_options(args: argparse.Namespace) -> LoadOptions:
    """Return the options as given."""
    return LoadOptions(args.device, args.dtype, args.cache, args.threads, args.instructions)
