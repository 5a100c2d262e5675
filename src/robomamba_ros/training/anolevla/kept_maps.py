"""What frozen vision makes of every frame, computed once and kept on disk.

A training step that reads maps needs no pass of the trunk. Augmentation changes images, so each
frame has a few variants: the first as it is, the others changed, each always in the same way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from robomamba_ros.common.files import written_whole
from robomamba_ros.errors import ConfigError
from robomamba_ros.policies.anolevla.network import AnoleVLA, images_to_tensor
from robomamba_ros.training.anolevla.augmentation import Augmentation, Changes, joined
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.anolevla.samples import Indices, Samples
from robomamba_ros.types import Float32Array
from robomamba_ros.vision.efficientnet import EfficientNetVision
from robomamba_ros.vision.encoders import KeypointVision

FOLDER, FILE, ABOUT = 'maps', 'maps.npy', 'maps.json'
# Frames of one pass: always the same ones together, as a product may round otherwise in another.
BLOCK = 8
_STREAM = 4


class Sight(Protocol):
    """A part of a network that stays as it is, and what it makes of images."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it makes of one sample."""

    @property
    def weights(self) -> Iterable[Tensor]:
        """What that follows from."""

    def see(self, images: Tensor, places: Indices) -> Tensor:
        """Return it (b, *shape), of images (b, cameras, 3, s, s) in -1..1 of samples."""


@dataclass(frozen=True)
class TrunkSight:
    """The maps of EfficientNet's trunk, of each camera."""

    vision: EfficientNetVision

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it makes of one sample."""
        return len(self.vision.camera), self.vision.encoder.config.map_size

    @property
    def weights(self) -> Iterable[Tensor]:
        """What that follows from."""
        return self.vision.pretrained.state_dict().values()

    def see(self, images: Tensor, places: Indices) -> Tensor:
        """Return it (b, *shape), of images (b, cameras, 3, s, s) in -1..1 of samples."""
        return self.vision.maps(images)


@dataclass(frozen=True)
class KeypointSight:
    """All that keypoints see, told the instruction of each sample (n, length)."""

    network: AnoleVLA
    vision: KeypointVision
    instructions: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it makes of one sample."""
        return (self.vision.flat_size,)

    @property
    def weights(self) -> Iterable[Tensor]:
        """What that follows from."""
        parts = (self.network.language, self.network.project, self.vision)
        return (value for part in parts for value in part.state_dict().values())

    def see(self, images: Tensor, places: Indices) -> Tensor:
        """Return it (b, *shape), of images (b, cameras, 3, s, s) in -1..1 of samples."""
        words = self.instructions[torch.from_numpy(places)].to(images.device)
        language = self.network.project(self.network.language(words))
        return self.vision.flat(self.vision(images, language))


def keep(
    config: TrainConfig,
    samples: Samples,
    network: AnoleVLA,
    folder: Path,
    instructions: NDArray[np.int64],
) -> KeptMaps | None:
    """Return the maps that a run keeps in its folder, None where it keeps none.

    instructions (m, length): the tokens of those of the data. Raises ConfigError where the maps
    would be too large, or the policy sees otherwise.
    """
    if not config.map_variants:
        return None
    vision = network.vision
    sight: Sight
    if isinstance(vision, EfficientNetVision):
        sight = TrunkSight(vision)
    elif isinstance(vision, KeypointVision):
        if config.paraphrases:
            raise ConfigError(
                'keypoints are looked for as the instruction says: what they see in other words is '
                'not kept; set map_variants: 0, or leave out paraphrases'
            )
        words = torch.from_numpy(instructions[samples.instruction])
        sight = KeypointSight(network, vision, words)
    else:
        raise ConfigError('map_variants is for a policy that sees by keypoints')
    return KeptMaps(
        folder / FOLDER,
        samples,
        sight,
        config.augmentation,
        config.map_variants,
        config.seed,
        config.maps_gigabytes,
    )


@dataclass(frozen=True)
class KeptMaps:
    """Maps (n, variants, ..) float16 of n samples, in a folder.

    Raises ConfigError where they would take more than `gigabytes`.
    """

    folder: Path
    samples: Samples
    sight: Sight
    augmentation: Augmentation
    variants: int
    seed: int
    gigabytes: float

    def __post_init__(self) -> None:
        size = 2e-9 * float(np.prod(self._shape, dtype=np.float64))
        if size > self.gigabytes:
            raise ConfigError(
                f'the maps of {len(self.samples)} frames in {self.variants} variants take '
                f'{size:.1f} GB, maps_gigabytes is {self.gigabytes:g}; raise it, lower '
                'map_variants, or set map_variants: 0, which computes them at every step'
            )

    @property
    def _shape(self) -> tuple[int, ...]:
        return (len(self.samples), self.variants, *self.sight.shape)

    def fill(self) -> Iterator[tuple[int, int]]:
        """Compute what is missing; yields (frames done, frames). An interrupted call is continued.

        Maps of other frames, weights or changes are computed anew.
        """
        path, about = self.folder / FILE, self.folder / ABOUT
        key = self._key()
        done = self._done(key)
        self.folder.mkdir(parents=True, exist_ok=True)
        maps = np.lib.format.open_memmap(
            path, 'r+' if done else 'w+', dtype=np.float16, shape=None if done else self._shape
        )
        for first in range(done, len(self.samples), BLOCK):
            last = min(first + BLOCK, len(self.samples))
            maps[first:last] = self._maps(np.arange(first, last))
            if (first // BLOCK) % 32 == 31 or last == len(self.samples):
                maps.flush()
                with written_whole(about) as made:
                    made.write_text(json.dumps({'key': key, 'done': last}), encoding='utf-8')
            yield last, len(self.samples)

    def _done(self, key: str) -> int:
        """Return how many frames have the maps of this key; 0 where that cannot be read."""
        try:
            found = json.loads((self.folder / ABOUT).read_text(encoding='utf-8'))
            maps = np.load(self.folder / FILE, mmap_mode='r')
            whole = found['key'] == key and maps.shape == self._shape
            return int(found['done']) if whole else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def read(self, places: Indices, variants: Indices) -> Float32Array:
        """Return the maps (n, ..) of samples in their variants."""
        maps = np.load(self.folder / FILE, mmap_mode='r')
        rows = [maps[place, variant] for place, variant in zip(places, variants, strict=True)]
        return np.stack(rows).astype(np.float32)

    def changes(self, places: Indices, variants: Indices) -> Changes:
        """Return how the images of samples are changed in their variants."""
        cameras = len(self.samples.meta.cameras)
        drawn = []
        for place, variant in zip(places.tolist(), variants.tolist(), strict=True):
            augmentation = self.augmentation if variant else Augmentation()
            key = (self.seed, place, variant, _STREAM)
            drawn.append(augmentation.changes(key, 1, cameras))
        return joined(drawn)

    @torch.no_grad()
    def _maps(self, places: Indices) -> Float32Array:
        images = self.samples.records(places)['images']
        device = next(iter(self.sight.weights)).device
        found = []
        for variant in range(self.variants):
            changes = self.changes(places, np.full_like(places, variant))
            changed = torch.from_numpy(np.ascontiguousarray(changes.images(images))).to(device)
            found.append(self.sight.see(images_to_tensor(changed), places).cpu().numpy())
        return np.stack(found, axis=1)

    def _key(self) -> str:
        """Return what the maps follow from, in short."""
        digest = hashlib.sha256()
        settings = (asdict(self.augmentation), self.seed, self._shape)
        digest.update(json.dumps(settings, sort_keys=True).encode())
        parts: Sequence[NDArray[np.generic]] = (
            self.samples.instruction,
            self.samples.episode,
            self.samples.step,
            *(value.cpu().numpy() for value in self.sight.weights),
        )
        for part in parts:
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()
