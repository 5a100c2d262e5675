"""Imports Pinocchio and what comes with it: one message says how to install them."""

from __future__ import annotations

import importlib
from typing import Any

from robomamba_ros.errors import BackendError


def import_pinocchio() -> Any:
    """Return the module; raises BackendError saying how to install it."""
    return _import('pinocchio', 'kinematics')


def import_eigenpy() -> Any:
    """Return the module, which comes with Pinocchio; raises BackendError as import_pinocchio."""
    return _import('eigenpy', 'kinematics')


def import_coal() -> Any:
    """Return the module, which comes with Pinocchio; raises BackendError as import_pinocchio."""
    return _import('coal', 'keeping an arm out of itself')


def _import(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendError(
            f'{what} needs {name.capitalize()}, which cannot be imported ({error}); install it '
            "with `pip install 'robomamba_ros[kinematics]'` or `pip install pin`"
        ) from error
