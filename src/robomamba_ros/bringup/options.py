"""What may be said when a graph is started: one table for `ros2 launch` and for `robomamba up`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

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
from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.language.instructions import CHOICES as INSTRUCTIONS
from robomamba_ros.policies.base import CACHES, DTYPES, LoadOptions
from robomamba_ros.simulation.disagreement import read_disagreement
from robomamba_ros.types import MODES

Value: TypeAlias = bool | int | float | str

_BOOLEANS = {'true': True, '1': True, 'false': False, '0': False}
# Their options on the command line; all others are called like the argument.
_OPTIONS = {'task': '--sim', 'enabled': '--enable'}


@dataclass(frozen=True)
class Argument:
    """One argument; its type is that of the default."""

    name: str
    default: Value
    description: str
    choices: tuple[str, ...] = ()
    required: bool = False

    @property
    def option(self) -> str:
        """Its option of `robomamba up`."""
        return _OPTIONS.get(self.name, '--' + self.name.replace('_', '-'))

    @property
    def default_text(self) -> str:
        """The default as `parse` takes it."""
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)

    def parse(self, text: str) -> Value:
        """Return the value of a text; raises ConfigError with the argument and what it takes."""
        kind = type(self.default)
        if kind is bool:
            if text.lower() in _BOOLEANS:
                return _BOOLEANS[text.lower()]
            raise ConfigError(f'{self.name}:={text} must be true or false: {self.description}')
        if self.choices and text not in self.choices:
            raise ConfigError(unknown_name(f'value of {self.name}:=', text, self.choices))
        try:
            return kind(text)
        except ValueError:
            what = 'a whole number' if kind is int else 'a number'
            raise ConfigError(f'{self.name}:={text} must be {what}: {self.description}') from None


_COMMON = (
    Argument('policy', '', 'directory of the policy, or its name in models/', required=True),
    Argument(
        'arm', 'sawyer_sim', 'arm contract: a name in config/arms, or the path of a YAML file'
    ),
    Argument('instruction', '', 'what to do; the topic `instruction` changes it'),
    Argument(
        'instructions',
        'auto',
        'trained_only: refuse what the policy was not trained on; any: follow it; auto: follow it '
        'where the policy has the words of a language model',
        INSTRUCTIONS,
    ),
    Argument('device', 'cpu', 'where the policy runs: cpu, cuda, cuda:0, ...'),
    Argument(
        'dtype',
        'auto',
        'type that the large parts of the policy compute in; auto: as stored, where the machine '
        'is fast in it',
        DTYPES,
    ),
    Argument('cache', 'none', 'what is kept from one inference to the next', CACHES),
    Argument('threads', 1, 'CPU threads of an inference'),
    Argument(
        'execute_steps', 0, 'actions to run before the next inference; 0: as it was evaluated'
    ),
    Argument('crossfade_steps', 0, 'steps over which a new chunk takes over; 0: at once'),
    Argument(
        'ensemble_decay',
        -1.0,
        'average overlapping chunks, the i-th oldest by exp(-ensemble_decay * i); below 0: do not',
    ),
    Argument(
        'follow_targets', True, 'go where a pose target says; false: publish pose_target alone'
    ),
    Argument('dry_run', False, 'compute and show every command, send none'),
    Argument('namespace', '', 'namespace of the nodes'),
)
POLICY_ARGUMENTS = (
    *_COMMON,
    Argument('enabled', False, 'move at once, without waiting for controller_node/enable'),
    Argument('use_sim_time', False, 'take the time from the topic /clock'),
    Argument('fake', False, 'start a kinematic stand-in for the arm and its cameras too'),
    Argument(
        'disagree',
        '',
        'how the stand-in is not where it is told to be, as lag_s=0.05,backlash_rad=0.002',
    ),
)
_TASK = Argument('task', 'drawer-open', 'Meta-World task to simulate; it gives the instruction')
_SIM = (
    Argument('seed', 0, 'fixes where the objects lie in the first episode; the next has the next'),
    Argument('mode', 'realtime', 'lockstep: simulated time waits for every command', MODES),
)
SIM_ARGUMENTS = (*_COMMON, _TASK, *_SIM)
_BAG = Argument('bag', '', 'recording to play to the nodes, which then send no commands')
_REPLAY = (
    Argument('rate', 1.0, 'seconds of the recording in a second'),
    Argument('start_offset_s', 0.0, 'where in the recording to begin [s]'),
)
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
        raise ConfigError('only a stand-in disagrees with what it is told: give --fake too')
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


def command_line(arguments: Sequence[Argument], values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the arguments of `robomamba up` that mean `values`."""
    words = []
    for argument in arguments:
        value = values[argument.name]
        if value == argument.default and argument.name != 'task':
            continue
        if isinstance(argument.default, bool):
            words.append(argument.option if value else argument.option.replace('--', '--no-', 1))
        else:
            words.append(f'{argument.option}={value}')
    return tuple(words)
