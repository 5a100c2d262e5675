"""Serves a policy of this package by openpi's protocol, to one robot at a time."""

from __future__ import annotations

import hmac
import http
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from robomamba_ros.errors import ObservationError, RoboMambaError, shortened
from robomamba_ros.policies.base import ChunkPolicy
from robomamba_ros.policies.remote.config import (
    ACTIONS_KEY,
    IMAGE_KEY,
    METADATA,
    PREVIOUS_KEY,
    PROMPT_KEY,
    STAMP_KEY,
    STATE_KEY,
)
from robomamba_ros.policies.remote.wire import LARGEST_MESSAGE, pack, require_packages, unpack
from robomamba_ros.policies.spec_file import write_spec
from robomamba_ros.types import Float32Array, Observation

# Of the websocket protocol: internal error, try again later.
_INTERNAL_ERROR, _TRY_AGAIN_LATER = 1011, 1013

# How long a client may wait for the one before it to be gone [s]: that of a robot which begins an
# episode is, as soon as its last inference has ended.
HANDOVER_S = 4.0


class PolicyServer:
    """Answers observations with chunks of actions.

    An episode is a connection, and there is one at a time: two robots would share one memory.
    A request has the images `observation/image/<camera>` (h, w, 3) uint8, `observation/state`
    float32 and `prompt`; `observation/previous_state` (default: the state) and
    `observation/stamp_ns` (default: the time since the connection began) may be left out.
    host: address to listen at; port: 0 takes a free one; api_key: what clients must send;
    handover_s: how long a client may wait for the one before it to be gone [s].
    Raises BackendError where the packages are missing, OSError where the port is taken.
    """

    def __init__(
        self,
        policy: ChunkPolicy,
        *,
        host: str = '127.0.0.1',
        port: int = 8000,
        api_key: str | None = None,
        handover_s: float = HANDOVER_S,
    ) -> None:
        require_packages()
        from websockets.sync.server import serve

        self._policy = policy
        self._authorization = f'Api-Key {api_key}'.encode() if api_key is not None else None
        self._handover_s = handover_s
        self._taken = threading.Lock()
        self._connection: Any = None
        self._server = serve(
            self._handle,
            host,
            port,
            compression=None,
            max_size=LARGEST_MESSAGE,
            process_request=self._admit,
        )

    @property
    def port(self) -> int:
        """The port it listens at."""
        return int(self._server.socket.getsockname()[1])

    def serve_forever(self) -> None:
        """Answer until `shutdown`, or an exception as that of Ctrl-C."""
        try:
            self._server.serve_forever()
        finally:
            self.shutdown()

    def shutdown(self) -> None:
        """Close the connection and take no more."""
        self._server.shutdown()
        # Not every release of websockets closes what is open.
        if (connection := self._connection) is not None:
            connection.close()

    def _admit(self, connection: Any, request: Any) -> Any:
        """Answer GET /healthz, and refuse a client without the key."""
        if request.path == '/healthz':
            return connection.respond(http.HTTPStatus.OK, 'OK\n')
        if self._authorization is None:
            return None
        given = request.headers.get('Authorization', '').encode()
        if not hmac.compare_digest(given, self._authorization):
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, 'another API key is needed\n')
        return None

    def _handle(self, connection: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        if not self._taken.acquire(timeout=self._handover_s):
            connection.close(_TRY_AGAIN_LATER, 'another client is served')
            return
        self._connection = connection
        try:
            self._policy.reset()
            connection.send(pack({METADATA: write_spec(self._policy.spec)}))
            start_ns = time.monotonic_ns()
            while True:
                message = connection.recv()
                connection.send(pack(self._answer(message, time.monotonic_ns() - start_ns)))
        except ConnectionClosed:
            pass
        except Exception as error:
            # As openpi does: a text frame is an error. Ours is one line.
            known = isinstance(error, RoboMambaError)
            text = str(error) if known else f'{type(error).__name__}: {error}'
            connection.send(' '.join(shortened(text).split()))
            connection.close(_INTERNAL_ERROR, 'the error is in the frame before')
        finally:
            self._connection = None
            self._taken.release()

    def _answer(self, message: bytes | str, now_ns: int) -> dict[str, Any]:
        observation = self._observation(message, now_ns)
        start_s = time.monotonic()
        chunk = self._policy.infer(observation)
        timing = {'infer_ms': 1e3 * (time.monotonic() - start_s)}
        return {ACTIONS_KEY: chunk.actions, 'server_timing': timing}

    def _observation(self, message: bytes | str, now_ns: int) -> Observation:
        if isinstance(message, str):
            raise ObservationError('a request is a binary frame, this is text')
        try:
            request = unpack(message)
        except ValueError as error:
            raise ObservationError(f'the request cannot be read: {error}') from error
        if not isinstance(request, Mapping):
            raise ObservationError(f'a request is a mapping, this is {type(request).__name__}')
        spec = self._policy.spec
        images = {camera.name: IMAGE_KEY.format(camera.name) for camera in spec.cameras}
        missing = [key for key in (*images.values(), PROMPT_KEY) if key not in request]
        if missing:
            raise ObservationError(f'the request lacks {", ".join(missing)}')
        state = _vector(request, STATE_KEY, None if spec.state_names else np.zeros(0, np.float32))
        stamp_ns = request.get(STAMP_KEY, now_ns)
        if type(stamp_ns) is not int or not isinstance(request[PROMPT_KEY], str):
            raise ObservationError(f'{STAMP_KEY} is no whole number, or {PROMPT_KEY} no text')
        return Observation(
            stamp_ns=stamp_ns,
            images={name: _array(request, key) for name, key in images.items()},
            state=state,
            previous_state=_vector(request, PREVIOUS_KEY, state),
            instruction=request[PROMPT_KEY],
        )


def _array(request: Mapping[str, Any], key: str) -> Any:
    value = request.get(key)
    if not isinstance(value, np.ndarray):
        raise ObservationError(f'the request has no array {key}')
    return value


def _vector(request: Mapping[str, Any], key: str, default: Float32Array | None) -> Float32Array:
    if default is not None and key not in request:
        return default
    with np.errstate(over='ignore'):
        return np.asarray(_array(request, key), dtype=np.float32).reshape(-1)
