"""Copies an object whose attributes are replaced and never written to.

`copy.copy` asks the object how to, which takes ten times as long; a forecast copies an arm's motion
in every step.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar('T')


def twin(original: T) -> T:
    """Return another object with the same attributes."""
    other = object.__new__(type(original))
    other.__dict__.update(original.__dict__)
    return other
