from __future__ import annotations

import pytest
from rcl_interfaces.msg import ParameterType
from rclpy.node import Node
from rclpy.parameter import Parameter

from robomamba_ros.errors import ConfigError
from robomamba_ros.nodes.common.parameter_tables import CONTROLLER, POLICY, SIM
from robomamba_ros.nodes.common.parameters import Parameters


@pytest.fixture
def declare(ros):
    nodes = []

    def make(table, **overrides):
        node = Node(
            'tried',
            automatically_declare_parameters_from_overrides=True,
            parameter_overrides=[Parameter(n, value=v) for n, v in overrides.items()],
        )
        nodes.append(node)
        return node, Parameters(node, table)

    yield make
    for node in nodes:
        node.destroy_node()


def test_defaults_and_overrides(declare) -> None:
    _, parameters = declare(SIM, task='push', camera_rate=10, use_sim_time=False)
    values = parameters.values()
    assert (values['task'], values['seed'], values['mode']) == ('push', 0, 'realtime')
    assert type(values['camera_rate']) is float
    assert values['camera_rate'] == 10.0


@pytest.mark.parametrize('table', [POLICY, CONTROLLER, SIM])
def test_every_parameter_has_a_description_and_its_own_type(declare, table) -> None:
    required = {spec.name: 'given' for spec in table if spec.required}
    node, parameters = declare(table, **required)
    assert len(parameters.values()) == len(table)
    for spec in table:
        descriptor = node.describe_parameter(spec.name)
        assert descriptor.description
        assert descriptor.type != ParameterType.PARAMETER_NOT_SET


@pytest.mark.parametrize(
    ('table', 'overrides', 'message'),
    [
        (SIM, {'sed': 1}, r"unknown parameter of node 'tried' 'sed'. Did you mean 'seed'\?"),
        (SIM, {'mode': 'real'}, "unknown value of parameter 'mode' 'real'.*lockstep, realtime"),
        (SIM, {'camera_rate': 100.0}, r"'camera_rate' must lie within 0.1 .. 80.0, got 100.0"),
        (SIM, {'seed': -1}, r"'seed' must lie within 0 .. 2147483647, got -1"),
        (SIM, {'seed': '7'}, "'seed' must be int, got '7'"),
        (CONTROLLER, {'enabled': 1}, "'enabled' must be bool, got 1"),
        (POLICY, {}, "'checkpoint' is not set: directory of the policy"),
    ],
)
def test_a_bad_one_is_named_with_what_is_allowed(declare, table, overrides, message) -> None:
    _, parameters = declare(table, **overrides)
    with pytest.raises(ConfigError, match=message):
        parameters.values()


def test_all_bad_ones_are_named_at_once(declare) -> None:
    _, parameters = declare(SIM, sed=1, seed=-1)
    with pytest.raises(ConfigError, match=r"'sed'.*'seed' must lie"):
        parameters.values()


def test_a_running_node_takes_a_new_seed_and_refuses_a_bad_one(declare) -> None:
    node, parameters = declare(SIM)
    assert node.set_parameters([Parameter('seed', value=5)])[0].successful
    assert parameters.values()['seed'] == 5
    assert not node.set_parameters([Parameter('seed', value=-5)])[0].successful
    refused = node.set_parameters([Parameter('mode', value='lockstep')])[0]
    assert (refused.successful, 'read-only' in refused.reason) == (False, True)
