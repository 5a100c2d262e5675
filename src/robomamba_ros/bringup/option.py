"""One option of a graph: parameter of a node, argument of a launch file, option of a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from robomamba_ros.errors import ConfigError, unknown_name

Value: TypeAlias = bool | int | float | str

_BOOLEANS = {'true': True, '1': True, 'false': False, '0': False}
# Their options on the command line; all others are called like the argument.
_FLAGS = {'task': '--sim', 'enabled': '--enable'}


@dataclass(frozen=True)
class Option:
    """An option; its type is that of the default.

    limits: of a number, inclusive. read_only: whether a running node keeps it.
    """

    name: str
    default: Value
    description: str
    choices: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    required: bool = False
    read_only: bool = True

    @property
    def flag(self) -> str:
        """Its option of `robomamba up`."""
        return _FLAGS.get(self.name, '--' + self.name.replace('_', '-'))

    @property
    def default_text(self) -> str:
        """The default as `parse` takes it."""
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)

    def parse(self, text: str) -> Value:
        """Return the value of a text; raises ConfigError with the argument and what it takes."""
        kind = type(self.default)
        if kind is bool:
            if text.lower() in _BOOLEANS:
                return _BOOLEANS[text.lower()]
            raise ConfigError(f'{self.name}:={text} must be true or false: {self.description}')
        if self.choices and text not in self.choices:
            raise ConfigError(unknown_name(f'value of {self.name}:=', text, self.choices))
        try:
            value = kind(text)
        except ValueError:
            what = 'a whole number' if kind is int else 'a number'
            raise ConfigError(f'{self.name}:={text} must be {what}: {self.description}') from None
        problem = self.problem(value)
        if problem and not self.required:
            raise ConfigError(f'{self.name}:={text}: {problem}')
        return value

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value, or an empty string."""
        kind, given = type(self.default), type(value)
        if given is not kind and (kind, given) != (float, int):
            return f"parameter '{self.name}' must be {kind.__name__}, got {value!r}"
        if self.choices and value not in self.choices:
            return unknown_name(f"value of parameter '{self.name}'", str(value), self.choices)
        if self.limits and not self.limits[0] <= value <= self.limits[1]:
            return (
                f"parameter '{self.name}' must lie within {self.limits[0]} .. {self.limits[1]}, "
                f'got {value}'
            )
        if self.required and value == '':
            return f"parameter '{self.name}' is not set: {self.description}"
        return ''
