"""What a policy is and what it costs, as values and as the text of `robomamba inspect`.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from robomamba_ros.language.instructions import FILE, Instructions
from robomamba_ros.policies.base import OutputKind, PolicySpec

# Instructions that are listed.
SHOWN = 50


@dataclass(frozen=True)
class Part:
    """A part of a network: parameters, and multiply-accumulates of one inference."""

    name: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class Description:
    """A policy of a kind: its spec, what else there is to say by label, and its cost.

    memory: bytes of the weights by type; state_bytes: of the recurrent state.
    """

    kind: str
    spec: PolicySpec
    facts: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    memory: Mapping[str, int] = field(default_factory=dict)
    state_bytes: int = 0

    @property
    def parameters(self) -> int:
        """Parameters of all parts."""
        return sum(part.parameters for part in self.parts)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, all parts."""
        return sum(part.macs for part in self.parts)

    def text(self) -> str:
        """Return the lines that `robomamba inspect` prints."""
        spec = self.spec
        rows = {
            'policy': f'{spec.name}, of the kind {self.kind}',
            'cameras': ', '.join(
                f'{c.name} {c.width} x {c.height} px' + ' with depth' * c.depth
                for c in spec.cameras
            ),
            'state': ', '.join(spec.state_names),
            **_given(spec),
            'instructions': _instructions(spec.instructions),
            **self.facts,
        }
        lines = [f'{label:18}{value or "none"}' for label, value in rows.items()]
        if self.parts:
            total = Part('total', self.parameters, self.macs)
            lines += ['', f'{"part":18}{"parameters":>14}{"multiply-accumulates":>26}']
            lines += [f'{p.name:18}{p.parameters:>14,}{p.macs:>26,}' for p in (*self.parts, total)]
            weights = ', '.join(f'{_size(n)} in {dtype}' for dtype, n in self.memory.items())
            lines += ['', f'{"weights":18}{weights}']
            lines += [f'{"recurrent state":18}{_size(self.state_bytes)}']
        return '\n'.join(lines)


def _instructions(instructions: Instructions) -> str:
    trained = instructions.trained
    if not trained:
        return 'any; it does not say what it was trained on'
    others = 'refused' if instructions.trained_only else 'followed with a warning'
    if instructions.trained_only and instructions.words:
        others = 'refused where their words are unknown'
    more = f'; {len(trained) - SHOWN} more in {FILE}' if len(trained) > SHOWN else ''
    return f'{len(trained)} trained, others are {others}: {"; ".join(trained[:SHOWN])}{more}'


def _given(spec: PolicySpec) -> dict[str, str]:
    """Return what `infer` gives, in words by label."""
    actions = f'{spec.action_space.value}: {", ".join(spec.action_names)}'
    if spec.output_kind is OutputKind.TARGETS:
        return {'target': f'one for an instruction, {actions}'}
    if spec.output_kind is OutputKind.ANSWERS:
        return {'target': 'none: it answers questions'}
    seconds = spec.dt_ns * 1e-9
    return {
        'actions': actions,
        'chunk': f'{spec.horizon} actions of {1e3 * seconds:g} ms, '
        f'{spec.horizon * seconds:g} s; {spec.execute_steps} executed per inference',
    }


def _size(count: int) -> str:
    return f'{count / 1e6:,.1f} MB'
