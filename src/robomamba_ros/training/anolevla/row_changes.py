"""All that training changes at random in the rows of a batch, as its settings say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robomamba_ros.datasets.demonstrations import DatasetMeta
from robomamba_ros.policies.normalization import Normalization
from robomamba_ros.training.anolevla.augmentation import Changes, blacken, dropped
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.anolevla.samples import Indices
from robomamba_ros.training.anolevla.state_noise import Draw, corrected, correcting_columns
from robomamba_ros.training.anolevla.wordings import draw as draw_wordings
from robomamba_ros.types import Float32Array, UInt8Array

_VARIANT_STREAM = 5


class Rows(NamedTuple):
    """What is changed, of n rows: images (n, cameras, s, s, 3); state and delta_state on the unit
    scale; actions (n, H, d_a) in physical units; points and pixels as in Targets."""

    images: UInt8Array
    state: Float32Array
    delta_state: Float32Array
    actions: Float32Array
    points: Float32Array | None
    pixels: Float32Array | None


@dataclass(frozen=True)
class RowChanges:
    """The changes of one training step; each None where the settings ask for none.

    variants (n,): of kept maps, in the place of images. columns, recovery: see
    state_noise.corrected. wordings (n,): which of an instruction's.
    """

    images: Changes | None
    variants: Indices | None
    black: NDArray[np.bool_] | None
    states: Draw | None
    columns: tuple[tuple[int, int], ...]
    recovery: int
    wordings: Indices | None

    @classmethod
    def draw(cls, config: TrainConfig, meta: DatasetMeta, step: int, own: slice) -> RowChanges:
        """Return what a function of the seed and the step changes in the sequences `own`.

        What changes a sequence as a whole stays the same where it goes on over several steps.
        """
        seed, times = config.seed, config.streaming
        count, cameras = config.batch_size // times, meta.cameras
        first = step - step % config.stream_segments
        images = variants = black = states = wordings = None
        if config.map_variants:
            rng = np.random.default_rng([seed, first, _VARIANT_STREAM])
            variants = np.repeat(rng.integers(0, config.map_variants, count)[own], times)
        elif config.augmentation.changes_images:
            drawn = config.augmentation.draw(seed, first, count, len(cameras))
            images = drawn.rows(own, times)
        if config.camera_dropout:
            shares = [config.camera_dropout.get(name, 0.0) for name in cameras]
            black = dropped(seed, first, count, shares, own, times)
        noise = config.state_changes
        if noise.changes_states:
            states = noise.draw(seed, step, count, len(meta.state_names), own, times)
        if config.paraphrases:
            wordings = np.repeat(draw_wordings(seed, first, count)[own], times)
        columns = correcting_columns(meta.action_space, meta.action_names, meta.state_names)
        return cls(images, variants, black, states, columns, noise.recovery, wordings)

    def apply(self, rows: Rows, scales: Normalization) -> Rows:
        """Return the rows, changed."""
        if self.images is not None:
            rows = rows._replace(
                images=self.images.images(rows.images),
                pixels=moved_pixels(self.images, rows.pixels, rows.images.shape[2]),
            )
        if self.black is not None:
            rows = rows._replace(images=blacken(rows.images, self.black))
        if self.states is None:
            return rows
        drawn = self.states
        moved = drawn.noise * np.asarray(scales.state.scale, dtype=np.float32)
        # Where there is no state there is nothing that the actions could answer to.
        moved[drawn.hidden] = 0.0
        return rows._replace(
            state=np.where(drawn.hidden[:, None], np.float32(0), rows.state + drawn.noise),
            delta_state=np.where(drawn.still[:, None], np.float32(0), rows.delta_state),
            actions=corrected(rows.actions, moved, self.columns, self.recovery),
        )


def moved_pixels(changes: Changes, pixels: Float32Array | None, side: int) -> Float32Array | None:
    """Return pixels (n, cameras, k, 2), if there are any, where the changes move them."""
    return None if pixels is None else changes.pixels(pixels, side)
