"""Asks the controllers that are commanded for their settings and their state."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from robomamba_ros.errors import BackendError
from robomamba_ros.nodes.common.readers import readers_of
from robomamba_ros.nodes.common.remote_parameters import RemoteParameters
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.robots.controller_settings import (
    CONTROLLER_PARAMETERS,
    depends_on_settings,
    problems_of,
)
from robomamba_ros.robots.parts import Output

_LIST = '/list_controllers'


class SettingsWatch:
    """Whether limits hold by the settings of the controller that an output commands.

    One of positions is asked which joints it moves, in which order: its messages do not name them.
    Who reads along, as a recorder does, has none of the settings and is passed over. Where the
    contract assumes the settings, only those that can be read and are wrong are a problem.
    """

    def __init__(self, node: Any, output: Output, arm: ArmContract) -> None:
        self._node = node
        self._output = output
        self._arm = arm
        self._readers: dict[str, RemoteParameters] = {}
        self._topic = node.resolve_topic_name(output.name)

    def look(self) -> None:
        """Ask who reads the commands; a few times a second."""
        names = readers_of(self._node, self._output.name)
        for gone in self._readers.keys() - names:
            self._readers.pop(gone).destroy()
        for name in names - self._readers.keys():
            self._readers[name] = RemoteParameters(self._node, name, CONTROLLER_PARAMETERS)
        for reader in self._readers.values():
            reader.ask()

    def problem(self) -> str:
        """Return why the arm may not move by the settings, '' where it may."""
        needed = depends_on_settings(self._output) and not self._output.assume_settings
        if not self._readers and needed:
            return (
                f'nobody listens on {self._topic}: start and activate the controller, or name its '
                'topic in the arm contract'
            )
        readers = {name: reader.values or {} for name, reader in self._readers.items()}
        found = problems_of(self._output, self._topic, readers, self._arm)
        return '; '.join(f'{problem.found}: {problem.remedy}' for problem in found)

    def destroy(self) -> None:
        """Disconnect."""
        while self._readers:
            self._readers.popitem()[1].destroy()


class ActivityWatch:
    """Whether the controllers that are commanded are active, where a controller_manager tells.

    outputs: topics of the node's own, by which the controllers are found. on_missing: told in one
    line where the package of its messages is not installed.
    """

    def __init__(
        self, node: Any, outputs: tuple[str, ...], on_missing: Callable[[Exception], None]
    ) -> None:
        self._node = node
        self._outputs = outputs
        self._on_missing = on_missing
        self._clients: dict[str, Any] = {}
        self._states: dict[str, dict[str, str]] = {}
        self._asked: dict[str, Any] = {}
        self._looks = 0

    def look(self) -> None:
        """Ask every controller_manager again that has answered; a few times a second."""
        self._looks += 1
        if self._looks % 4 == 1:
            self._find()
        for name, client in self._clients.items():
            if client is None or not client.service_is_ready():
                continue
            if name not in self._asked or self._asked[name].done():
                self._asked[name] = client.call_async(client.srv_type.Request())
                self._asked[name].add_done_callback(
                    lambda future, name=name: self._on(name, future)
                )

    def _find(self) -> None:
        """Connect to controller managers that have appeared."""
        for name, types in self._node.get_service_names_and_types():
            if name.endswith(_LIST) and name not in self._clients:
                kind = None
                with suppress(ImportError):
                    package, _, service = types[0].partition('/srv/')
                    kind = getattr(importlib.import_module(f'{package}.srv'), service, None)
                self._clients[name] = None if kind is None else self._node.create_client(kind, name)
                if kind is None:
                    self._on_missing(
                        BackendError(
                            f'{name} cannot be asked whether controllers are active, as '
                            f'{types[0]} is not installed here: apt install '
                            'ros-$ROS_DISTRO-controller-manager-msgs'
                        )
                    )

    def _on(self, name: str, future: Any) -> None:
        space = name.removesuffix(_LIST).rpartition('/')[0]
        self._states[name] = {
            f'{space}/{each.name}': each.state for each in future.result().controller
        }

    def problem(self) -> str:
        """Return which commanded controllers are not active, '' where all are."""
        states = {name: state for each in self._states.values() for name, state in each.items()}
        if not states:
            return ''
        # In one order, so that the same problem stays the same message.
        readers = sorted(readers_of(self._node, *self._outputs))
        return '; '.join(inactive(readers, states))

    def destroy(self) -> None:
        """Disconnect."""
        while self._clients:
            client = self._clients.popitem()[1]
            if client is not None:
                self._node.destroy_client(client)


def inactive(readers: list[str], states: dict[str, str]) -> list[str]:
    """Return a sentence for each of the controllers `readers` that is not active."""
    return [
        f'{name} is {states[name]}: ros2 control set_controller_state {name.rpartition("/")[2]} '
        'active'
        for name in sorted(set(readers))
        if states.get(name, 'active') != 'active'
    ]
