"""Runs the launch files against stand-ins for `launch` and `launch_ros`, which no package index
has: what is checked is that they hand bringup's specs on, whole."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from robomamba_ros.bringup import PolicyOptions, SimOptions, policy_graph, sim_graph

LAUNCH = Path(__file__).parents[2] / 'launch'


class Record:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


class LaunchConfiguration(Record):
    def perform(self, context: dict[str, str]) -> str:
        return context[self.args[0]]


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    node, managed = (type(name, (Record,), {}) for name in ('Node', 'LifecycleNode'))
    modules = {
        'launch': {
            'LaunchContext': dict,
            'LaunchDescription': list,
            'LaunchDescriptionEntity': Record,
        },
        'launch.actions': {
            'DeclareLaunchArgument': type('DeclareLaunchArgument', (Record,), {}),
            'OpaqueFunction': type('OpaqueFunction', (Record,), {}),
        },
        'launch.substitutions': {'LaunchConfiguration': LaunchConfiguration},
        'launch_ros': {},
        'launch_ros.actions': {'Node': node, 'LifecycleNode': managed},
    }
    for name, contents in modules.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    return SimpleNamespace(node=node, managed=managed)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    (tmp_path / 'config.yaml').write_text(
        yaml.safe_dump({'execute_steps': 10, 'crop': {'source': 64}})
    )
    return str(tmp_path)


def nodes(file: str, **arguments: str) -> list[Any]:
    description = runpy.run_path(str(LAUNCH / file))['generate_launch_description']()
    *declared, opaque = description
    context = {each.args[0]: each.kwargs['default_value'] for each in declared}
    assert all(each.kwargs['description'] for each in declared)
    assert set(arguments) <= set(context)
    return list(opaque.kwargs['function'](context | arguments))


def assert_same(nodes: list[Any], specs: Any) -> None:
    assert [
        (n.kwargs['executable'], n.kwargs['name'], n.kwargs['namespace'], n.kwargs['parameters'])
        for n in nodes
    ] == [(s.executable, s.name, s.namespace, [dict(s.parameters)]) for s in specs]
    assert [dict(n.kwargs['remappings']) for n in nodes] == [dict(s.remappings) for s in specs]
    assert {n.kwargs['package'] for n in nodes} == {'robomamba_ros'}


def test_policy_launch(stand_ins: SimpleNamespace, checkpoint: str) -> None:
    made = nodes('policy.launch.py', checkpoint=checkpoint, enabled='true', execute_steps='5')
    assert_same(made, policy_graph(PolicyOptions(checkpoint, enabled=True, execute_steps=5)))
    assert all(isinstance(node, stand_ins.managed) for node in made)


def test_policy_launch_moves_nothing_unasked(stand_ins: SimpleNamespace, checkpoint: str) -> None:
    made = nodes('policy.launch.py', checkpoint=checkpoint)
    assert made[1].kwargs['parameters'][0]['enabled'] is False


def test_sim_launch(stand_ins: SimpleNamespace, checkpoint: str) -> None:
    made = nodes('sim.launch.py', checkpoint=checkpoint, task='push', seed='3', mode='lockstep')
    options = PolicyOptions(checkpoint, mode='lockstep', enabled=True)
    assert_same(made, sim_graph(options, SimOptions('push', seed=3)))
    assert [isinstance(node, stand_ins.node) for node in made] == [True, False, False]
