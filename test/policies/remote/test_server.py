"""Our policies for others, by the protocol of openpi: the policy comes back what it was."""

from __future__ import annotations

import threading
import urllib.request
from dataclasses import replace

import numpy as np
import pytest
import yaml
from websockets.sync.client import connect

from robomamba_ros.errors import BackendError, ConfigError
from robomamba_ros.policies.base import LoadOptions, fake_observation
from robomamba_ros.policies.registry import load_chunk_policy, load_policy
from robomamba_ros.policies.remote.config import write_client_config
from robomamba_ros.policies.remote.server import PolicyServer
from robomamba_ros.policies.remote.wire import pack, unpack


@pytest.fixture
def serve():
    """Serve a policy; gives the server and its address."""
    running = []

    def start(policy, **options):
        server = PolicyServer(policy, port=0, **options)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        running.append((server, thread))
        return f'127.0.0.1:{server.port}'

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()


@pytest.fixture
def anolevla(write_anolevla, documents, tmp_path):
    write_anolevla(tmp_path / 'here', documents['small'])
    return tmp_path / 'here'


def client(policy, address, folder, key=''):
    write_client_config(policy.spec, f'ws://{address}', key, folder)
    return load_policy(folder)


def test_a_served_policy_gives_the_same_bits_in_every_episode(serve, anolevla, tmp_path):
    options = LoadOptions(cache='stream')
    served, here = (load_chunk_policy(anolevla, options) for _ in range(2))
    far = client(here, serve(served), tmp_path / 'far')
    for _ in range(2):
        for seed in range(3):
            seen = replace(
                fake_observation(here.spec, seed),
                stamp_ns=seed * here.spec.dt_ns,
                previous_state=fake_observation(here.spec, seed + 9).state,
            )
            expected, found = here.infer(seen), far.infer(seen)
            np.testing.assert_array_equal(found.actions, expected.actions)
            assert replace(found, actions=expected.actions) == expected
        here.reset()
        far.reset()


def test_what_the_policy_refuses_is_said_in_one_line(serve, tmp_path):
    policy = load_policy('hold')
    address = serve(policy)
    far = client(policy, address, tmp_path / 'far')
    far.reset()
    seen = fake_observation(policy.spec)
    with connect(f'ws://{address}', compression=None) as raw:
        raw.recv()
        raw.send(pack({'observation/state': np.zeros(99, np.float32), 'prompt': 'x'}))
        assert 'state has shape (99,)' in raw.recv()
    for request, said in [
        (b'\xc1', 'cannot be read'),
        ('text', 'a request is a binary frame'),
        (pack([1]), 'a request is a mapping, this is list'),
        (pack({}), 'the request lacks prompt'),
        (pack({'prompt': 3}), 'prompt no text'),
        (pack({'prompt': 'x', 'observation/stamp_ns': 1.5}), 'is no whole number'),
        (pack({'prompt': 'x', 'observation/previous_state': 'a'}), 'no array'),
    ]:
        with connect(f'ws://{address}', compression=None) as raw:
            raw.recv()
            raw.send(request)
            answer = raw.recv()
        assert isinstance(answer, str)
        assert said in answer
        assert '\n' not in answer
    assert far.infer(seen).horizon == policy.spec.horizon


def test_a_second_robot_is_told_to_come_later(serve, tmp_path):
    policy = load_policy('hold')
    address = serve(policy, handover_s=0.01)
    first = client(policy, address, tmp_path / 'first')
    path = tmp_path / 'first/config.yaml'
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {'connect_within_s': 0.001}))
    with pytest.raises(BackendError, match='another client is served'):
        load_policy(tmp_path / 'first')
    first.infer(fake_observation(policy.spec))
    first.reset()


def test_a_robot_that_expects_another_policy_is_refused(serve, tmp_path):
    policy = load_policy('hold')
    address = serve(policy)
    other = replace(policy.spec, horizon=policy.spec.horizon + 1, execute_steps=3)
    with pytest.raises(ConfigError, match='1 error') as caught:
        client(replace_spec(policy, other), address, tmp_path / 'far')
    assert f'horizon: found {other.horizon}, served: {policy.spec.horizon}' in str(caught.value)


def replace_spec(policy, spec):
    return type('Described', (), {'spec': spec})()


def test_the_key_is_asked_for_and_health_is_told_to_anybody(serve, tmp_path, monkeypatch):
    policy = load_policy('hold')
    address = serve(policy, api_key='grün')
    with urllib.request.urlopen(f'http://{address}/healthz') as answer:
        assert answer.read() == b'OK\n'
    monkeypatch.setenv('THE_KEY', 'grün')
    client(policy, address, tmp_path / 'far', 'THE_KEY')
    with pytest.raises(Exception, match='HTTP 401'):
        connect(f'ws://{address}').__enter__()


def test_any_client_of_the_protocol_is_answered(serve):
    policy = load_policy('scripted')
    with connect(f'ws://{serve(policy)}', compression=None) as raw:
        assert unpack(raw.recv())['robomamba_ros']['action_space'] == 'ee_delta'
        raw.send(pack({'prompt': 'lift'}))
        answer = unpack(raw.recv())
    assert answer['actions'].shape == (50, 3)
    assert answer['server_timing']['infer_ms'] >= 0
