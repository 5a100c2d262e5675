"""What a policy server is asked, and what its answers mean: config.yaml of the kind `remote`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from robomamba_ros.common.config_file import Range, Section, refuse
from robomamba_ros.errors import ActionError
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.policies.scaling import (
    SCALING,
    Scaling,
    our_actions,
    read_actions,
    read_scaling,
)
from robomamba_ros.policies.spec_file import (
    CHANNELS,
    SPEC_KEYS,
    open_policy,
    read_keyed_cameras,
    read_spec_in,
    write_spec,
)
from robomamba_ros.types import ActionChunk, Float32Array, Observation

KIND = 'remote'
_KEY = ('a key of a message, as observation/image', r'[\w./ -]+')
# The names of the channels stand in the lists `state` and `actions`, and nowhere else.
_NAMES = ('state_names', 'action_names')
_REQUIRED = tuple(key for key in SPEC_KEYS if key not in _NAMES)
_REQUIRED += ('server', 'cameras', 'state', 'prompt_key', 'actions_key', 'actions')
_OPTIONAL = ('answer_within_s', 'connect_within_s', 'api_key_variable', 'stamp_key')
# Of a server's metadata: what our own server says of its policy.
METADATA = 'robomamba_ros'
# The keys of its messages. openpi's own policies use names of this form.
IMAGE_KEY, STATE_KEY = 'observation/image/{}', 'observation/state'
PREVIOUS_KEY, STAMP_KEY = 'observation/previous_state', 'observation/stamp_ns'
PROMPT_KEY, ACTIONS_KEY = 'prompt', 'actions'
_WAIT = Range(0.001, 600.0, 's', 'an arm without a chunk stops long before')


@dataclass(frozen=True)
class StateEntry:
    """One array of the request: the channels of Observation.state from `start` to `end`."""

    # Under which it stands in the request.
    key: str
    start: int
    end: int
    scaling: Scaling
    # Under which the same channels of the state one action step earlier stand; '': not sent.
    previous_key: str


@dataclass(frozen=True)
class RemoteConfig:
    """Where the server is, what it is sent, and how its answer is read."""

    # What the policy needs and gives.
    spec: PolicySpec
    # ws:// or wss://.
    url: str
    # Name of the environment variable that holds the API key; '': none is sent.
    api_key_variable: str
    # An answer that takes longer counts as none [s].
    answer_s: float
    # How long loading waits for a server that does not answer yet [s].
    connect_s: float
    # Keys of the images, in the order of the cameras of `spec`.
    image_keys: tuple[str, ...]
    # The state, in the order of its channels.
    state: tuple[StateEntry, ...]
    # Key of the instruction.
    prompt_key: str
    # Key of the observation's stamp [ns]; '': not sent.
    stamp_key: str
    # Key of the answer's (H, d_a) actions.
    actions_key: str
    # Of each column of the actions.
    scalings: tuple[Scaling, ...]

    def request(self, observation: Observation) -> dict[str, Any]:
        """Return the message that asks for the actions at an observation.

        Images are (h, w, 3) uint8 RGB, states float32, the instruction is a text.
        """
        images = [observation.images[camera.name] for camera in self.spec.cameras]
        message: dict[str, Any] = dict(zip(self.image_keys, images, strict=True))
        for entry in self.state:
            message[entry.key] = _sent(observation.state, entry)
            if entry.previous_key:
                message[entry.previous_key] = _sent(observation.previous_state, entry)
        message[self.prompt_key] = observation.instruction
        if self.stamp_key:
            message[self.stamp_key] = observation.stamp_ns
        return message

    def check_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Raise ConfigError where a server of this package serves another policy than described."""
        served = metadata.get(METADATA)
        if not isinstance(served, Mapping):
            return
        ours = write_spec(self.spec)
        wrong = [key for key in ours if key in served and served[key] != ours[key]]
        # How many actions are executed is the robot's choice.
        refuse(
            f"policy '{self.spec.name}', beside what {self.url} serves,",
            [f'{k}: found {ours[k]}, served: {served[k]}' for k in wrong if k != 'execute_steps'],
        )

    def chunk(self, answer: Any, stamp_ns: int) -> ActionChunk:
        """Return the chunk in an answer to the observation of a stamp; raises ActionError."""
        actions = answer.get(self.actions_key)
        expected = (self.spec.horizon, len(self.spec.action_names))
        if not isinstance(actions, np.ndarray):
            keys = ', '.join(str(key)[:40] for key in list(answer)[:20]) or 'nothing'
            raise ActionError(
                f"policy '{self.spec.name}': the server's answer has no array "
                f"'{self.actions_key}' but {keys}; correct actions_key"
            )
        if actions.shape != expected:
            raise ActionError(
                f"policy '{self.spec.name}': the server sent actions of the shape {actions.shape}, "
                f'config.yaml says {expected}: correct horizon and actions, or serve another policy'
            )
        ours = our_actions(actions, self.scalings)
        return ActionChunk(
            stamp_ns, self.spec.dt_ns, ours, self.spec.action_space, self.spec.action_names
        )


def read_config(path: Path, name: str) -> RemoteConfig:
    """Return the configuration in a YAML file, for a policy called `name`.

    Raises ConfigError with every error of the file at once.
    """
    document, root, errors = open_policy(path, KIND, _REQUIRED, _OPTIONAL)
    cameras, image_keys = read_keyed_cameras(root, *_KEY)
    state, state_names = _read_state(root)
    scalings, action_names = read_actions(root)
    channels = {'state_names': state_names, 'action_names': action_names}
    prompt_key = root.text('prompt_key', *_KEY)
    stamp_key = root.text('stamp_key', *_KEY) if root.has('stamp_key') else ''
    keys = [*image_keys, *(e.key for e in state), *(e.previous_key for e in state)]
    keys = [key for key in (*keys, prompt_key, stamp_key) if key]
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        root.problem('', f"the key '{key}' would be sent twice: give each its own")
    config = RemoteConfig(
        read_spec_in({**document, **channels}, errors, name, cameras),
        url=root.text('server', 'an address as ws://computer:8000', r'wss?://\S+'),
        api_key_variable=(
            root.text('api_key_variable', 'the name of an environment variable', r'[A-Za-z_]\w*')
            if root.has('api_key_variable')
            else ''
        ),
        answer_s=root.within('answer_within_s', _WAIT) if root.has('answer_within_s') else 1.0,
        connect_s=root.within('connect_within_s', _WAIT) if root.has('connect_within_s') else 10.0,
        image_keys=image_keys,
        state=state,
        prompt_key=prompt_key,
        stamp_key=stamp_key,
        actions_key=root.text('actions_key', *_KEY),
        scalings=scalings,
    )
    refuse(f'the policy {path}', errors)
    return config


def write_client_config(spec: PolicySpec, url: str, api_key_variable: str, folder: Path) -> None:
    """Write the policy by which a robot asks PolicyServer, at `url`, into a folder."""
    cameras = [
        {'name': c.name, 'height': c.height, 'width': c.width, 'key': IMAGE_KEY.format(c.name)}
        for c in spec.cameras
    ]
    state = {'key': STATE_KEY, 'previous_key': PREVIOUS_KEY, 'channels': list(spec.state_names)}
    given = {key: value for key, value in write_spec(spec).items() if key not in _NAMES}
    document: dict[str, Any] = {
        'policy': KIND,
        'server': url,
        'cameras': cameras,
        'state': [state] if spec.state_names else [],
        'prompt_key': PROMPT_KEY,
        'stamp_key': STAMP_KEY,
        'actions_key': ACTIONS_KEY,
        'actions': [{'channels': list(spec.action_names)}],
        **given,
    }
    if api_key_variable:
        document['api_key_variable'] = api_key_variable
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(document, sort_keys=False)
    (folder / 'config.yaml').write_text(text, encoding='utf-8')


def _read_state(root: Section) -> tuple[tuple[StateEntry, ...], list[str]]:
    entries: list[StateEntry] = []
    names: list[str] = []
    optional = (*SCALING, 'previous_key')
    for section in root.sections('state', ('key', 'channels'), optional, empty=True):
        start = len(names)
        names += section.texts('channels', *CHANNELS)
        previous = section.text('previous_key', *_KEY) if section.has('previous_key') else ''
        key = section.text('key', *_KEY)
        entries.append(StateEntry(key, start, len(names), read_scaling(section), previous))
    return tuple(entries), names


def _sent(state: Float32Array, entry: StateEntry) -> Float32Array:
    ours = state[entry.start : entry.end]
    return entry.scaling.theirs(ours)
