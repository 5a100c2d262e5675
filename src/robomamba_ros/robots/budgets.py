"""The budgets of a contract for a stand-in, which shares its machine with other work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from robomamba_ros.robots.arm import ArmContract


def with_budgets(arm: ArmContract, factor: float) -> ArmContract:
    """Return the contract with the budget of everything it takes in times `factor`."""
    return replace(
        arm,
        budgets_s={name: factor * budget_s for name, budget_s in arm.budgets_s.items()},
        cameras=tuple(_scaled(camera, factor) for camera in arm.cameras),
        interlocks=tuple(_scaled(interlock, factor) for interlock in arm.interlocks),
        speed_scaling=_scaled(arm.speed_scaling, factor),
    )


def _scaled(part: Any, factor: float) -> Any:
    """Return a part with its budget times `factor`; one that has none stays as it is."""
    if part is None or part.budget_s is None:
        return part
    return replace(part, budget_s=factor * part.budget_s)
