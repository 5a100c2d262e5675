"""What a policy meets that its demonstrations did not show: one change at a time, by name.

Each is of a fixed size; directions follow from the episode's seed. Images are those of the camera,
before they are cut and shrunk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from robomamba_ros.errors import ConfigError, unknown_name
from robomamba_ros.simulation.metaworld import MetaWorldSim
from robomamba_ros.simulation.scene_changes import PLAIN, SceneChange, draw_things
from robomamba_ros.simulation.simulation import Simulation
from robomamba_ros.simulation.tasks import PARAPHRASES, load_paraphrases
from robomamba_ros.training.anolevla.augmentation import Augmentation, Changes
from robomamba_ros.types import Float64Array, UInt8Array

NONE, ALL = 'none', 'all'
CONTROL_PERIODS = {'latency_50ms': 4, 'latency_100ms': 8}
# How far the camera is moved along each axis [m], and turned about each [degrees].
MOVED_M, TURNED_DEG = 0.02, 1.0
# How far the hand begins from its place along each axis [m], never lower; things on the table.
START_M, THINGS = 0.04, 4

View = Callable[[UInt8Array], UInt8Array]


@dataclass(frozen=True)
class Perturbation:
    """One change. image: fields of Changes, by the direction -1 or 1 that is drawn for each axis.

    moved [m], turned [degrees]: of the camera, about and along each axis. tint: factors of red,
    green and blue of table and floor. start: of the hand [m]; never lower. things: how many lie on
    the table that have no part in the task. latency_steps: control periods that an inference takes.
    other_words: whether the task is called by a paraphrase that no policy was trained on.
    """

    image: Callable[[Sequence[int]], dict[str, Any]] | None = None
    moved: float = 0.0
    turned: float = 0.0
    tint: tuple[float, float, float] = PLAIN
    start: float = 0.0
    things: int = 0
    latency_steps: int = 0
    other_words: bool = False

    def instruction(self, task: str, seed: int) -> str | None:
        """Return what the task is called in an episode; None: as always."""
        return load_paraphrases()[task][seed % PARAPHRASES] if self.other_words else None

    def prepare(self, sim: Simulation, seed: int) -> View | None:
        """Change the scene of the episode to come; return what changes its images, if anything.

        sim: not used for anything else, as the scene stays changed.
        """
        rng = np.random.default_rng(seed)
        signs = rng.choice((-1, 1), 3)
        turn = np.deg2rad(self.turned) * rng.choice((-1.0, 1.0), 3)
        start = self.start * signs
        change = SceneChange(
            moved=tuple(self.moved * signs),
            turned=tuple(turn),
            tint=self.tint,
            start=(start[0], start[1], abs(start[2])),
            things=draw_things(rng, self.things),
        )
        if change != SceneChange():
            if not isinstance(sim, MetaWorldSim):
                raise ConfigError(
                    f"the scene of '{sim.task}' cannot be changed; perturb images or latency"
                )
            sim.alter(change)
        if self.image is None:
            return None
        begun = Augmentation().changes((seed,), 1, 1)
        fixed = {
            name: np.broadcast_to(np.asarray(value), getattr(begun, name).shape)
            for name, value in self.image(signs.tolist()).items()
        }
        return _Seen(replace(begun, **fixed))


class _Seen:
    """Changes image after image of an episode, each with noise of its own."""

    def __init__(self, changes: Changes) -> None:
        self._changes, self._count = changes, 0

    def __call__(self, image: UInt8Array) -> UInt8Array:
        self._count += 1
        grain = self._changes.grain + self._count
        changed: UInt8Array = replace(self._changes, grain=grain).images(image[None, None])[0, 0]
        return changed


def _turned(degrees: float) -> Float64Array:
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


PERTURBATIONS = {
    NONE: Perturbation(),
    'darker': Perturbation(lambda signs: {'brightness': -0.1}),
    'brighter': Perturbation(lambda signs: {'brightness': 0.1}),
    'contrast': Perturbation(lambda signs: {'contrast': 0.25 * signs[0]}),
    'warm_light': Perturbation(lambda signs: {'color': (0.1, 0.0, -0.1)}),
    'cold_light': Perturbation(lambda signs: {'color': (-0.1, 0.0, 0.1)}),
    'noise': Perturbation(lambda signs: {'noise': 8 / 255}),
    'blur': Perturbation(lambda signs: {'blur': 1.0}),
    'jpeg': Perturbation(lambda signs: {'quality': 40}),
    'shift': Perturbation(lambda signs: {'shift': (4 * signs[0], 4 * signs[1])}),
    'rotation': Perturbation(lambda signs: {'warp': _turned(2.0 * signs[0])}),
    'camera_moved': Perturbation(moved=MOVED_M),
    'camera_turned': Perturbation(turned=TURNED_DEG),
    'table': Perturbation(tint=(0.6, 0.8, 1.0)),
    'distractors': Perturbation(things=THINGS),
    'start_pose': Perturbation(start=START_M),
    **{name: Perturbation(latency_steps=steps) for name, steps in CONTROL_PERIODS.items()},
    'paraphrases': Perturbation(other_words=True),
}


def choose_perturbations(names: Sequence[str]) -> tuple[str, ...]:
    """Return names, `all` spelled out and `none` first; raises ConfigError for others."""
    known = [name for name in PERTURBATIONS if name != NONE]
    for name in names:
        if name not in (*PERTURBATIONS, ALL):
            raise ConfigError(unknown_name('perturbation', name, (*known, ALL)))
    chosen = known if ALL in names else [name for name in known if name in names]
    return (NONE, *chosen)
