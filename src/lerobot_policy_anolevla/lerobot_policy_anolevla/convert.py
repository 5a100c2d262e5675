"""An AnoleVLA of robomamba_ros as one of LeRobot, and back.

python -m lerobot_policy_anolevla.convert to-lerobot models/anolevla-mt10 mt10
python -m lerobot_policy_anolevla.convert from-lerobot outputs/train/.../pretrained_model mine
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import torch
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig
from lerobot.policies.factory import make_pre_post_processors
from lerobot.processor import NormalizerProcessorStep, UnnormalizerProcessorStep
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE
from torch import Tensor

from robomamba_ros.errors import CheckpointError, RoboMambaError
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.checkpoint import read_parts, save
from robomamba_ros.policies.anolevla.config import CROP_KEYS, outline
from robomamba_ros.policies.base import LoadOptions
from robomamba_ros.policies.location import checkpoint_directory
from robomamba_ros.policies.normalization import Affine, Normalization

from .configuration_anolevla import AnolevlaConfig
from .modeling_anolevla import AnolevlaPolicy
from .processor_anolevla import AnolevlaWords, make_anolevla_pre_post_processors


def to_lerobot(checkpoint: str | Path, out: Path) -> None:
    """Write the checkpoint of an AnoleVLA as a directory that LeRobot loads.

    Raises ConfigError and CheckpointError for what cannot be read, or a directory that is not
    empty.
    """
    _require_empty(out)
    network, tokenizer, scales = read_parts(checkpoint_directory(str(checkpoint)), LoadOptions())
    spec = network.config.spec
    document = outline(network.config)
    visual = {
        f'{OBS_IMAGES}.{c.name}': PolicyFeature(FeatureType.VISUAL, (3, c.height, c.width))
        for c in spec.cameras
    }
    state = PolicyFeature(FeatureType.STATE, (len(spec.state_names),))
    config = AnolevlaConfig(
        device='cpu',
        push_to_hub=False,
        input_features={**visual, OBS_STATE: state},
        output_features={ACTION: PolicyFeature(FeatureType.ACTION, (len(spec.action_names),))},
        chunk_size=spec.horizon,
        n_action_steps=spec.execute_steps,
        network=document,
        crops={
            camera.name: {key: getattr(crop, key) for key in CROP_KEYS}
            for camera, crop in zip(spec.cameras, network.config.crops, strict=True)
        },
        state_names=list(spec.state_names),
        action_names=list(spec.action_names),
        action_space=spec.action_space.value,
        dt_ns=spec.dt_ns,
    )
    policy = AnolevlaPolicy(config)
    policy.network.load_state_dict(network.state_dict())
    state_scale, step = torch.tensor(scales.state.scale), scales.delta_state
    policy.delta_gain.copy_(state_scale / torch.tensor(step.scale))
    policy.delta_bias.copy_(torch.tensor(step.offset) / torch.tensor(step.scale))
    known = spec.instructions
    words = AnolevlaWords(
        tokenizer.text(),
        tokenizer.length,
        list(known.trained),
        sorted(known.words),
        known.trained_only,
    )
    stats = {
        key: {'mean': torch.tensor(scale.offset), 'std': torch.tensor(scale.scale)}
        for key, scale in ((OBS_STATE, scales.state), (ACTION, scales.action))
    }
    processors = make_anolevla_pre_post_processors(config, stats, words=words)
    for part in (policy, *processors):
        part.save_pretrained(out)


def from_lerobot(directory: Path, out: Path) -> None:
    """Write what LeRobot saved of an AnoleVLA as a checkpoint directory of robomamba_ros.

    Raises ConfigError and CheckpointError for a directory that is none, or `out` not empty.
    """
    _require_empty(out)
    if not (directory / 'config.json').is_file():
        raise CheckpointError(f'{directory} lacks config.json; give what LeRobot saved')
    config = PreTrainedConfig.from_pretrained(directory, local_files_only=True)
    if not isinstance(config, AnolevlaConfig):
        raise CheckpointError(f'{directory} has a policy of the type {config.type}, not anolevla')
    config.device = 'cpu'
    policy = AnolevlaPolicy.from_pretrained(directory, config=config, strict=True)
    before, after = make_pre_post_processors(
        config,
        pretrained_path=str(directory),
        preprocessor_overrides={'device_processor': {'device': 'cpu'}},
    )
    (words,) = (step for step in before.steps if isinstance(step, AnolevlaWords))
    (normal,) = (step for step in before.steps if isinstance(step, NormalizerProcessorStep))
    (restore,) = (step for step in after.steps if isinstance(step, UnnormalizerProcessorStep))
    state = _affine(normal.state_dict(), OBS_STATE, normal.eps)
    gain, bias = (each.double() for each in policy.unit_scales())
    step = torch.tensor(state.scale, dtype=torch.float64) / gain
    scales = Normalization(
        state,
        Affine(_floats(bias * step), _floats(step)),
        # What is restored is not divided.
        _affine(restore.state_dict(), ACTION, 0.0),
    )
    ours = config.ours()
    spec = dataclasses.replace(ours.spec, instructions=words.instructions)
    scales.check(spec, directory)
    tokenizer = InstructionTokenizer.parse(words.tokenizer, words.length, str(directory))
    ours = dataclasses.replace(ours, spec=spec)
    save(out, ours, policy.network.state_dict(), tokenizer, scales)


def _affine(stats: dict[str, Tensor], key: str, eps: float) -> Affine:
    """Return the scale of a feature; raises CheckpointError where LeRobot saved none."""
    if f'{key}.mean' not in stats or f'{key}.std' not in stats:
        raise CheckpointError(f'the processors have no mean and std of {key}; train it again')
    return Affine(_floats(stats[f'{key}.mean']), _floats(stats[f'{key}.std'].double() + eps))


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _require_empty(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"'{out}' is not an empty directory; give another one")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog='lerobot_policy_anolevla.convert', description=__doc__)
    parser.add_argument('way', choices=('to-lerobot', 'from-lerobot'))
    parser.add_argument('source', help='a checkpoint, a name in models/, or what LeRobot saved')
    parser.add_argument('out', type=Path, help='an empty or new directory')
    given = parser.parse_args(arguments)
    try:
        if given.way == 'to-lerobot':
            to_lerobot(given.source, given.out)
        else:
            from_lerobot(Path(given.source), given.out)
    except (RoboMambaError, ValueError, OSError) as error:
        print(f'{parser.prog}: {error}', file=sys.stderr)
        return 1
    print(given.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
