"""A policy that runs in a server, behind the same contract as one that runs here.

Any server that speaks openpi's protocol will do: pi-0, pi-0.5, or `robomamba serve`. The chunks go
through the same alignment in time, limits and watchdog as those of any other policy.
"""

from __future__ import annotations

from pathlib import Path

from robomamba_ros.policies.base import LoadOptions, PolicySpec
from robomamba_ros.policies.description import Description
from robomamba_ros.policies.location import checkpoint_name
from robomamba_ros.policies.remote.config import KIND, RemoteConfig, read_config
from robomamba_ros.policies.remote.connection import Connection, read_api_key
from robomamba_ros.types import ActionChunk, Observation

# A server's first inference may compile [s].
FIRST_ANSWER_S = 300.0


class RemotePolicy:
    """Asks a server at every inference.

    An episode is a connection: `reset` ends it, and the next inference opens another. A server that
    is late, dies, or answers with something else is a BackendError or ActionError; the arm then
    stops for want of a chunk, and the next observation is another try.
    """

    def __init__(self, config: RemoteConfig, connection: Connection) -> None:
        self._config = config
        self._connection = connection
        self._answer_s = FIRST_ANSWER_S

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self._config.spec

    def reset(self) -> None:
        """End the episode, and the connection with it."""
        self._connection.close()

    def infer(self, observation: Observation) -> ActionChunk:
        """Return the server's chunk; raises ObservationError, BackendError or ActionError."""
        self.spec.check(observation)
        answer = self._connection.ask(self._config.request(observation), self._answer_s)
        self._answer_s = self._config.answer_s
        return self._config.chunk(answer, observation.stamp_ns)


def load(folder: Path, options: LoadOptions) -> RemotePolicy:
    """Return the policy that a directory describes, connected to its server.

    `options` change nothing: the server was started with its own. Waits up to `connect_within_s`
    for the server. Raises ConfigError, and BackendError where no server answers or a package is
    missing.
    """
    config = read_config(folder / 'config.yaml', checkpoint_name(folder))
    connection = Connection(config.url, read_api_key(config.api_key_variable))
    config.check_metadata(connection.wait(config.connect_s))
    return RemotePolicy(config, connection)


def describe(path: Path) -> Description:
    """Return what the policy of a configuration file is; asks no server."""
    config = read_config(path, checkpoint_name(path.parent))
    return Description(KIND, config.spec, {'server': config.url})
