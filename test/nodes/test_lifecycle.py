"""The managed nodes through their own services, as a lifecycle manager drives them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from support.patience import PATIENCE_S
from support.scripted_policies import GoTo

from robomamba_ros.errors import CheckpointError, ObservationError
from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.controller.controller_node import ControllerNode
from robomamba_ros.nodes.policy.policy_node import PolicyNode


def change(peer, node: str, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return peer.call(ChangeState, f'{node}/change_state', request).success


def state(peer, node: str) -> str:
    return peer.call(GetState, f'{node}/get_state', GetState.Request()).current_state.label


def load(*_) -> GoTo:
    return GoTo(np.zeros(3))


@pytest.fixture(params=['controller_node', 'policy_node'])
def name(request, host, tmp_path) -> str:
    """A managed node that has not been configured."""
    if request.param == 'controller_node':
        host((ControllerNode, {'autostart': False}))
    else:
        policy_node = partial(PolicyNode, load=load)
        host((policy_node, {'autostart': False, 'checkpoint': str(tmp_path)}))
    return request.param


def test_a_warning_hides_no_other(alone, capfd) -> None:
    node = alone(ControllerNode, autostart=False)
    for number in range(20):
        node.warn(ObservationError(f'joint_states: {number} joints are missing'))
        node.warn(ObservationError(f'unknown joint {chr(97 + number)}'))
    texts = [line.split(': ', 1)[1] for line in capfd.readouterr().err.splitlines()]
    assert texts[:2] == ['joint_states: 0 joints are missing', 'unknown joint a']
    # What is new in every message does not flood the log, and what repeats is counted.
    assert texts[5:] == ['joint_states: 9 joints are missing (10 times by now)']


def test_a_node_whose_state_machine_was_interrupted_comes_to_rest_all_the_same(alone) -> None:
    node = alone(ControllerNode, autostart=False)
    asked: list[bool] = []

    def interrupted() -> None:
        raise RuntimeError('Transition is not registered')

    node.enable, node.trigger_deactivate = asked.append, interrupted
    node.on_activate(None)
    node.halt()
    node.halt()
    assert asked == [False]


def test_a_node_goes_round_its_states_twice(peer, name) -> None:
    for _ in range(2):
        assert state(peer, name) == 'unconfigured'
        assert not peer.call(SetBool, f'{name}/enable', SetBool.Request(data=True)).success
        assert not peer.call(Trigger, f'{name}/reset', Trigger.Request()).success
        assert change(peer, name, Transition.TRANSITION_CONFIGURE)
        assert state(peer, name) == 'inactive'
        refused = peer.call(SetBool, f'{name}/enable', SetBool.Request(data=True))
        assert (refused.success, 'not active' in refused.message) == (False, True)
        assert peer.call(Trigger, f'{name}/reset', Trigger.Request()).success
        assert change(peer, name, Transition.TRANSITION_ACTIVATE)
        assert state(peer, name) == 'active'
        assert peer.call(SetBool, f'{name}/enable', SetBool.Request(data=True)).success
        assert change(peer, name, Transition.TRANSITION_DEACTIVATE)
        assert change(peer, name, Transition.TRANSITION_CLEANUP)


def test_topics_exist_while_configured_and_not_after(peer, name) -> None:
    topics = {'controller_node': 'target_pose', 'policy_node': 'action_chunk'}
    count = partial(peer.node.count_publishers, topics[name])
    assert change(peer, name, Transition.TRANSITION_CONFIGURE)
    peer.wait_for(lambda: count() == 1, 'the publisher')
    assert change(peer, name, Transition.TRANSITION_CLEANUP)
    peer.wait_for(lambda: count() == 0, 'the publisher to go')


def test_a_second_publisher_of_an_input_is_named(peer, name) -> None:
    assert change(peer, name, Transition.TRANSITION_CONFIGURE)
    received = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)

    def statuses() -> list[DiagnosticStatus]:
        return [status for message in received for status in message.status]

    first = peer.node.create_publisher(JointState, 'joint_states', qos.COMMAND)
    peer.wait_for(lambda: bool(statuses()), 'a status')
    assert not any('publishers' in status.message for status in statuses())
    peer.node.create_publisher(JointState, first.topic_name, qos.COMMAND)

    def said() -> bool:
        text = '/joint_states has 2 publishers, /peer, /peer: end all but one'
        found = [status for status in statuses() if text in status.message]
        return any(
            status.level == DiagnosticStatus.WARN
            and any(v.key == 'duplicate_publishers' and text in v.value for v in status.values)
            for status in found
        )

    peer.wait_for(said, 'the two publishers on /diagnostics')


def fails(error: Exception):
    def load_nothing(*_):
        raise error

    return load_nothing


@pytest.mark.parametrize(
    ('make', 'parameters', 'message'),
    [
        (ControllerNode, {'arm': 'panda'}, "there is no 'panda'"),
        (ControllerNode, {'mode': 'lockstep'}, "needs the parameter 'execute_steps' above 0"),
        (ControllerNode, {'crossfade': 3}, "Did you mean 'crossfade_steps'?"),
        (partial(PolicyNode, load=load), {'checkpoint': 'nowhere'}, "no directory 'nowhere'"),
        (partial(PolicyNode, load=load), {'checkpoint': '.', 'execute_steps': 51}, '1..50'),
        (
            partial(PolicyNode, load=fails(CheckpointError('weights do not fit'))),
            {'checkpoint': '.'},
            'weights do not fit',
        ),
        (
            partial(PolicyNode, load=fails(RuntimeError('out of memory'))),
            {'checkpoint': '.'},
            'RuntimeError: out of memory',
        ),
    ],
)
def test_what_cannot_be_configured_says_why_and_stays(
    host, peer, make, parameters, message
) -> None:
    host((make, {'autostart': False, **parameters}))
    name = 'controller_node' if make is ControllerNode else 'policy_node'
    received = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    assert not change(peer, name, Transition.TRANSITION_CONFIGURE)
    assert state(peer, name) == 'unconfigured'

    def said() -> bool:
        return any(
            s.level == DiagnosticStatus.ERROR and message in s.message
            for m in received
            for s in m.status
        )

    peer.wait_for(said, 'the reason on /diagnostics')


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Let nothing be freed that still has a reference, if only its own."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize('make', [ControllerNode, PolicyNode])
def test_a_stopped_node_leaves_the_graph(no_collection, host, peer, make, tmp_path) -> None:
    parameters = {} if make is ControllerNode else {'checkpoint': str(tmp_path)}
    started = host((make, {'autostart': False, **parameters}))
    name = 'controller_node' if make is ControllerNode else 'policy_node'
    assert state(peer, name) == 'unconfigured'
    started.stop()

    def gone() -> bool:
        services = dict(peer.node.get_service_names_and_types())
        return name not in peer.node.get_node_names() and f'/{name}/get_state' not in services

    peer.wait_for(gone, 'the node and its services to go')


def test_a_failed_autostart_ends_the_host_with_the_reason(host) -> None:
    started = host((ControllerNode, {'arm': 'panda'}))
    assert started.wait(PATIENCE_S)
    started.stop()
    assert len(started.failures) == 1
    assert "there is no 'panda'" in started.failures[0]
