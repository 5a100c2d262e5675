"""The policy of every shipped arm: as sros2's schema has it, and who alone may do what."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from robomamba_ros.bringup.sros2 import ENCLAVES, arm_policy
from robomamba_ros.cli.main import main
from robomamba_ros.common.resources import share_directory
from robomamba_ros.robots.arm import load_arm

ARMS = sorted(path.stem for path in (share_directory() / 'config/arms').glob('*.yaml'))
# policy.xsd: children of an element, its attributes, and whether it has text.
SCHEMA = {
    'policy': (('enclaves',), {'version'}),
    'enclaves': (('enclave',), set()),
    'enclave': (('profiles',), {'path'}),
    'profiles': (('profile',), set()),
    'profile': (('topics', 'services', 'actions'), {'ns', 'node'}),
    'topics': (('topic',), {'publish', 'subscribe'}),
    'services': (('service',), {'reply', 'request'}),
    'actions': (('action',), {'call', 'execute'}),
}
# permissions.xsl: the DDS topics of a rule, as (prefix, suffix), that are written and read.
REQUEST, REPLY = ('rq', 'Request'), ('rr', 'Reply')
DDS = {
    'publish': ((('rt', ''),), ()),
    'subscribe': ((), (('rt', ''),)),
    'request': ((REQUEST,), (REPLY,)),
    'reply': ((REPLY,), (REQUEST,)),
}
ACTION = ('cancel_goal', 'get_result', 'send_goal')


def check_schema(element: ET.Element) -> None:
    if element.tag in ('topic', 'service', 'action'):
        assert element.text
        assert element.text == element.text.strip()
        assert not element.attrib
        return
    children, attributes = SCHEMA[element.tag]
    assert set(element.attrib) <= attributes
    assert len(element), f'an empty {element.tag}'
    for child in element:
        assert child.tag in children
        check_schema(child)


def full_name(text: str, profile: ET.Element) -> str:
    space = profile.attrib['ns'].rstrip('/')
    if text.startswith('/'):
        return text
    return f'{space}/{profile.attrib["node"]}{text[1:]}' if text[0] == '~' else f'{space}/{text}'


def permissions(enclave: ET.Element) -> tuple[set[str], set[str]]:
    """Return the DDS topics that an enclave may write and read, as sros2's template has them."""
    written: set[str] = set()
    read: set[str] = set()
    for profile in enclave.iter('profile'):
        for rules in profile:
            [rule] = rules.attrib
            assert rules.attrib[rule] == 'ALLOW'
            for each in rules:
                name = full_name(str(each.text), profile)
                if rule in ('call', 'execute'):
                    asks = {f'rq{name}/_action/{part}Request' for part in ACTION}
                    answers = {f'rr{name}/_action/{part}Reply' for part in ACTION}
                    answers |= {f'rt{name}/_action/feedback', f'rt{name}/_action/status'}
                    written |= asks if rule == 'call' else answers
                    read |= answers if rule == 'call' else asks
                else:
                    out, back = DDS[rule]
                    written |= {f'{head}{name}{tail}' for head, tail in out}
                    read |= {f'{head}{name}{tail}' for head, tail in back}
    return written, read


def may(expressions: set[str], topic: str) -> bool:
    """Return whether a topic is among expressions, by fnmatch(3) as DDS Security says."""
    return any(fnmatchcase(topic, each) for each in expressions)


@pytest.fixture(params=ARMS)
def arm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def enclaves(arm: str, namespace: str = '') -> Iterator[tuple[str, set[str], set[str]]]:
    root = ET.fromstring(arm_policy(load_arm(arm), namespace))
    check_schema(root)
    assert root.attrib == {'version': '0.2.0'}
    for enclave in root.iter('enclave'):
        yield enclave.attrib['path'], *permissions(enclave)


@pytest.mark.parametrize('space', ['', '/cell/left'])
def test_each_command_has_one_enclave_that_may_give_it(arm: str, space: str) -> None:
    found = {path: written for path, written, _ in enclaves(arm, space)}
    assert list(found) == list(ENCLAVES)

    def writers(topic: str) -> set[str]:
        return {path for path, written in found.items() if may(written, topic)}

    for output in load_arm(arm).outputs:
        name = output.topic if output.topic.startswith('/') else f'{space}/{output.topic}'
        topic = f'rq{name}/_action/send_goalRequest' if output.action else f'rt{name}'
        assert writers(topic) == {'/controller_node', '/up'}
    for chunk in ('action_chunk', 'joint_chunk'):
        assert writers(f'rt{space}/{chunk}') == {'/policy_node', '/up'}
    # A goal's instruction goes through the controller, and goals are the operator's alone.
    by_goals = {'/operator', '/controller_node', '/up'}
    assert writers(f'rt{space}/instruction') == by_goals
    goal = f'rq{space}/controller_node/run_policy/_action/send_goalRequest'
    assert writers(goal) == {'/operator'}
    for node in ('policy_node', 'controller_node'):
        for service in ('enable', 'reset', 'change_state', 'set_parameters'):
            restarts = (node, service) == ('policy_node', 'reset')
            expected = by_goals if restarts else {'/operator'}
            assert writers(f'rq{space}/{node}/{service}Request') == expected
    assert writers(f'rq{space}/controller_node/stopRequest') == {'/operator'}
    # What is measured and seen is the driver's to say.
    for topic in load_arm(arm).inputs.values():
        assert not writers(f'rt{topic}' if topic[0] == '/' else f'rt{space}/{topic}')


def test_a_recorder_and_the_doctor_only_listen(arm: str) -> None:
    found = {path: (written, read) for path, written, read in enclaves(arm)}
    for path in ('/record', '/doctor'):
        written, _ = found[path]
        said = {topic for topic in written if topic.startswith('rt')}
        assert said <= {'rt/rosout', 'rt/parameter_events'}
        asked = {topic for topic in written if topic.startswith('rq')}
        assert asked <= {'rq/*/get_parametersRequest'}
    for topic in load_arm(arm).inputs.values():
        assert may(found['/record'][1], f'rt/{topic.lstrip("/")}')


def test_the_command_writes_it_whole_or_says_why_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'robot.policy.xml'
    assert main(['security', '--arm', 'hsr', '--namespace', 'hsrb', '--output', str(path)]) == 0
    assert main(['security', '--arm', 'hsr', '--namespace', 'hsrb']) == 0
    assert path.read_text(encoding='utf-8') == capsys.readouterr().out
    assert main(['security', '--arm', 'hsr', '--output', str(tmp_path)]) == 2
    assert f'{tmp_path}: Is a directory' in capsys.readouterr().err
    assert main(['security', '--arm', 'hsr', '--namespace', '../x']) == 2
    assert "'../x' is no namespace" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ['robot.policy.xml']
