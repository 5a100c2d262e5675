"""The network a run begins with: a policy file's, from scratch, or a checkpoint's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch

from robomamba_ros.common.resources import find_file
from robomamba_ros.common.weights import fit_weights, read_safetensors
from robomamba_ros.datasets.demonstrations import DatasetMeta
from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.policies.anolevla.checkpoint import check_vocabulary
from robomamba_ros.policies.anolevla.config import AnoleVLAConfig, read_config
from robomamba_ros.policies.anolevla.network import AnoleVLA
from robomamba_ros.policies.base import CameraSpec, PolicySpec
from robomamba_ros.policies.checkpoint import CONFIG, TOKENIZER, WEIGHTS, require_files
from robomamba_ros.policies.location import checkpoint_directory, checkpoint_name
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.types import ActionSpace, Float32Array
from robomamba_ros.vision.efficientnet import EfficientNetVision, find_weights, load_efficientnet
from robomamba_ros.vision.encoders import KeypointVision
from robomamba_ros.vision.siglip import SiglipConfig, SiglipVision


def read_template(config: TrainConfig) -> AnoleVLAConfig:
    """Return the policy that is to be trained, as its file says; raises ConfigError."""
    if config.initial:
        folder = checkpoint_directory(config.initial)
        require_files(folder, CONFIG, WEIGHTS, TOKENIZER)
        template = read_config(folder / CONFIG, checkpoint_name(folder))
    else:
        template = read_config(find_file('policies', config.policy), config.policy)
    if config.localization_weight and isinstance(template.vision, SiglipConfig):
        raise ConfigError(
            f"policy '{template.spec.name}' does not say where it sees things, as one that sees by "
            'keypoints does; set localization_weight: 0'
        )
    return template


def read_tokenizer(
    config: TrainConfig, template: AnoleVLAConfig, corpus: Iterable[str]
) -> InstructionTokenizer:
    """Return the tokenizer of the initial checkpoint, or one fitted to the texts of training."""
    words = template.language
    if not config.initial:
        return InstructionTokenizer.train(corpus, words.vocabulary, words.length)
    path = checkpoint_directory(config.initial) / TOKENIZER
    tokenizer = InstructionTokenizer.load(path, words.length)
    check_vocabulary(tokenizer, template, path)
    return tokenizer


def make_network(
    config: TrainConfig,
    template: AnoleVLAConfig,
    meta: DatasetMeta,
    instructions: Instructions,
    vocabulary: int,
    *,
    resumed: bool = False,
) -> tuple[AnoleVLA, tuple[str, ...]]:
    """Return the network, and what of the initial checkpoint it could not take over.

    Fresh begins what reads other state channels, or gives other actions, than the checkpoint's did.
    resumed: whether the weights are about to be read from the run's own state. Raises
    CheckpointError where the weights are not those of their configuration, or published ones are
    not there.
    """
    if not config.initial:
        network = AnoleVLA(network_config(config, template, meta, instructions, vocabulary))
        if isinstance(network.vision, EfficientNetVision) and not resumed:
            load_efficientnet(find_weights(config.vision_weights), network.vision.encoder.trunk)
        return network, ()
    vocabulary = template.language.vocabulary
    network = AnoleVLA(network_config(config, template, meta, instructions, vocabulary))
    path = checkpoint_directory(config.initial) / WEIGHTS
    fresh = _fresh_parts(template.spec, network.config.spec)
    begun = {name: x for name, x in network.state_dict().items() if name.startswith(fresh)}
    kept = {
        name: tensor.to(torch.float32, copy=True)
        for name, tensor in read_safetensors(path).items()
        if name not in begun
    }
    fit_weights(network, {**kept, **begun}, str(path), CONFIG)
    return network, fresh


def freeze(network: AnoleVLA, *, trained: bool) -> None:
    """Let what sees stay as it is: the published part of the vision, or keypoints once `trained`.

    Keypoints are looked for as the instruction says, so that its embedding stays, too. Raises
    ConfigError where the vision begins at random.
    """
    vision = network.vision
    if isinstance(vision, EfficientNetVision | SiglipVision):
        vision.pretrained.requires_grad_(False)
    elif trained:
        for part in (vision, network.language, network.project):
            part.requires_grad_(False)
    else:
        raise ConfigError(
            f"policy '{network.config.spec.name}' sees by a part that begins at random; "
            'freeze_vision is for efficientnet_lite0, siglip2, and keypoints of a checkpoint '
            '(initial)'
        )


def expect(network: AnoleVLA, points: Float32Array) -> None:
    """Let a network that has learnt nothing expect the mean of points (n, 3, 3) [m]."""
    if isinstance(network.vision, KeypointVision):
        network.vision.expect(torch.from_numpy(np.nanmean(points, axis=0)))


def network_config(
    config: TrainConfig,
    template: AnoleVLAConfig,
    meta: DatasetMeta,
    instructions: Instructions,
    vocabulary: int,
) -> AnoleVLAConfig:
    """Return the network of `template` with what a data set sees, measures and does.

    Raises ConfigError where the data set's images have not the size that the network reads, or it
    lacks a camera that is to be dropped.
    """
    for name in config.camera_dropout:
        if name not in meta.cameras:
            raise ConfigError(unknown_name('camera in camera_dropout', name, meta.cameras))
    if meta.crops[0].target != template.vision.image_size:
        raise ConfigError(
            f"the data set has images of {meta.crops[0].target} px, policy '{template.spec.name}' "
            f'reads {template.vision.image_size} px; give another policy or collect other images'
        )
    views = zip(meta.cameras, meta.crops, strict=True)
    return replace(
        template,
        spec=replace(
            template.spec,
            cameras=tuple(
                CameraSpec(name, crop.height, crop.width, optional=name in config.camera_dropout)
                for name, crop in views
            ),
            state_names=meta.state_names,
            action_space=ActionSpace(meta.action_space),
            action_names=meta.action_names,
            horizon=meta.horizon,
            dt_ns=meta.dt_ns,
            execute_steps=min(template.spec.execute_steps, meta.horizon),
            instructions=instructions,
        ),
        crops=meta.crops,
        language=replace(template.language, vocabulary=vocabulary),
    )


def _fresh_parts(old: PolicySpec, new: PolicySpec) -> tuple[str, ...]:
    fresh: list[str] = []
    if old.state_names != new.state_names:
        fresh += ['state.', 'delta_state.']
    if (old.action_space, old.action_names, old.horizon) != (
        new.action_space,
        new.action_names,
        new.horizon,
    ):
        fresh += ['head.']
    if len(old.cameras) != len(new.cameras):
        fresh += ['vision.camera', 'vision.localization']
    return tuple(fresh)
