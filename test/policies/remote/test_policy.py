"""A policy on a server, and what becomes of servers that do not keep the protocol."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from support import policy_servers
from support.patience import PATIENCE_S
from support.policy_servers import HORIZON, actions_of, document, serving, well

from robomamba_ros.errors import ActionError, BackendError, ConfigError, ObservationError
from robomamba_ros.policies.base import fake_observation
from robomamba_ros.policies.registry import describe_policy, load_policy
from robomamba_ros.policies.remote import connection
from robomamba_ros.policies.remote.wire import LARGEST_MESSAGE, pack
from robomamba_ros.robots.arm import load_arm


def write(folder, url, **changes):
    folder.mkdir(exist_ok=True)
    (folder / 'config.yaml').write_text(yaml.safe_dump(document(url) | changes))
    return folder


@pytest.fixture
def load(tmp_path):
    return lambda url, **changes: load_policy(write(tmp_path / 'far', url, **changes))


def test_the_request_and_the_answer_are_those_of_the_file(load):
    requests = []

    def record(request):
        requests.append(request)
        return well(request)

    with serving(record) as url:
        policy = load(
            url,
            stamp_key='stamp',
            state=[
                {'key': 'now', 'previous_key': 'before', 'channels': ['joint2', 'gripper']},
                {'key': 'observation/joint_position', 'channels': ['joint1'], 'scale': 2.0},
                {'key': 'observation/gripper', 'channels': ['ee_x'], 'scale': -1.0, 'offset': 1.0},
            ],
        )
        state = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
        seen = replace(
            fake_observation(policy.spec), stamp_ns=5, state=state, previous_state=state - 1
        )
        chunk = policy.infer(seen)
    (request,) = requests
    np.testing.assert_array_equal(request.pop('observation/image'), seen.images['front'])
    sent = {key: np.asarray(value).tolist() for key, value in request.items()}
    assert sent == {
        'now': pytest.approx([0.1, 0.2]),
        'before': pytest.approx([-0.9, -0.8]),
        'observation/joint_position': pytest.approx([0.6]),
        'observation/gripper': pytest.approx([0.6]),
        'prompt': seen.instruction,
        'stamp': 5,
    }
    theirs = actions_of(request | {'observation/image': seen.images['front']})
    np.testing.assert_allclose(chunk.actions[:, :2], theirs[:, :2], rtol=1e-6)
    np.testing.assert_allclose(chunk.actions[:, 2], 1.0 - theirs[:, 2], atol=1e-6)
    assert (chunk.stamp_ns, chunk.dt_ns, chunk.names[2]) == (5, 50_000_000, 'gripper')


def actions(value):
    return lambda request: pack({'actions': value})


@pytest.mark.parametrize(
    ('answer', 'error', 'said'),
    [
        (actions(np.full((HORIZON, 3), np.nan)), ActionError, "'joint1' is nan; 24 of 24"),
        (actions(np.full((HORIZON, 3), 1e300)), ActionError, "'joint1' is inf"),
        (actions(np.zeros((HORIZON + 1, 3))), ActionError, r'shape \(9, 3\), config.yaml says'),
        (actions(np.zeros((HORIZON, 32))), ActionError, r'\(8, 32\), config.yaml says \(8, 3\)'),
        (actions(np.zeros((1, HORIZON, 3))), ActionError, r'\(1, 8, 3\)'),
        (actions([[0.0] * 3] * HORIZON), ActionError, "no array 'actions' but actions"),
        (lambda r: pack({'action': 1}), ActionError, "no array 'actions' but action; correct"),
        (lambda r: pack([1, 2]), BackendError, 'sent list, not a mapping'),
        (lambda r: b'\xc1 no message', BackendError, 'sent what cannot be read'),
        (lambda r: 'Traceback ..\nKeyError: no image', BackendError, 'error: KeyError: no image'),
        (lambda r: '', BackendError, 'reports an error: an empty text'),
        (lambda r: None, BackendError, 'closed the connection'),
        (lambda r: bytes(LARGEST_MESSAGE + 1), BackendError, 'closed the connection.*too big'),
    ],
)
def test_what_is_no_answer_is_refused_and_the_next_question_is_answered(load, answer, error, said):
    answers = [answer]
    with serving(lambda request: (answers.pop() if answers else well)(request)) as url:
        policy = load(url)
        seen = fake_observation(policy.spec)
        with pytest.raises(error, match=said):
            policy.infer(seen)
        assert policy.infer(seen).horizon == HORIZON


def test_a_late_answer_is_not_taken_for_the_next_one(load):
    late = threading.Event()
    questions = []

    def answer(request):
        questions.append(request)
        if len(questions) == 2:
            late.wait()
            return pack({'actions': np.ones((HORIZON, 3))})
        return well(request)

    with serving(answer) as url:
        policy = load(url, answer_within_s=0.2)
        seen = fake_observation(policy.spec)
        # The first answer may take long: a server compiles then.
        expected = policy.infer(seen).actions
        with pytest.raises(BackendError, match=r'gave no answer within 0.2 s'):
            policy.infer(seen)
        late.set()
        policy._answer_s = PATIENCE_S
        np.testing.assert_array_equal(policy.infer(seen).actions, expected)


@pytest.fixture
def process():
    command = [sys.executable, policy_servers.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield server
        server.kill()


def test_a_server_that_is_stopped_holds_nobody_and_goes_on_when_it_does(load, process):
    camera = {'name': 'front', 'height': 3000, 'width': 3000, 'key': 'observation/image'}
    policy = load(process.stdout.readline().strip(), cameras=[camera], answer_within_s=0.3)
    # More than the kernel takes for a process that reads nothing.
    seen = fake_observation(policy.spec)
    expected = policy.infer(seen).actions
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(BackendError, match=r'closed the connection|gave no answer within 0.3 s'):
        policy.infer(seen)
    process.send_signal(signal.SIGCONT)
    policy._answer_s = PATIENCE_S
    np.testing.assert_array_equal(policy.infer(seen).actions, expected)


def test_a_server_that_went_away_is_tried_again_once_a_second(load, monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(connection.time, 'monotonic', lambda: now_s[0])
    listening = socket.create_server(('127.0.0.1', 0))
    port = listening.getsockname()[1]
    listening.close()
    tries = []
    real = connection.Connection._open

    def count(self):
        tries.append(now_s[0])
        return real(self)

    with serving() as url:
        policy = load(url)
    monkeypatch.setattr(connection.Connection, '_open', count)
    policy._connection._url = f'ws://127.0.0.1:{port}'
    seen = fake_observation(policy.spec)
    policy.reset()
    for _ in range(30):
        with pytest.raises(BackendError, match=r'does not answer: .*refused'):
            policy.infer(seen)
        now_s[0] += 0.1
    assert len(tries) == 3


def test_loading_waits_for_a_server_that_is_not_up_yet(load, monkeypatch):
    with serving() as url:
        opened = []
        real = connection.Connection._open

        def later(self):
            opened.append(None)
            if len(opened) < 3:
                raise BackendError('the policy server does not answer: refused')
            return real(self)

        monkeypatch.setattr(connection.Connection, '_open', later)
        monkeypatch.setattr(connection.time, 'sleep', lambda seconds: None)
        load(url, connect_within_s=300.0)
    assert len(opened) == 3


def test_an_api_key_comes_from_the_environment_and_is_sent(load, monkeypatch):
    with serving(key='secret') as url:
        with pytest.raises(BackendError, match='HTTP 401; it wants another API key'):
            load(url, connect_within_s=0.001)
        with pytest.raises(ConfigError, match='variable POLICY_KEY, which is not set'):
            load(url, api_key_variable='POLICY_KEY')
        monkeypatch.setenv('POLICY_KEY', 'secret')
        load(url, api_key_variable='POLICY_KEY')


def test_a_bad_observation_is_not_sent(load):
    requests = []
    with serving(requests.append) as url:
        policy = load(url)
        seen = fake_observation(policy.spec)
        with pytest.raises(ObservationError, match='is not finite'):
            policy.infer(replace(seen, state=np.full(3, np.nan, np.float32)))
    assert requests == []


def test_it_is_described_without_a_server(tmp_path):
    folder = write(tmp_path / 'far', 'wss://gpu.example:8000')
    text = describe_policy(str(folder)).text()
    assert 'wss://gpu.example:8000' in text
    assert 'far, of the kind remote' in text


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'server': 'http://gpu:8000'}, 'server: found .*an address as ws://computer:8000'),
        ({'answer_within_s': 0}, 'answer_within_s: found 0'),
        ({'actions': []}, 'actions: found .*at least one entry'),
        ({'actions': [{'channels': ['joint1'], 'scale': 0}]}, r'actions\[0\].scale: found 0'),
        ({'state_names': ['joint1']}, 'state_names: found an unknown key'),
        ({'prompt_key': 'observation/image'}, "'observation/image' would be sent twice"),
        ({'horizon': None}, 'horizon: found nothing'),
        ({'cameras': 3}, 'cameras: found 3'),
    ],
)
def test_its_file_is_refused_by_key(tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said):
        describe_policy(str(write(tmp_path / 'far', 'ws://gpu:8000', **changes)))


def test_the_example_in_the_documents_is_one(tmp_path):
    text = (Path(__file__).parents[3] / 'docs/adding_a_policy.md').read_text()
    (block,) = re.findall(r'```yaml\n(policy: remote.*?)```', text, re.DOTALL)
    (tmp_path / 'far').mkdir()
    (tmp_path / 'far/config.yaml').write_text(block)
    spec = describe_policy(str(tmp_path / 'far')).spec
    arm = load_arm('franka_fr3')
    assert {*spec.state_names, *spec.action_names} <= {
        *(joint.name for joint in arm.joints),
        'gripper',
    }
