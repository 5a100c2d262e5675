"""Bags become episodes of a LeRobot data set, with states and actions as a policy has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.resampling import Break, Sample
from robomamba_ros.datasets.from_bags.action_labels import (
    ActionLabels,
    action_names,
    check_names,
    state_names,
)
from robomamba_ros.datasets.from_bags.samples import MARK, BagSamples, SampleOptions
from robomamba_ros.datasets.lerobot.layout import (
    ACTION,
    CAMERA_PREFIX,
    INFO,
    STATE,
    Feature,
    camera_feature,
)
from robomamba_ros.datasets.lerobot.writer import LeRobotWriter
from robomamba_ros.errors import DataError
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS, ActionSpace

# As LeRobot names it: whether a person had taken over.
TAKEN = 'is_intervention'


@dataclass(frozen=True)
class DatasetOptions:
    """What the frames of a data set hold.

    state, actions: channels, None for all that go with the action space. video: store images as
    videos. min_frames: episodes with fewer are left out. add: to a data set that is there.
    """

    space: ActionSpace
    state: tuple[str, ...] | None = None
    actions: tuple[str, ...] | None = None
    video: bool = False
    min_frames: int = 10
    add: bool = False


@dataclass
class BagResult:
    """What one bag gave. short: episodes that were left out, short_frames: with how many frames."""

    samples: BagSamples
    episodes: int = 0
    frames: int = 0
    short: int = 0
    short_frames: int = 0


class BagDataset:
    """A data set that bags of one arm are put into; use it with `with`.

    It comes into being with the first frame. Raises ConfigError for channels that the arm lacks,
    DataError where the folder is in use or the disk does not take it.
    """

    def __init__(
        self, root: Path, arm: ArmContract, sampling: SampleOptions, options: DatasetOptions
    ) -> None:
        if (root / INFO).exists() and not options.add:
            raise DataError(f'{root} is a data set already; --append adds to it')
        allowed = action_names(options.space, arm)
        self._actions = allowed if options.actions is None else options.actions
        check_names('action', self._actions, allowed)
        every = (*state_names(ActionSpace.EE_POSE, arm), *(joint.name for joint in arm.joints))
        self._state = options.state or state_names(options.space, arm)
        check_names('state', self._state, every)
        self._root, self._arm, self._sampling, self._options = root, arm, sampling, options
        self._writer: LeRobotWriter | None = None
        self._sizes: dict[str, tuple[int, ...]] = {}
        self._stack = ExitStack()

    def add(self, bag: Bag, progress: Callable[[float], None] = lambda _: None) -> BagResult:
        """Put the episodes of a bag into the set; `progress` gets the share that is read, 0..1."""
        samples = BagSamples(bag, self._arm, self._sampling)
        labels = ActionLabels(self._options.space, self._actions, samples.kinematics)
        result = BagResult(samples)
        for share, found in samples.read():
            for each in found:
                if isinstance(each, Break):
                    self._finish(result)
                else:
                    self._add(each, labels, result)
            progress(share)
        self._finish(result)
        return result

    def _add(self, sample: Sample, labels: ActionLabels, result: BagResult) -> None:
        marked = self._sampling.take_overs == MARK
        images = {f'{CAMERA_PREFIX}{name}': image for name, image in sample.images.items()}
        for name, image in sample.images.items():
            size = self._sizes.setdefault(name, image.shape[:2])
            if image.shape[:2] != size:
                self._finish(result)
                raise _other_size(result.samples, name, sample.stamp_ns, image.shape[:2], size)
        if self._writer is None:
            features = {
                STATE: Feature('float32', (len(self._state),), self._state),
                ACTION: Feature('float32', (len(self._actions),), self._actions),
                **({TAKEN: Feature('bool', (1,), (TAKEN,))} if marked else {}),
                **{
                    key: camera_feature(*image.shape[:2], video=self._options.video)
                    for key, image in images.items()
                },
            }
            self._writer = self._stack.enter_context(
                LeRobotWriter(
                    self._root,
                    fps=self._sampling.fps,
                    features=features,
                    robot_type=self._arm.name,
                )
            )
        _, task = sample.label
        state, action = sample.state.vector(self._state), labels.action(sample)
        taken = {TAKEN: np.array([sample.taken])} if marked else {}
        frame = {STATE: state, ACTION: np.asarray(action), **taken, **images}
        self._writer.add_frame(frame, task)

    def _finish(self, result: BagResult) -> None:
        writer = self._writer
        if writer is None or not writer.pending:
            return
        if writer.pending < self._options.min_frames:
            result.short += 1
            result.short_frames += writer.pending
            writer.discard_episode()
        else:
            result.frames += writer.pending
            writer.save_episode()
            result.episodes += 1

    def __enter__(self) -> BagDataset:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


def _other_size(
    samples: BagSamples, camera: str, time_ns: int, size: Sequence[int], first: Sequence[int]
) -> DataError:
    return DataError(
        f'{samples.path}: images of {samples.image_topics[camera]} are {size[1]} x {size[0]} from '
        f'{time_ns / NANOSECONDS:.3f} s on, before {first[1]} x {first[0]}; a data set has one '
        f"size for each camera. The episodes before are in the set. Leave camera '{camera}' out "
        'with --cameras, or convert the bags of each size into a set of their own'
    )
