"""The table of permissions against the ROS graph of nodes that run, for every shipped arm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from robomamba_ros.bags.recording import RecordingThread
from robomamba_ros.bringup.graph import PolicyOptions, policy_graph
from robomamba_ros.bringup.interfaces import (
    CONTROLLER,
    DOCTOR,
    POLICY,
    RECORDER,
    RUN_POLICY,
    Interface,
    interfaces,
)
from robomamba_ros.common.resources import find_file, share_directory
from robomamba_ros.nodes.clients import examination
from robomamba_ros.nodes.clients.bag_recorder import BagRecorder
from robomamba_ros.nodes.common.lifecycle import SUCCESS
from robomamba_ros.nodes.controller.run_policy import action_type
from robomamba_ros.nodes.graph import make_node
from robomamba_ros.policies.base import CameraSpec, OutputKind, PolicySpec
from robomamba_ros.robots.arm import ArmContract, load_arm
from robomamba_ros.types import ActionChunk, ActionSpace, Observation

pytest.importorskip('pinocchio', reason='kinematics needs Pinocchio: pip install pin')

ARMS = sorted(path.stem for path in (share_directory() / 'config/arms').glob('*.yaml'))
SPACE = '/cell'


def with_installed_types(name: str, folder: Path) -> Path:
    """Write a shipped contract whose interlocks and gripper need no package of a maker."""
    document = yaml.safe_load(find_file('arms', name).read_text(encoding='utf-8'))
    for interlock in document.get('interlocks', ()):
        interlock |= {'type': 'std_msgs/msg/Bool', 'field': 'data', 'allowed': [True]}
    for output in document['outputs']:
        if 'max_effort' in output:
            del output['max_effort']
            output['kind'] = 'joint_state'
    path = folder / f'{name}.yaml'
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding='utf-8')
    return path


class SeesAll:
    """Needs every camera of an arm, with depth where there is some; it stays where it is."""

    def __init__(self, arm: ArmContract) -> None:
        cameras = [CameraSpec(c.name, 4, 4, depth=c.depth_topic is not None) for c in arm.cameras]
        self.spec = PolicySpec(
            'all',
            tuple(cameras),
            (),
            ActionSpace.EE_DELTA,
            ('ee_dx',),
            1,
            10**8,
            1,
            OutputKind.CHUNKS,
        )

    def reset(self) -> None:
        pass

    def infer(self, observation: Observation) -> ActionChunk:
        spec = self.spec
        return ActionChunk(
            observation.stamp_ns, spec.dt_ns, np.zeros((1, 1)), spec.action_space, ('ee_dx',)
        )


def graph_of(node: Any) -> Interface:
    """Return what the middleware knows of a node."""
    who = (node.get_name(), node.get_namespace())
    return Interface(
        *(
            tuple(name for name, _ in found(*who) if '/_action/' not in name)
            for found in (
                node.get_publisher_names_and_types_by_node,
                node.get_subscriber_names_and_types_by_node,
                node.get_service_names_and_types_by_node,
                node.get_client_names_and_types_by_node,
            )
        )
    )


def resolved(interface: Interface, node: Any) -> dict[str, set[str]]:
    """Return the names of an interface as the middleware has them, but for those with a *."""
    own = node.get_fully_qualified_name()
    return {
        part: {
            name if name[0] == '/' else own + name[1:] if name[0] == '~' else f'{SPACE}/{name}'
            for name in names
            if '*' not in name
        }
        for part, names in vars(interface).items()
    }


def differences(node: Any, interface: Interface) -> dict[str, set[str]]:
    seen, said = resolved(graph_of(node), node), resolved(interface, node)
    if not node.get_parameter('use_sim_time').value:
        said['subscribes'] -= {'/clock'}
    if node.get_name() == CONTROLLER and action_type() is None:
        for part, names in resolved(RUN_POLICY, node).items():
            said[part] -= names
    return {part: seen[part] ^ said[part] for part in seen if seen[part] != said[part]}


@pytest.fixture
def ended(ros: None) -> Iterator[ExitStack]:
    """Collect what is to be ended after a test."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize('name', ARMS)
def test_the_nodes_use_what_the_table_says_and_nothing_else(
    ended: ExitStack, tmp_path: Path, name: str
) -> None:
    path = with_installed_types(name, tmp_path)
    arm = load_arm(str(path))
    options = PolicyOptions(
        'hold', arm=str(path), execute_steps=1, namespace=SPACE, use_sim_time=True
    )
    for spec in policy_graph(options):
        spec = replace(spec, parameters={**spec.parameters, 'autostart': False})
        arguments = {'load': lambda *_: SeesAll(arm)} if spec.name == POLICY else {}
        node = make_node(spec, **arguments)
        ended.callback(node.destroy_node)
        assert node.trigger_configure() == SUCCESS
        assert not differences(node, interfaces(arm)[spec.name]), spec.name


def test_a_topic_that_the_table_lacks_is_noticed(ended: ExitStack, tmp_path: Path) -> None:
    from std_msgs.msg import String

    arm = load_arm('sawyer_sim')
    spec = policy_graph(PolicyOptions('hold', namespace=SPACE, use_sim_time=True))[1]
    node = make_node(replace(spec, parameters={**spec.parameters, 'autostart': False}))
    ended.callback(node.destroy_node)
    assert node.trigger_configure() == SUCCESS
    node.create_publisher(String, 'news', 1)
    node.create_subscription(String, 'orders', print, 1)
    assert differences(node, interfaces(arm)[CONTROLLER]) == {
        'publishes': {f'{SPACE}/news'},
        'subscribes': {f'{SPACE}/orders'},
    }


def test_a_recorder_and_the_doctor_use_what_the_table_says(
    ended: ExitStack, tmp_path: Path
) -> None:
    arm = load_arm('ur5e')
    table = interfaces(arm)
    recording = RecordingThread(tmp_path / 'bag', 'mcap', 1 << 20)
    ended.callback(recording.close)
    recorder = BagRecorder(['joint_states'], recording, print, namespace=SPACE)
    ended.callback(recorder.destroy_node)
    assert recorder.get_name() == RECORDER
    assert not differences(recorder, table[RECORDER])
    doctor = examination._node(arm, SPACE, True, ())
    ended.callback(doctor.destroy_node)
    listened = examination.wanted_inputs(arm, SeesAll(arm).spec)
    for wanted in (*listened, examination.Wanted('', 'instruction', examination.STRING)):
        examination._Listener(doctor, wanted)
    assert doctor.get_name() == DOCTOR
    assert not differences(doctor, table[DOCTOR])
