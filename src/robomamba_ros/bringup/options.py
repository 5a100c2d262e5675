"""The arguments of each graph: one table for `ros2 launch` and for `robomamba up`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from robomamba_ros.bringup import declared
from robomamba_ros.bringup.graph import (
    BagOptions,
    NodeSpec,
    PolicyOptions,
    SimOptions,
    fake_graph,
    policy_graph,
    replay_graph,
    sim_graph,
)
from robomamba_ros.bringup.option import Option
from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.simulation.disagreement import read_disagreement

_COMMON = (
    replace(declared.CHECKPOINT, name='policy'),
    declared.ARM,
    replace(declared.INSTRUCTION, description='what to do; the topic `instruction` changes it'),
    declared.INSTRUCTIONS,
    declared.DEVICE,
    declared.DTYPE,
    declared.CACHE,
    declared.THREADS,
    declared.EXECUTE_STEPS,
    declared.CROSSFADE_STEPS,
    declared.ENSEMBLE_DECAY,
    declared.FOLLOW_TARGETS,
    declared.DRY_RUN,
    Option('namespace', '', 'namespace of the nodes'),
)
POLICY_ARGUMENTS = (
    *_COMMON,
    declared.ENABLED,
    Option('use_sim_time', False, 'take the time from the topic /clock'),
    Option('fake', False, 'start a kinematic stand-in for the arm and its cameras too'),
    declared.DISAGREE,
)
_TASK = Option('task', 'drawer-open', 'Meta-World task to simulate; it gives the instruction')
_SIM = (
    replace(
        declared.SEED,
        description='fixes where the objects lie in the first episode; the next has the next',
    ),
    declared.MODE,
)
SIM_ARGUMENTS = (*_COMMON, _TASK, *_SIM)
_BAG = replace(
    declared.BAG,
    description='recording to play to the nodes, which then send no commands',
    required=False,
)
_REPLAY = (declared.RATE, declared.START_OFFSET_S)
REPLAY_ARGUMENTS = (
    *(argument for argument in _COMMON if argument.name != 'dry_run'),
    replace(_BAG, required=True),
    *_REPLAY,
)
UP_ARGUMENTS = (*POLICY_ARGUMENTS, replace(_TASK, default=''), *_SIM, _BAG, *_REPLAY)


def policy_options(values: Mapping[str, Any]) -> PolicyOptions:
    """Return the options of a policy on an arm; raises ConfigError."""
    load = LoadOptions(**{each.name: values[each.name] for each in fields(LoadOptions)})
    names = {each.name for each in fields(PolicyOptions)} & set(values)
    given = {name: values[name] for name in names}
    return PolicyOptions(checkpoint=values['policy'], load=load, **given)


def graph(values: Mapping[str, Any]) -> tuple[NodeSpec, ...]:
    """Return the nodes for the values of a table: with the arm that is named there, if any.

    Raises ConfigError, CheckpointError.
    """
    options = policy_options(values)
    if sum(bool(values.get(name)) for name in ('task', 'fake', 'bag')) > 1:
        raise ConfigError(
            'an arm is simulated, faked or recorded: give one of --sim, --fake and --bag'
        )
    if values.get('disagree') and not values.get('fake'):
        raise ConfigError('--disagree is for a stand-in: give --fake too')
    if values.get('bag'):
        names = [field.name for field in fields(BagOptions)]
        return replay_graph(options, BagOptions(**{name: values[name] for name in names}))
    if values.get('task'):
        # Nobody stands beside a simulated arm.
        options = replace(options, enabled=True)
        return sim_graph(options, SimOptions(values['task'], values['seed'], endless=True))
    if values.get('fake'):
        read_disagreement(values['disagree'])
        return fake_graph(options, values['disagree'])
    return policy_graph(options)


def command_line(arguments: Sequence[Option], values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the arguments of `robomamba up` that mean `values`."""
    words = []
    for argument in arguments:
        value = values[argument.name]
        if value == argument.default and argument.name != 'task':
            continue
        if isinstance(argument.default, bool):
            words.append(argument.flag if value else argument.flag.replace('--', '--no-', 1))
        else:
            words.append(f'{argument.flag}={value}')
    return tuple(words)
