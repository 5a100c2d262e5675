"""The URDFs that makers published, as the package example-robot-data holds them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest


def real_urdf(name: str) -> Path:
    """Return the path of a file such as `ur5_robot.urdf`; skips the test without the package."""
    try:
        found = [path for path in files('example-robot-data') or () if path.name == name]
    except PackageNotFoundError:
        pytest.skip('example-robot-data is not installed: pip install example-robot-data')
    return Path(str(found[0].locate()))


def shapes_of(urdf: Path) -> Path:
    """Return the folder in which the package of a URDF's shapes lies."""
    return next(parent for parent in urdf.parents if parent.name == 'example-robot-data').parent
