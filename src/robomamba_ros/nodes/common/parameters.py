"""Declares the parameters of a node with ROS descriptors, and checks them.

The tables are in parameter_tables.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)

from robomamba_ros.bringup.option import Option
from robomamba_ros.errors import ConfigError, unknown_name

# Given to every node by ROS 2 itself.
STANDARD = ('use_sim_time', 'start_type_description_service')
STANDARD_PREFIX = 'qos_overrides.'


class Parameters:
    """The declared parameters of one node.

    The node must be made with automatically_declare_parameters_from_overrides, so that a name
    that no table has is seen instead of being dropped.
    """

    def __init__(self, node: Any, table: Sequence[Option]) -> None:
        self._node = node
        self._table = {spec.name: spec for spec in table}
        given: Mapping[str, Any] = dict(node.get_parameters_by_prefix(''))
        self._problems = [
            unknown_name(f"parameter of node '{node.get_name()}'", name, self._table)
            for name in given
            if name not in self._table
            and name not in STANDARD
            and not name.startswith(STANDARD_PREFIX)
        ]
        for spec in table:
            value: Any = spec.default
            if spec.name in given:
                value = given[spec.name].value
                node.undeclare_parameter(spec.name)
            problem = spec.problem(value)
            if problem:
                self._problems.append(problem)
                value = spec.default
            elif isinstance(spec.default, float):
                value = float(value)
            node.declare_parameter(spec.name, value, _descriptor(spec), ignore_override=True)
        node.add_on_set_parameters_callback(self._check)

    def values(self) -> dict[str, Any]:
        """Return every parameter by name; raises ConfigError naming all that are wrong."""
        if self._problems:
            raise ConfigError(' '.join(self._problems))
        return {name: self._node.get_parameter(name).value for name in self._table}

    def _check(self, changed: Sequence[Any]) -> SetParametersResult:
        known = [p for p in changed if p.name in self._table]
        problems = [self._table[p.name].problem(p.value) for p in known]
        problems += [
            "parameter 'use_sim_time' cannot be changed while the node is up: start it again"
            for p in changed
            if p.name == 'use_sim_time' and p.value != self._node.get_parameter(p.name).value
        ]
        reason = ' '.join(filter(None, problems))
        return SetParametersResult(successful=not reason, reason=reason)


def _descriptor(option: Option) -> ParameterDescriptor:
    """Return the ROS descriptor that `ros2 param describe` shows."""
    result = ParameterDescriptor(description=option.description, read_only=option.read_only)
    if option.choices:
        result.additional_constraints = f'one of: {", ".join(option.choices)}'
    if option.limits and isinstance(option.default, int):
        first, last = (int(limit) for limit in option.limits)
        result.integer_range = [IntegerRange(from_value=first, to_value=last)]
    elif option.limits:
        lower, upper = option.limits
        result.floating_point_range = [FloatingPointRange(from_value=lower, to_value=upper)]
    return result
