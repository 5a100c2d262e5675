"""A websocket to a policy server. Every wait on it has an end."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

from robomamba_ros.errors import BackendError, ConfigError, shortened
from robomamba_ros.policies.remote.wire import LARGEST_MESSAGE, pack, require_packages, unpack

# For the handshake of a connection [s], for its end, and between two tries to open one.
OPEN_S, CLOSE_S, AGAIN_S = 5.0, 0.1, 1.0


def read_api_key(variable: str) -> str | None:
    """Return the key in an environment variable, None for no name; raises ConfigError."""
    key = os.environ.get(variable) if variable else None
    if variable and not key:
        raise ConfigError(f'the API key is taken from the variable {variable}, which is not set')
    return key


class Connection:
    """Asks the server at `url` (ws:// or wss://), and connects to it when that is needed.

    api_key: sent in the header `Authorization: Api-Key ..`, where there is one.
    A connection whose answer is late, or cannot be read, is closed: what comes on it later would
    be taken for the answer to another question. Raises BackendError where the packages are missing.
    """

    def __init__(self, url: str, api_key: str | None) -> None:
        require_packages()
        self._url = url
        self._headers = {} if api_key is None else {'Authorization': f'Api-Key {api_key}'}
        self._websocket: Any = None
        # Ends what is open.
        self._ending = contextlib.ExitStack()
        self._problem: str | None = None
        self._failed_at_s = 0.0

    def wait(self, wait_s: float) -> Mapping[str, Any]:
        """Connect, and try for `wait_s` while no server answers; return the server's metadata.

        Raises BackendError saying why there is no connection.
        """
        end_s = time.monotonic() + wait_s
        while True:
            try:
                return self._open()
            except BackendError:
                left_s = end_s - time.monotonic()
                if left_s <= 0:
                    raise
                time.sleep(min(AGAIN_S, left_s))

    def ask(self, request: Mapping[str, Any], answer_s: float) -> Mapping[str, Any]:
        """Return the answer to a request; raises BackendError after at most `answer_s` without it.

        The handshake of a new connection may take OPEN_S more. After a failed one the next try is
        made AGAIN_S later, and the same error raised until then.
        """
        if self._websocket is None:
            if self._problem is not None and time.monotonic() < self._failed_at_s + AGAIN_S:
                raise BackendError(self._problem)
            self._open()
        try:
            return self._exchange(pack(dict(request)), answer_s)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection; the next question opens another."""
        self._websocket = None
        self._ending.close()

    def _open(self) -> Mapping[str, Any]:
        from websockets.exceptions import InvalidStatus, WebSocketException
        from websockets.sync.client import connect

        self.close()
        try:
            opened = connect(
                self._url,
                additional_headers=self._headers,
                compression=None,
                max_size=LARGEST_MESSAGE,
                open_timeout=OPEN_S,
                close_timeout=CLOSE_S,
                # A server that computes answers no ping, and every answer has its own deadline.
                ping_interval=None,
            )
            self._websocket = self._ending.enter_context(opened)
            metadata = self._exchange(None, OPEN_S)
        except InvalidStatus as error:
            status = error.response.status_code
            hint = '; it wants another API key' if status in (401, 403) else ''
            self._refuse(f'{self._server} refuses the connection: HTTP {status}{hint}', error)
        except (OSError, TimeoutError, WebSocketException) as error:
            said = str(error) or type(error).__name__
            self._refuse(f'{self._server} does not answer: {said}', error)
        except BackendError as error:
            self._refuse(str(error), error)
        self._problem = None
        return metadata

    @property
    def _server(self) -> str:
        return f'the policy server at {self._url}'

    def _refuse(self, problem: str, error: Exception) -> None:
        """Raise BackendError, and remember when and why there was no connection."""
        self.close()
        self._problem, self._failed_at_s = problem, time.monotonic()
        raise BackendError(problem) from error

    def _exchange(self, request: bytes | None, answer_s: float) -> Mapping[str, Any]:
        """Send a request, where there is one, and return the message that comes."""
        from websockets.exceptions import ConnectionClosed

        assert self._websocket is not None
        server = self._server
        try:
            if request is not None:
                # A server that reads no more would hold a large request for ever.
                seconds = struct.pack('ll', int(answer_s), int(answer_s % 1 * 1e6))
                raw = self._websocket.socket
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
                self._websocket.send(request)
            answer = self._websocket.recv(timeout=answer_s)
        except TimeoutError as error:
            raise BackendError(f'{server} gave no answer within {answer_s:g} s') from error
        except (ConnectionClosed, OSError) as error:
            raise BackendError(f'{server} closed the connection: {error}') from error
        if isinstance(answer, str):
            # openpi sends the traceback of its error as text; its last line is the error.
            lines = answer.strip().splitlines() or ['an empty text']
            raise BackendError(f'{server} reports an error: {shortened(lines[-1], 300)}')
        try:
            value = unpack(answer)
        except ValueError as error:
            raise BackendError(f'{server} sent what cannot be read: {error}') from error
        if not isinstance(value, Mapping):
            raise BackendError(f'{server} sent {type(value).__name__}, not a mapping')
        return value
