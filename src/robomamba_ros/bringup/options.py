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
_TASK = Option(
    'task',
    'drawer-open',
    'task to simulate, of Meta-World or as fr3/open or hsr/pick; it gives the instruction',
)
# Names of the robots whose tasks are called `robot/task`: as elsewhere here, and as Franka's ROS
# packages have it.
_ROBOTS = {'fr3': 'fr3', 'franka_fr3': 'fr3', 'hsr': 'hsr', 'sawyer': ''}
_ROBOT = Option(
    'robot',
    '',
    'robot to simulate, where its name is no part of the task; empty: the one of the task',
    choices=('', *_ROBOTS),
)
_DEVIATES = replace(
    declared.DISAGREE,
    description='how controllers and reports of FR3 and HSR deviate, as state_latency_s=0.02',
)
_SIM = (
    replace(
        declared.SEED,
        description='fixes where the objects lie in the first episode; the next has the next',
    ),
    declared.MODE,
    Option('camera_width', 0, 'of the images of FR3 and HSR [px]; 0: as the policy takes them'),
    Option('camera_height', 0, 'of the images of FR3 and HSR [px]; 0: as the policy takes them'),
)
SIM_ARGUMENTS = (*_COMMON, _ROBOT, _TASK, *_SIM, _DEVIATES)
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
UP_ARGUMENTS = (*POLICY_ARGUMENTS, _ROBOT, replace(_TASK, default=''), *_SIM, _BAG, *_REPLAY)


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
    if values.get('disagree') and not (values.get('fake') or values.get('task')):
        raise ConfigError('--disagree is for a stand-in: give --fake or --sim too')
    if values.get('bag'):
        names = [field.name for field in fields(BagOptions)]
        return replay_graph(options, BagOptions(**{name: values[name] for name in names}))
    if values.get('task'):
        # Nobody stands beside a simulated arm.
        return _simulated(replace(options, enabled=True), values)
    if values.get('fake'):
        read_disagreement(values['disagree'])
        return fake_graph(options, values['disagree'])
    return policy_graph(options)


def _simulated(options: PolicyOptions, values: Mapping[str, Any]) -> tuple[NodeSpec, ...]:
    """Return the nodes of a simulation, with the arm that does the task unless another is named."""
    # Imported here: a robot's own computer has no simulation.
    from robomamba_ros.simulation.catalog import arm_of

    robot, task = _ROBOTS.get(values.get('robot', ''), ''), values['task']
    if robot and '/' not in task:
        task = f'{robot}/{task}'
    if options.arm == declared.ARM.default:
        options = replace(options, arm=arm_of(task))
    sim = SimOptions(
        task,
        values['seed'],
        endless=True,
        disagree=values['disagree'],
        width=values['camera_width'],
        height=values['camera_height'],
    )
    return sim_graph(options, sim)


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
