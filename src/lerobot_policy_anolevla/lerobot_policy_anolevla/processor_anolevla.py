"""Processors of AnoleVLA: crops and words as robomamba_ros has them, scales as LeRobot does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lerobot.configs import PipelineFeatureType, PolicyFeature
from lerobot.lerobot_types import TransitionKey
from lerobot.processor import (
    ObservationProcessorStep,
    PolicyAction,
    PolicyProcessorPipeline,
    ProcessorStepRegistry,
)
from lerobot.processor.factory import (
    make_default_policy_processor_steps,
    make_policy_processor_pipelines,
)
from lerobot.utils.constants import OBS_IMAGES, OBS_LANGUAGE_TOKENS
from torch import Tensor

from robomamba_ros.language.instructions import Instructions
from robomamba_ros.language.tokenizer import InstructionTokenizer
from robomamba_ros.vision.preprocess import CropResize

from .configuration_anolevla import AnolevlaConfig

Features = dict[PipelineFeatureType, dict[str, PolicyFeature]]


@ProcessorStepRegistry.register('anolevla_images')
@dataclass
class AnolevlaImages(ObservationProcessorStep):
    """Crops and shrinks images as robomamba_ros does, to uint8; of several steps the newest.

    crops: the arguments of CropResize by the feature of each camera.
    """

    crops: dict[str, dict[str, Any]]

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """Return the observation with images (b, 3, s, s)."""
        return observation | {key: self._cropped(key, observation[key]) for key in self.crops}

    def _cropped(self, key: str, images: Tensor) -> Tensor:
        images = images[:, -1] if images.ndim == 5 else images
        source = tuple(self.crops[key]['source'])
        if tuple(images.shape[-3:]) != (3, *source):
            raise ValueError(f'{key} has the shape {tuple(images.shape)}, needed is (3, *{source})')
        crop = CropResize(**(self.crops[key] | {'source': source}))
        if images.dtype != torch.uint8:
            images = (255.0 * images).round().clamp(0.0, 255.0).to(torch.uint8)
        small = [crop(np.ascontiguousarray(image)) for image in images.movedim(1, -1).cpu().numpy()]
        return torch.from_numpy(np.stack(small)).movedim(-1, 1).contiguous()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this step."""
        return {'crops': self.crops}

    def transform_features(self, features: Features) -> Features:
        """Return the features as they are: their sizes are those of the cameras."""
        return features


@ProcessorStepRegistry.register('anolevla_words')
@dataclass
class AnolevlaWords(ObservationProcessorStep):
    """Turns each task into token ids (b, l), as robomamba_ros reads an instruction.

    tokenizer: a tokenizer.json. trained: the tasks it was trained on, as they were spelled;
    words, trained_only: see Instructions. Raises ObservationError for a task that is refused.
    """

    tokenizer: str
    length: int
    trained: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    trained_only: bool = False

    def __post_init__(self) -> None:
        self._encoder = InstructionTokenizer.parse(self.tokenizer, self.length, 'anolevla_words')

    @property
    def instructions(self) -> Instructions:
        """What it was trained on."""
        return Instructions(tuple(self.trained), self.trained_only, frozenset(self.words))

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """Return the observation with the ids of its tasks."""
        tasks = (self.transition.get(TransitionKey.COMPLEMENTARY_DATA) or {}).get('task')
        if tasks is None:
            raise ValueError('AnoleVLA needs a task in words; give it as `task`')
        texts = [tasks] if isinstance(tasks, str) else list(tasks)
        return observation | {OBS_LANGUAGE_TOKENS: torch.stack([self._ids(text) for text in texts])}

    def _ids(self, text: str) -> Tensor:
        known = self.instructions
        known.check(text)
        return torch.as_tensor(self._encoder.encode(known.spelled(text)))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this step."""
        names = ('tokenizer', 'length', 'trained', 'words', 'trained_only')
        return {name: getattr(self, name) for name in names}

    def transform_features(self, features: Features) -> Features:
        """Return the features as they are: words are no feature."""
        return features


def make_anolevla_pre_post_processors(
    config: AnolevlaConfig,
    dataset_stats: Mapping[str, Any] | None = None,
    dataset_meta: Any = None,
    words: AnolevlaWords | None = None,
) -> tuple[
    PolicyProcessorPipeline[dict[str, Any], dict[str, Any]],
    PolicyProcessorPipeline[PolicyAction, PolicyAction],
]:
    """Return the pre- and the postprocessor of a policy; LeRobot finds them by this name.

    words: the step that reads tasks; else its vocabulary is fitted to the tasks of dataset_meta.
    """
    ours = config.ours()
    if words is None:
        tasks = [] if dataset_meta is None else [str(task) for task in dataset_meta.tasks.index]
        known = Instructions.of(tasks)
        sizes = ours.language
        tokenizer = InstructionTokenizer.train(
            map(known.spelled, tasks), sizes.vocabulary, sizes.length
        )
        words = AnolevlaWords(tokenizer.text(), sizes.length, list(known.trained))
    crops = {
        f'{OBS_IMAGES}.{camera.name}': {
            'source': [crop.height, crop.width],
            'left': crop.left,
            'top': crop.top,
            'side': crop.side,
            'target': crop.target,
        }
        for camera, crop in zip(ours.spec.cameras, ours.crops, strict=True)
    }
    steps = make_default_policy_processor_steps(config, dataset_stats)
    before, after = make_policy_processor_pipelines(
        [
            steps.rename_observations,
            steps.add_batch_dim,
            AnolevlaImages(crops),
            words,
            steps.to_device,
            steps.normalize,
        ],
        [steps.unnormalize, steps.to_cpu],
    )
    return before, after
