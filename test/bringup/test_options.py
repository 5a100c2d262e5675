from __future__ import annotations

import argparse
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robomamba_ros.bringup.option import Option
from robomamba_ros.bringup.options import (
    POLICY_ARGUMENTS,
    REPLAY_ARGUMENTS,
    SIM_ARGUMENTS,
    UP_ARGUMENTS,
    command_line,
    graph,
)
from robomamba_ros.cli import up
from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.base import DTYPES


def values(table: tuple[Option, ...], **given: Any) -> dict[str, Any]:
    return {argument.name: argument.default for argument in table} | given


def any_value(argument: Option) -> st.SearchStrategy[Any]:
    if argument.choices:
        return st.sampled_from(argument.choices)
    words = st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0'), min_size=1)
    kinds = {bool: st.booleans(), int: st.integers(), float: st.floats(allow_nan=False), str: words}
    return kinds[type(argument.default)]


@pytest.mark.parametrize(
    ('argument', 'text', 'value'),
    [
        (Option('enabled', False, ''), 'True', True),
        (Option('enabled', True, ''), '0', False),
        (Option('threads', 1, ''), '4', 4),
        (Option('ensemble_decay', -1.0, ''), '1e-2', 0.01),
        (Option('instruction', '', ''), 'true', 'true'),
    ],
)
def test_text_becomes_a_value_of_the_defaults_type(
    argument: Option, text: str, value: object
) -> None:
    parsed = argument.parse(text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ('argument', 'text', 'message'),
    [
        (
            Option('dry_run', False, 'send none'),
            'yes',
            'dry_run:=yes must be true or false: send',
        ),
        (
            Option('threads', 1, 'of the CPU'),
            '1.5',
            'threads:=1.5 must be a whole number: of the',
        ),
        (
            Option('threads', 1, '', limits=(1, 8)),
            '0',
            "threads:=0: parameter 'threads' must lie within 1 .. 8, got 0",
        ),
        (Option('decay', 0.1, 'of it'), 'slow', 'decay:=slow must be a number: of it'),
        (
            Option('dtype', 'auto', '', DTYPES),
            'float8',
            "unknown value of dtype:= 'float8'. Did you mean 'float32'? "
            'Valid: auto, bfloat16, float16, float32',
        ),
    ],
)
def test_a_wrong_text_is_named_with_what_is_right(
    argument: Option, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        argument.parse(text)


@pytest.mark.parametrize('table', [POLICY_ARGUMENTS, SIM_ARGUMENTS])
def test_every_default_is_read_as_itself(table: tuple[Option, ...]) -> None:
    assert {a.name: a.parse(a.default_text) for a in table} == values(table)


@pytest.mark.parametrize('table', [POLICY_ARGUMENTS, SIM_ARGUMENTS])
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_the_command_line_means_the_same(table: tuple[Option, ...], data: Any) -> None:
    wanted = data.draw(st.fixed_dictionaries({a.name: any_value(a) for a in table}))
    parser = argparse.ArgumentParser()
    up.add_parser(parser.add_subparsers())
    parsed = vars(parser.parse_args(['up', *command_line(table, wanted)]))
    assert {name: parsed[name] for name in wanted} == wanted


def test_a_task_simulates_an_arm_that_moves_at_once() -> None:
    sim, controller, policy = graph(values(SIM_ARGUMENTS, policy='hold', task='push', seed=3))
    assert (sim.executable, sim.parameters['task'], sim.parameters['seed']) == (
        'sim_node',
        'push',
        3,
    )
    assert controller.parameters['enabled'] is True
    assert policy.parameters['use_sim_time'] is True


def test_a_real_arm_waits_to_be_enabled() -> None:
    policy, controller = graph(values(POLICY_ARGUMENTS, policy='hold', threads=2, dry_run=True))
    assert (controller.parameters['enabled'], controller.parameters['dry_run']) == (False, True)
    assert policy.parameters['threads'] == 2


def test_an_arm_is_not_simulated_and_faked() -> None:
    with pytest.raises(ConfigError, match='give one of --sim, --fake and --bag'):
        graph(values(UP_ARGUMENTS, policy='hold', task='push', fake=True))


def test_a_bag_goes_to_its_player() -> None:
    player, controller, policy = graph(values(REPLAY_ARGUMENTS, policy='hold', bag='b', rate=2.0))
    assert (player.parameters['bag'], player.parameters['rate']) == ('b', 2.0)
    assert 'dry_run' not in {argument.name for argument in REPLAY_ARGUMENTS}
    assert graph(values(UP_ARGUMENTS, policy='hold', bag='b', rate=2.0)) == (
        player,
        controller,
        policy,
    )
