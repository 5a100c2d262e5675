from __future__ import annotations

import threading
import urllib.request

import pytest

from robomamba_ros.cli.main import main
from robomamba_ros.policies.registry import describe_policy
from robomamba_ros.policies.remote.server import PolicyServer


@pytest.fixture
def served(monkeypatch):
    """The verb ends as soon as it serves."""
    found = []
    serve_forever = PolicyServer.serve_forever

    def serve(self):
        found.append(self.port)
        thread = threading.Thread(target=serve_forever, args=(self,))
        thread.start()
        with urllib.request.urlopen(f'http://127.0.0.1:{self.port}/healthz') as answer:
            assert answer.read() == b'OK\n'
        self.shutdown()
        thread.join()

    monkeypatch.setattr(PolicyServer, 'serve_forever', serve)
    return found


def test_it_serves_and_writes_the_robots_side(served, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('THE_KEY', 'secret')
    arguments = ['serve', 'scripted', '--port', '0', '--api-key-variable', 'THE_KEY']
    arguments += ['--client', str(tmp_path / 'far'), '--client-server', 'wss://gpu.example']
    assert main(arguments) == 0
    assert f"serves 'scripted' at ws://127.0.0.1:{served[0]}" in capsys.readouterr().out
    far = describe_policy(str(tmp_path / 'far'))
    assert far.facts['server'] == 'wss://gpu.example'
    assert far.spec.action_names == describe_policy('scripted').spec.action_names
    assert main(arguments) == 2
    assert 'holds a policy already' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--port', '65536'], '--port is 65536; give 0 to 65535'),
        (['--api-key-variable', 'NOT_SET'], 'the variable NOT_SET, which is not set'),
    ],
)
def test_a_mistake_is_named(served, arguments, said, capsys):
    assert main(['serve', 'hold', *arguments]) == 2
    assert said in capsys.readouterr().err
    assert served == []
