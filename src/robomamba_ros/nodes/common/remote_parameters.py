"""Reads parameters of other nodes over their parameter services, without waiting for an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.parameter import parameter_value_to_python


class RemoteParameters:
    """Those of the parameters `wanted` that a node has; None until it has answered.

    every: how many calls of `ask` lie between two questions, as values may change.
    """

    def __init__(self, node: Any, name: str, wanted: Sequence[str], every: int = 8) -> None:
        self.values: dict[str, Any] | None = None
        self._node = node
        self._wanted = tuple(wanted)
        self._every = self._waited = every
        self._list = node.create_client(ListParameters, f'{name}/list_parameters')
        self._get = node.create_client(GetParameters, f'{name}/get_parameters')

    def ask(self) -> None:
        """Ask where it is time to; to be called now and then."""
        self._waited += 1
        ready = self._list.service_is_ready() and self._get.service_is_ready()
        if self._waited < self._every or not ready:
            return
        self._waited = 0
        self._list.call_async(ListParameters.Request()).add_done_callback(self._on_names)

    def _on_names(self, future: Any) -> None:
        # A name that a node does not have would empty the whole answer.
        names = [name for name in self._wanted if name in future.result().result.names]
        if not names:
            self.values = {}
            return
        request = GetParameters.Request(names=names)
        self._get.call_async(request).add_done_callback(
            lambda answer: self._on_values(names, answer)
        )

    def _on_values(self, names: list[str], future: Any) -> None:
        values = map(parameter_value_to_python, future.result().values)
        self.values = dict(zip(names, values, strict=False))

    def destroy(self) -> None:
        """Disconnect."""
        for client in (self._list, self._get):
            self._node.destroy_client(client)
