"""One exception tree. A message names the offender, the valid choices and the remedy.

This module imports nothing from the package.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class RoboMambaError(Exception):
    """Base of every error this package raises on purpose; the CLI prints it without a traceback."""


class ConfigError(RoboMambaError):
    """A configuration file or parameter is wrong: says which file, which key, what is allowed."""


class CheckpointError(RoboMambaError):
    """A checkpoint directory is missing, incomplete, or does not fit the model it describes."""


class ObservationError(RoboMambaError):
    """An input (image, joint state, pose, instruction) cannot be used; names the stream."""


class ActionError(RoboMambaError):
    """An action chunk cannot be executed (shape, NaN, unknown space or channel)."""


class NotReadyError(RoboMambaError):
    """The arm must not be moved now; says what stands in the way."""


class BackendError(RoboMambaError):
    """A backend was asked for by name and is not available; says how to install it."""


class SimulationError(RoboMambaError):
    """The simulation cannot do what was asked (unknown task, rendering not available)."""


class DataError(RoboMambaError):
    """A data set or bag cannot be read or written; names the file."""


def shortened(text: str, most: int = 1000) -> str:
    """Return a text that somebody can read to its end: names come from messages of anybody."""
    return text if len(text) <= most else f'{text[:most]} .. ({len(text)} letters)'


def without_numbers(text: str) -> str:
    """Return a text with # for its numbers: problems that differ in those are of one kind."""
    return re.sub(r'\d+(\.\d+)?', '#', text)


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> str:
    """Return the message for a name that is not among `valid`, with the nearest valid one."""
    choices = sorted(valid)
    if not choices:
        return f"unknown {kind} '{name}': there is none at all."
    close = difflib.get_close_matches(name, choices, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ''
    return f"unknown {kind} '{name}'.{hint} Valid: {', '.join(choices)}."
