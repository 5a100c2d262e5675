"""The arms made for tests, as fixtures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support import made_arms as made

from robomamba_ros.robots.arm import ArmContract


@pytest.fixture
def made_arms() -> dict[str, made.MadeArm]:
    return dict(made.MADE)


@pytest.fixture
def write_arm(tmp_path: Path) -> Callable[..., ArmContract]:
    """Return a function that writes a contract and its URDF beside it, and loads the contract."""
    return partial(made.write_arm, tmp_path)
