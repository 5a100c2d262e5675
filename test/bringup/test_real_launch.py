"""Runs the launch files by the real `launch`, up to processes that start and end.

Skipped where ROS 2 is not installed; test_launch_files.py then runs them against stand-ins.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    'launch_ros',
    reason='launch and launch_ros are on no package index; this runs where ROS 2 is installed',
)

import rclpy
from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import EmitEvent, IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit, OnProcessIO, OnProcessStart
from launch.events import Shutdown
from launch.launch_description_sources import (
    PythonLaunchDescriptionSource,
    get_launch_description_from_python_launch_file,
)
from launch.utilities import perform_substitutions
from rclpy.node import Node
from support.launch_files import ARGUMENTS, CASES, FOLDER, nodes

from robomamba_ros.bringup.graph import NodeSpec, rviz_spec

SOURCES = Path(__file__).parents[2] / 'src'
EXECUARGUMENTS = (
    'robomamba',
    'policy_node',
    'controller_node',
    'sim_node',
    'fake_arm_node',
    'bag_player_node',
)
# What a process runs that is only looked at: `launch` ends it.
IDLE = '#!/bin/sh\nexec sleep 60\n'
FAILS = '#!/bin/sh\nexit 3\n'
REAL = """#!{python}
import sys
sys.path[:0] = {path}
from robomamba_ros.executables import {executable}
{executable}()
"""


class Launched:
    """A launch file as `ros2 launch` runs it, included in another one.

    commands: of the processes that started. exits: their exit codes by name. said: their output.
    """

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self.commands: list[list[str]] = []
        self.exits: dict[str, int] = {}
        self.said = ''

    def install(self, executable: str, script: str, package: str = 'robomamba_ros') -> None:
        """Make a script an executable of a package."""
        marker = self._prefix / 'share/ament_index/resource_index/packages' / package
        path = self._prefix / 'lib' / package / executable
        for each in (marker, path):
            each.parent.mkdir(parents=True, exist_ok=True)
            each.touch()
        path.write_text(script)
        path.chmod(0o755)

    def run(self, file: str, *, until: Callable[[], bool] = lambda: False, **arguments: str) -> int:
        """Return the exit code; `until`, asked at what processes do, begins the shutdown."""
        ending = [EmitEvent(event=Shutdown(reason='seen enough'))]

        def started(event: Any, context: Any) -> Any:
            self.commands.append(event.cmd)
            return ending if until() else None

        def spoke(event: Any) -> Any:
            self.said += event.text.decode()
            return ending if until() else None

        def ended(event: Any, context: Any) -> None:
            self.exits[Path(event.cmd[0]).name] = event.returncode

        handlers = (
            OnProcessStart(on_start=started),
            OnProcessIO(on_stdout=spoke, on_stderr=spoke),
            OnProcessExit(on_exit=ended),
        )
        source = PythonLaunchDescriptionSource(str(FOLDER / file))
        included = IncludeLaunchDescription(source, launch_arguments=list(arguments.items()))
        service = LaunchService(noninteractive=True)
        service.include_launch_description(
            LaunchDescription([*(RegisterEventHandler(each) for each in handlers), included])
        )
        return int(service.run())


@pytest.fixture(autouse=True, scope='module')
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the log files of `launch`, which makes a folder once, among the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_LOG_DIR', str(tmp_path_factory.mktemp('log')))
        yield


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launched:
    """Return what runs launch files, with executables that only wait to be ended."""
    prefix = tmp_path / 'prefix'
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{prefix}:{os.environ.get("AMENT_PREFIX_PATH", "")}')
    monkeypatch.setattr(sys, 'argv', ['ros2', 'launch', 'mine.launch.py'])
    made = Launched(prefix)
    for executable in EXECUARGUMENTS:
        made.install(executable, IDLE)
    made.install('rviz2', IDLE, 'rviz2')
    return made


def seen_by_ros(command: list[str], spec: NodeSpec) -> NodeSpec:
    """Return what rclpy makes of a command line; topics are looked up for those of `spec`."""
    context = rclpy.Context()
    rclpy.init(args=command, context=context)
    try:
        node = Node(
            'unnamed', context=context, automatically_declare_parameters_from_overrides=True
        )
        namespace = node.get_namespace().strip('/')
        found = {name: node.get_parameter(name).value for name in spec.parameters}
        topics = {name: node.resolve_topic_name(name) for name in spec.remappings}
        name = node.get_name() if '__node' in ' '.join(command) else ''
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
    ros = command.index('--ros-args') if '--ros-args' in command else len(command)
    path = Path(command[0])
    return NodeSpec(
        path.name, name, namespace, found, topics, tuple(command[1:ros]), path.parent.name
    )


def resolved(spec: NodeSpec) -> NodeSpec:
    """Return a node of the graph with the full names of its topics."""
    prefix = f'/{spec.namespace}/' if spec.namespace else '/'
    topics = {
        name: topic if topic.startswith('/') else prefix + topic
        for name, topic in spec.remappings.items()
    }
    return replace(spec, remappings=topics)


@pytest.mark.parametrize('file', ARGUMENTS)
def test_arguments_are_listed_as_declared(file: str) -> None:
    description = get_launch_description_from_python_launch_file(str(FOLDER / file))
    listed = {each.name: each for each in description.get_launch_arguments()}
    assert list(listed) == [each.name for each in ARGUMENTS[file]] + ['composed', 'rviz']
    for option in ARGUMENTS[file]:
        argument = listed[option.name]
        # `launch` adds the choices to it.
        assert argument.description.startswith(option.description)
        assert tuple(argument.choices or ()) == option.choices
        default = argument.default_value
        if option.required:
            assert default is None
        else:
            assert perform_substitutions(LaunchContext(), default) == option.default_text


@pytest.mark.parametrize(('file', 'given', 'values'), CASES)
def test_processes_get_what_the_graph_says(
    launched: Launched, file: str, given: dict[str, str], values: dict[str, Any]
) -> None:
    wanted = nodes(file, **values)
    code = launched.run(
        file, until=lambda: len(launched.commands) == len(wanted), policy='hold', **given
    )
    assert code == 0
    by_name = {spec.executable: spec for spec in wanted}
    assert len(launched.commands) == len(wanted)
    for command in launched.commands:
        spec = by_name.pop(Path(command[0]).name)
        assert seen_by_ros(command, spec) == resolved(spec)
    assert not by_name


def test_composed_is_one_process_beside_rviz(launched: Launched) -> None:
    code = launched.run(
        'policy.launch.py',
        until=lambda: len(launched.commands) == 2,
        policy='hold',
        arm='franka_fr3',
        composed='true',
        rviz='true',
        instruction='open it',
    )
    assert code == 0
    rviz, composed = launched.commands
    words = ['up', '--policy=hold', '--arm=franka_fr3', '--instruction=open it']
    assert (Path(composed[0]).name, composed[1 : 1 + len(words)]) == ('robomamba', words)
    # What follows is ROS's, and names no node: it would be every node's name.
    assert composed[1 + len(words) :] in ([], ['--ros-args'])
    specs = nodes('policy.launch.py', arm='franka_fr3')
    wanted = rviz_spec(next(each for each in specs if each.executable == 'controller_node'))
    assert seen_by_ros(rviz, wanted) == resolved(wanted)


@pytest.mark.parametrize(
    ('file', 'given', 'message'),
    [
        ('policy.launch.py', {}, "'policy'"),
        ('policy.launch.py', {'policy': 'hold', 'enabled': 'maybe'}, 'enabled:=maybe must be'),
        ('policy.launch.py', {'policy': 'hold', 'threads': '0'}, 'threads:=0: parameter'),
        ('policy.launch.py', {'policy': 'hold', 'arm': 'nobodys'}, "no 'nobodys' in"),
        ('sim.launch.py', {'policy': 'hold', 'mode': 'fast'}, 'mode'),
        ('sim.launch.py', {'policy': 'nothing'}, "'nothing'"),
        ('replay.launch.py', {'policy': 'hold', 'bag': 'b', 'rate': 'x'}, 'rate:=x must be'),
    ],
)
def test_wrong_values_are_refused_before_anything_starts(
    launched: Launched, caplog: pytest.LogCaptureFixture, file: str, given: Any, message: str
) -> None:
    assert launched.run(file, **given) == 1
    assert launched.commands == []
    assert message in caplog.text


def test_a_misspelt_argument_is_refused(
    launched: Launched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    words = ['ros2', 'launch', 'robomamba_ros', 'policy.launch.py', 'policy:=hold', 'dryrun:=true']
    monkeypatch.setattr(sys, 'argv', words)
    assert launched.run('policy.launch.py', policy='hold', dryrun='true') == 1
    assert launched.commands == []
    assert "Did you mean 'dry_run'?" in caplog.text


def test_one_failure_ends_all(launched: Launched, caplog: pytest.LogCaptureFixture) -> None:
    launched.install('policy_node', FAILS)
    assert launched.run('policy.launch.py', policy='hold', arm='ur5e') == 1
    assert re.search(r'policy_node-\d+ ended with exit code 3', caplog.text)
    assert launched.exits == {'controller_node': -signal.SIGINT}


def test_nodes_start_and_end(launched: Launched, monkeypatch: pytest.MonkeyPatch) -> None:
    path = [str(SOURCES), *sys.path]
    for executable in EXECUARGUMENTS:
        script = REAL.format(python=sys.executable, path=path, executable=executable)
        launched.install(executable, script)
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    ready = ('[controller_node]: tracking', '[policy_node]: inferring')
    code = launched.run(
        'policy.launch.py',
        until=lambda: all(each in launched.said for each in ready),
        policy='hold',
        arm='franka_fr3',
        fake='true',
        enabled='true',
        instruction='hold still',
    )
    assert launched.exits == {'fake_arm_node': 0, 'controller_node': 0, 'policy_node': 0}
    assert code == 0
