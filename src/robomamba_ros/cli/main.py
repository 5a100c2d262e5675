"""The command `robomamba <verb>`. Knows the verbs' names; each verb is a module beside this one.

A verb's module imports torch, ROS or the simulator inside `run`, so that help costs nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

from robomamba_ros.common.environment import environment_text
from robomamba_ros.common.logs import shown
from robomamba_ros.errors import RoboMambaError

VERBS = (
    'up',
    'doctor',
    'security',
    'record',
    'replay',
    'watch',
    'dataset',
    'collect',
    'poses',
    'train',
    'evaluate',
    'demo',
    'bench',
    'inspect',
    'serve',
    'export',
    'assemble',
    'convert',
)


class _Version(argparse.Action):
    """Prints the environment, which is looked up only where somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(environment_text())
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every verb; a verb leaves its `run` in the parsed arguments."""
    parser = argparse.ArgumentParser(
        prog='robomamba', description='Mamba-based robot policies in real time under ROS 2.'
    )
    parser.add_argument(
        '--version', action=_Version, nargs=0, help='say what runs here, for reports of problems'
    )
    subparsers = parser.add_subparsers(title='verbs', metavar='VERB', dest='verb', required=True)
    for verb in VERBS:
        import_module(f'robomamba_ros.cli.{verb}').add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status: 2 for a mistake of the user's, 130 for Ctrl-C."""
    parser = build_parser()
    if '_ARGCOMPLETE' in os.environ:
        # A shell asks what may come next, as of the commands of ROS 2; this ends the process.
        import argcomplete

        argcomplete.autocomplete(parser)
    args = parser.parse_args(argv)
    if isinstance(sys.stdout, TextIOWrapper):
        # A name in another alphabet than the terminal's is shown as far as it can be.
        sys.stdout.reconfigure(errors='backslashreplace')
    try:
        with shown():
            return int(args.run(args))
    except RoboMambaError as error:
        print(f'robomamba {args.verb}: {error}', file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split('.')[0] == 'robomamba_ros':
            raise
        print(
            f"robomamba {args.verb}: the package '{error.name}' is not installed; "
            "pip install 'robomamba_ros[train,ros]' brings what the verbs need",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:
        # Whoever read along has gone, as `| head` does; Python would say so once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        name = error.filename2 or error.filename
        file = '' if name is None else f'{name}: '
        print(f'robomamba {args.verb}: {file}{error.strerror or error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
