"""A policy of LeRobot: its own pre- and post-processing, our alignment in time and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from robomamba_ros.errors import ActionError, BackendError, CheckpointError
from robomamba_ros.policies.base import LoadOptions, PolicySpec
from robomamba_ros.policies.description import Description
from robomamba_ros.policies.lerobot.config import KIND, LeRobotConfig, read_config
from robomamba_ros.policies.lerobot.trusted import check_processors, check_type
from robomamba_ros.policies.location import checkpoint_name
from robomamba_ros.policies.scaling import our_actions
from robomamba_ros.types import ActionChunk, Float32Array, Observation

STATE = 'observation.state'


class LeRobotPolicy:
    """Runs a PreTrainedPolicy at every inference, as of a first step: it keeps nothing.

    model, before, after: the policy of LeRobot and its processors. steps: how many observations it
    sees, the last of which is the newest.
    """

    def __init__(
        self, config: LeRobotConfig, model: Any, before: Any, after: Any, steps: int
    ) -> None:
        self._config, self._model = config, model
        self._before, self._after, self._steps = before, after, steps

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""
        return self._config.spec

    def reset(self) -> None:
        """Begin an episode."""
        self._model.reset()
        for pipeline in (self._before, self._after):
            pipeline.reset()

    def infer(self, observation: Observation) -> ActionChunk:
        """Return the chunk at one observation; raises ObservationError or ActionError.

        Policies that sample, such as diffusion, begin with the same noise each time.
        """
        import torch

        spec = self.spec
        spec.check(observation)
        self._model.reset()
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(0)
            batch = self._before(self._batch(observation))
            inputs = self._model.config.input_features
            if self._steps > 1:
                before = self._before(self._batch(observation, observation.previous_state))
                batch |= {key: torch.stack([before[key], batch[key]], dim=1) for key in inputs}
            actions = self._after(self._model.predict_action_chunk(batch))
        chunk = actions[0].float().cpu().numpy()
        if len(chunk) < spec.horizon or chunk.shape[1] != len(spec.action_names):
            raise ActionError(
                f"policy '{spec.name}' gave actions of the shape {chunk.shape}; config.yaml says "
                f'{(spec.horizon, len(spec.action_names))}: correct horizon and actions'
            )
        ours = our_actions(chunk[: spec.horizon], self._config.actions)
        return ActionChunk(
            observation.stamp_ns, spec.dt_ns, ours, spec.action_space, spec.action_names
        )

    def _batch(self, observation: Observation, state: Float32Array | None = None) -> dict[str, Any]:
        """Return what LeRobot's processor takes: images (3, h, w) in 0..1, state, task."""
        import torch

        config = self._config
        batch: dict[str, Any] = {'task': observation.instruction}
        for camera, key in zip(config.spec.cameras, config.images, strict=True):
            image = np.ascontiguousarray(observation.images[camera.name].transpose(2, 0, 1))
            batch[key] = torch.from_numpy(image).float() / 255.0
        if config.state:
            ours = observation.state if state is None else state
            theirs = [float(s.theirs(value)) for s, value in zip(config.state, ours, strict=True)]
            batch[STATE] = torch.tensor(theirs)
        return batch


def load(folder: Path, options: LoadOptions) -> LeRobotPolicy:
    """Return the policy that a directory describes, on the device of `options`.

    Its type and its cache are LeRobot's own. Raises ConfigError, CheckpointError, and BackendError
    where lerobot is not installed.
    """
    config = read_config(folder / 'config.yaml', checkpoint_name(folder))
    if not (config.directory / 'config.json').is_file():
        raise CheckpointError(
            f'{config.directory} lacks config.json; give as `directory` what LeRobot saved as '
            'pretrained_model'
        )
    try:
        import torch
        from lerobot.configs import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors
        from lerobot.processor import ProcessorStepRegistry
        from lerobot.utils.import_utils import register_third_party_plugins
    except ImportError as error:
        raise BackendError(
            f"policies of LeRobot need the package '{error.name}': pip install lerobot, in an "
            'environment of Python 3.12 or newer'
        ) from error
    torch.set_num_threads(options.threads)
    register_third_party_plugins()
    where = str(config.directory)
    try:
        check_processors(config.directory, ProcessorStepRegistry)
        theirs = PreTrainedConfig.from_pretrained(where, local_files_only=True)
        check_type(config.directory, theirs)
        theirs.device = options.device
        _check(config, theirs)
        model = get_policy_class(theirs.type).from_pretrained(
            where, config=theirs, local_files_only=True, strict=True
        )
        before, after = make_pre_post_processors(
            theirs,
            pretrained_path=where,
            preprocessor_overrides={'device_processor': {'device': options.device}},
        )
    except ImportError as error:
        raise BackendError(f'{where}: {error}') from error
    except CheckpointError:
        raise
    # LeRobot raises what its libraries do.
    except Exception as error:
        raise CheckpointError(f'lerobot cannot load {where}: {error}') from error
    return LeRobotPolicy(config, model.eval(), before, after, theirs.n_obs_steps)


def _check(config: LeRobotConfig, theirs: Any) -> None:
    """Raise CheckpointError where config.yaml and LeRobot's config.json do not say the same."""
    ours: dict[str, tuple[int, ...]] = {
        key: (3, camera.height, camera.width)
        for key, camera in zip(config.images, config.spec.cameras, strict=True)
    }
    if config.state:
        ours[STATE] = (len(config.state),)
    wanted = {key: tuple(feature.shape) for key, feature in theirs.input_features.items()}
    problems = [
        f'{key}: config.yaml gives {ours.get(key, "nothing")}, it was trained with '
        f'{wanted.get(key, "nothing")}'
        for key in sorted(ours.keys() | wanted.keys())
        if ours.get(key) != wanted.get(key)
    ]
    actions = tuple(theirs.action_feature.shape)
    if actions != (len(config.actions),):
        problems.append(f'actions: config.yaml has {len(config.actions)}, it gives {actions}')
    steps = theirs.n_obs_steps
    if steps > 2 or (steps == 2 and config.images and not config.repeats_images):
        problems.append(
            f'it sees the images of {steps} steps, and here is only the newest: say '
            '`earlier_images: repeat` to show that twice'
            if steps == 2
            else f'it sees {steps} steps, at most 2 are kept here'
        )
    if problems:
        raise CheckpointError(f"policy '{config.spec.name}': {'; '.join(problems)}")


def describe(path: Path) -> Description:
    """Return what the policy of a configuration file is; loads nothing of LeRobot."""
    config = read_config(path, checkpoint_name(path.parent))
    return Description(KIND, config.spec, {'directory': str(config.directory)})
