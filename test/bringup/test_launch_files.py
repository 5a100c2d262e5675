"""Runs what the launch files describe, and compares the nodes with bringup's.

`launch` and `launch_ros` come with ROS 2 alone, from no package index: where they are not
installed, a few stand-ins hold what the launch files use of them.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from support.launch_files import CASES, FOLDER, nodes

from robomamba_ros.bringup.graph import NodeSpec
from robomamba_ros.errors import ConfigError


class Record:
    """Keeps what it is made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


class LaunchContext:
    def __init__(self) -> None:
        self.launch_configurations: dict[str, str] = {}
        self.is_shutdown = False


class LaunchDescription:
    def __init__(self, entities: list[Any]) -> None:
        self.entities = entities


class DeclareLaunchArgument(Record):
    def execute(self, context: LaunchContext) -> None:
        name, value = self.args[0], self.kwargs['default_value']
        if name not in context.launch_configurations:
            assert value is not None, f'{name} has no default and was not given'
            context.launch_configurations[name] = value


class OpaqueFunction(Record):
    def execute(self, context: LaunchContext) -> Any:
        return self.kwargs['function'](context)


class LaunchConfiguration(Record):
    def perform(self, context: LaunchContext) -> str:
        return context.launch_configurations[self.args[0]]


STAND_INS = {
    'launch': {
        'LaunchContext': LaunchContext,
        'LaunchDescription': LaunchDescription,
        'LaunchDescriptionEntity': Record,
    },
    'launch.actions': {
        'DeclareLaunchArgument': DeclareLaunchArgument,
        'OpaqueFunction': OpaqueFunction,
        'Shutdown': type('Shutdown', (Record,), {}),
    },
    'launch.events': {},
    'launch.events.process': {'ProcessExited': SimpleNamespace},
    'launch.substitutions': {'LaunchConfiguration': LaunchConfiguration},
    'launch_ros': {},
    'launch_ros.actions': {'Node': Record},
}


@pytest.fixture
def launching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import robomamba_ros.bringup.launch beside the real launch, or beside stand-ins."""
    if find_spec('launch_ros') is None:
        for name, contents in STAND_INS.items():
            module = ModuleType(name)
            vars(module).update(contents)
            monkeypatch.setitem(sys.modules, name, module)
    module = importlib.import_module('robomamba_ros.bringup.launch')
    # The real one keeps what it is made with to itself.
    monkeypatch.setattr(module, 'Node', Record)
    yield module
    del sys.modules['robomamba_ros.bringup.launch']


@pytest.fixture
def run(launching: Any) -> Callable[..., list[Record]]:
    """Return what `ros2 launch robomamba_ros <file> name:=value ...` starts."""

    def run(file: str, **arguments: str) -> list[Record]:
        description = runpy.run_path(str(FOLDER / file))['generate_launch_description']()
        context = importlib.import_module('launch').LaunchContext()
        context.launch_configurations.update(arguments)
        *declared, opaque = description.entities
        for argument in declared:
            argument.execute(context)
        return list(opaque.execute(context))

    return run


def specs(nodes: list[Record]) -> list[NodeSpec]:
    return [
        NodeSpec(
            node.kwargs['executable'],
            node.kwargs['name'] or '',
            node.kwargs['namespace'] or '',
            (node.kwargs['parameters'] or [{}])[0],
            dict(node.kwargs['remappings']),
            tuple(node.kwargs['arguments']),
            node.kwargs['package'],
        )
        for node in nodes
    ]


@pytest.mark.parametrize(('file', 'given', 'values'), CASES)
def test_arguments_become_the_graph(
    run: Any, file: str, given: dict[str, str], values: dict[str, Any]
) -> None:
    assert specs(run(file, policy='hold', **given)) == list(nodes(file, **values))


def test_composed_is_one_process_of_the_same_options(run: Any) -> None:
    made = specs(
        run(
            'sim.launch.py', policy='hold', composed='true', namespace='left', instruction='open it'
        )
    )
    words = (
        'up',
        '--policy=hold',
        '--instruction=open it',
        '--namespace=left',
        '--sim=drawer-open',
    )
    # A name would be given to every node of the process.
    assert made == [NodeSpec('robomamba', '', arguments=words)]


def test_rviz_comes_beside_the_graph(run: Any) -> None:
    made = specs(run('policy.launch.py', policy='hold', arm='franka_fr3', rviz='true'))
    # First: launch forgets what it has started where the next thing is not installed.
    assert [spec.executable for spec in made] == ['rviz2', 'policy_node', 'controller_node']
    assert (made[0].package, made[0].arguments[-2:]) == ('rviz2', ('-f', 'fr3_link0'))
    assert made[0].remappings['camera/image'] == '/camera/camera/color/image_raw'


def test_a_mistake_is_named_before_anything_starts(run: Any) -> None:
    with pytest.raises(ConfigError, match='enabled:=maybe must be true or false'):
        run('policy.launch.py', policy='hold', enabled='maybe')


def test_a_misspelt_argument_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ['ros2', 'launch', 'robomamba_ros', 'policy.launch.py', 'policy:=hold', 'dryrun:=true']
    monkeypatch.setattr(sys, 'argv', words)
    with pytest.raises(ConfigError, match=r"policy.launch.py 'dryrun'. Did you mean 'dry_run'\?"):
        run('policy.launch.py', policy='hold', dryrun='true')


def test_another_launch_file_may_have_arguments_of_its_own(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, 'argv', ['ros2', 'launch', 'mine.launch.py', 'robots:=two'])
    assert len(run('policy.launch.py', policy='hold')) == 2


def test_one_end_ends_all(run: Any, launching: Any) -> None:
    made = run('policy.launch.py', policy='hold', rviz='true')
    assert [node.kwargs.get('on_exit') for node in made] == [None, launching._end, launching._end]
    context = importlib.import_module('launch').LaunchContext()
    ended = SimpleNamespace(process_name='policy_node-1', returncode=1)
    with pytest.raises(RuntimeError, match='policy_node-1 ended with exit code 1'):
        launching._end(ended, context)
    ended.returncode = 0
    assert isinstance(launching._end(ended, context), launching.Shutdown)
