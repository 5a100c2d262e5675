"""Policy servers for tests: openpi's protocol from the side of the server, well and badly kept."""

from __future__ import annotations

import contextlib
import http
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from websockets.sync.server import ServerConnection, serve

from robomamba_ros.policies.remote.wire import pack, unpack

HORIZON = 8
# A frame to send, or None to end the connection without a word.
Answer = Callable[[dict[str, Any]], bytes | str | None]


def actions_of(request: dict[str, Any]) -> np.ndarray:
    """(8, 3) actions that depend on all that the request of `write_remote` holds."""
    base = request['observation/joint_position'].sum() + len(request['prompt'])
    base += request['observation/image'].mean() / 255.0 + request['observation/gripper'][0]
    steps = np.arange(HORIZON, dtype=np.float64)[:, None]
    return 0.001 * base * steps + np.array([0.1, 0.2, 0.9])


def well(request: dict[str, Any]) -> bytes:
    """The answer of a server that does what it should."""
    return pack({'actions': actions_of(request), 'server_timing': {'infer_ms': 1.0}})


@contextlib.contextmanager
def serving(answer: Answer = well, *, key: str = '') -> Iterator[str]:
    """Serve at a free port, to those who send the key; give the address."""

    def admit(connection: ServerConnection, request: Any) -> Any:
        given = request.headers.get('Authorization', '')
        wrong = key and given != f'Api-Key {key}'
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, '') if wrong else None

    def handle(connection: ServerConnection) -> None:
        connection.send(pack({}))
        for message in connection:
            frame = answer(unpack(message))
            if frame is None:
                return
            connection.send(frame)

    settings: dict[str, Any] = {'compression': None, 'max_size': None, 'close_timeout': 0.1}
    server = serve(handle, '127.0.0.1', 0, process_request=admit, **settings)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f'ws://127.0.0.1:{server.socket.getsockname()[1]}'
    finally:
        server.shutdown()
        thread.join()


def document(url: str) -> dict[str, Any]:
    """A config.yaml that asks the server at `url`: two joints and a gripper, as DROID's keys."""
    return {
        'policy': 'remote',
        'server': url,
        'cameras': [{'name': 'front', 'height': 24, 'width': 32, 'key': 'observation/image'}],
        'state': [
            {'key': 'observation/joint_position', 'channels': ['joint1', 'joint2']},
            # Theirs is closed at 1.
            {'key': 'observation/gripper', 'channels': ['gripper'], 'scale': -1.0, 'offset': 1.0},
        ],
        'prompt_key': 'prompt',
        'actions_key': 'actions',
        'action_space': 'joint_position',
        'actions': [
            {'channels': ['joint1', 'joint2']},
            {'channels': ['gripper'], 'scale': -1.0, 'offset': 1.0},
        ],
        'horizon': HORIZON,
        'dt_ns': 50_000_000,
        'execute_steps': 4,
        # A test that waits for an answer that comes gives up late, however busy the machine.
        'answer_within_s': 300.0,
    }


if __name__ == '__main__':
    # As a process, which a test can stop.
    with serving() as address:
        print(address, flush=True)
        signal.pause()
