"""Gathers what a policy sees: the newest images of one time, the arm's states, the instruction.

Any thread may fill it. It reads no clock: the time comes in.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

import numpy as np

from robomamba_ros.control.freshness import Freshness
from robomamba_ros.control.history import StateHistory
from robomamba_ros.control.policy.camera_images import (
    KEPT,
    CameraImage,
    CameraImages,
    Depth,
    Image,
    Intrinsics,
    newest_set,
    too_far_apart,
)
from robomamba_ros.control.policy.task import Task
from robomamba_ros.errors import ConfigError, ObservationError, unknown_name
from robomamba_ros.policies.base import PolicySpec
from robomamba_ros.robots.arm import MAX_CAMERA_SKEW_S, ArmContract
from robomamba_ros.types import (
    NANOSECONDS,
    Float32Array,
    Float64Array,
    Observation,
    RobotState,
    UInt8Array,
)


class ObservationBuffer:
    """The recent images of each camera and the recent states; safe to fill from other threads.

    cameras: budget of each camera [s], by name; must name every camera of the spec. It holds for
    the depth of a camera too, as the stream '<camera>/depth'.
    states: budget of each stream that makes up the arm's state [s], by name.
    may_be_absent: the cameras that the arm may be without. Where the policy can do without one of
    them too, it sees black in its place while there is no image of the time of the others.
    max_camera_skew_s: how far apart the images of one observation may be taken [s].
    """

    def __init__(
        self,
        spec: PolicySpec,
        cameras: Mapping[str, float],
        states: Mapping[str, float],
        *,
        may_be_absent: Collection[str] = (),
        max_camera_skew_s: float = MAX_CAMERA_SKEW_S,
    ) -> None:
        self._spec = spec
        self._cameras: dict[str, CameraImages] = {}
        self._max_skew_ns = round(max_camera_skew_s * NANOSECONDS)
        budgets: dict[str, float] = {}
        kept = 1 if len(spec.cameras) == 1 else KEPT
        for camera in spec.cameras:
            if camera.name not in cameras:
                kind = f"camera of policy '{spec.name}' in the arm contract:"
                raise ConfigError(unknown_name(kind, camera.name, cameras))
            budget_s = budgets[camera.name] = cameras[camera.name]
            self._cameras[camera.name] = CameraImages(
                needs_depth=camera.depth, budget_s=budget_s, kept=kept
            )
            if camera.depth:
                budgets[f'{camera.name}/depth'] = budget_s
        self._budgets = budgets
        self._optional = {c.name: c for c in spec.cameras if c.optional and c.name in may_be_absent}
        self._deep = tuple(camera.name for camera in spec.cameras if camera.depth)
        self._streams = tuple(states)
        self._behind = f'{", ".join(self._streams)}: nothing received since the newest images'
        self._freshness = Freshness({**budgets, **states})
        self._needed = tuple(name for name in self._freshness.budgets if name not in self._optional)
        self._intrinsics: dict[str, Intrinsics] = {}
        self._states = StateHistory()
        self._task = Task(spec.instructions)
        # The newest images of one time, computed with every message; None while a camera has none.
        self._set: dict[str, CameraImage] | None = None
        # What `stamp_ns` returns, computed with every message, and what it last was besides None.
        self._stamp_ns: int | None = None
        self._completed_ns: int | None = None
        self._lock = threading.Lock()

    def add_image(self, camera: str, stamp_ns: int, image: Image) -> None:
        """Keep the newest image of a camera, as pixels or as what decodes them when needed."""
        if camera not in self._cameras:
            raise ObservationError(unknown_name('camera', camera, self._cameras))
        with self._lock:
            self._cameras[camera].add_image(stamp_ns, image)
            self._freshness.note(camera, stamp_ns)
            self._update()

    def add_depth(self, camera: str, stamp_ns: int, depth: Depth) -> None:
        """Keep a depth image (h, w) [m], registered to the camera's colour image."""
        if camera not in self._deep:
            raise ObservationError(unknown_name('camera with depth', camera, self._deep))
        with self._lock:
            self._cameras[camera].add_depth(stamp_ns, depth)
            self._freshness.note(f'{camera}/depth', stamp_ns)
            self._update()

    def set_intrinsics(self, camera: str, matrix: Float64Array, size: tuple[int, int]) -> None:
        """Set the pixel matrix (3, 3) of a camera for images of `size` (h, w); outlives `clear`."""
        with self._lock:
            self._intrinsics[camera] = Intrinsics(matrix, size)
            self._update()

    def add_state(self, state: RobotState) -> None:
        """Remember a state; one older than the last is ignored with an ObservationError."""
        with self._lock:
            self._states.add(state)
            for stream in self._streams:
                self._freshness.note(stream, state.stamps.get(stream, state.stamp_ns))
            self._update()

    @property
    def instruction(self) -> str:
        """The task in words, in the policy's own spelling where it knows the text; '' for none."""
        with self._lock:
            return self._task.text

    def set_instruction(self, text: str) -> bool:
        """Set the task, in words, and return whether it is another; it survives `clear`.

        Raises ObservationError for one that the policy does not take; there is none then.
        """
        with self._lock:
            return self._task.set(text)

    def clear(self) -> None:
        """Forget images and states, as at the start of an episode."""
        with self._lock:
            for images in self._cameras.values():
                images.clear()
            self._states.clear()
            self._freshness.clear()
            self._set = self._stamp_ns = self._completed_ns = None

    def stamp_ns(self) -> int | None:
        """Return the stamp that an observation would have now, None while it is incomplete.

        It is the stamp of the oldest image. The observation is complete once proprioception has
        reached it: the state there is then the same, whichever message came first.
        """
        with self._lock:
            return self._stamp_ns

    def problems(self, now_ns: int) -> tuple[str, ...]:
        """Return what keeps an observation from being made at `now_ns`: missing or late streams."""
        with self._lock:
            return self._problems(now_ns)

    @property
    def absent(self) -> tuple[str, ...]:
        """The optional cameras that an observation would be without now."""
        with self._lock:
            return tuple(name for name in self._optional if name not in (self._set or {}))

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """Return the age of each stream that something came from [s]."""
        with self._lock:
            ages = {name: self._freshness.age_s(name, now_ns) for name in self._freshness.budgets}
        return {name: age_s for name, age_s in ages.items() if age_s is not None}

    def state(self, time_ns: int) -> RobotState | None:
        """Return the arm's state at a time; the first or last one outside what is remembered."""
        with self._lock:
            return self._states.at(time_ns)

    def image(self, camera: str, now_ns: int) -> UInt8Array:
        """Return the newest image of a camera, RGB (h, w, 3).

        Raises ObservationError where there is none yet, or it is too old.
        """
        with self._lock:
            problem = self._freshness.problem(camera, now_ns)
            newest = self._cameras[camera].newest
        if problem or newest is None:
            raise ObservationError(problem)
        return newest.rgb()

    def observation(self, now_ns: int) -> Observation:
        """Return what the policy is to see now.

        Raises ObservationError naming every stream that is missing or late, and by how much.
        """
        with self._lock:
            stamp_ns = self._stamp_ns
            problems = self._problems(now_ns)
            if problems or stamp_ns is None:
                raise ObservationError('; '.join(problems) or self._behind)
            taken = self._set or {}
            intrinsics = dict(self._intrinsics)
            state = self._vector(stamp_ns)
            previous_state = self._vector(stamp_ns - self._spec.dt_ns)
            instruction = self._task.text
        # Decoding takes long and must not keep the callbacks waiting.
        black = {
            name: np.zeros((camera.height, camera.width, 3), np.uint8)
            for name, camera in self._optional.items()
        }
        images = {**black, **{name: each.rgb() for name, each in taken.items()}}
        depths = {name: each.metres() for name, each in taken.items()}
        observation = Observation(
            stamp_ns=stamp_ns,
            images=images,
            state=state,
            previous_state=previous_state,
            instruction=instruction,
            depth={name: depth for name, depth in depths.items() if depth is not None},
            intrinsics={name: intrinsics[name].of(name, images[name]) for name in self._deep},
        )
        self._spec.check(observation)
        return observation

    def _update(self) -> None:
        complete = {name: images.complete for name, images in self._cameras.items()}
        optional = {name: complete.pop(name) for name in self._optional}
        self._set = newest_set(complete, optional, self._max_skew_ns)
        self._stamp_ns = self._complete_ns()
        if self._stamp_ns is not None:
            self._completed_ns = self._stamp_ns

    def _complete_ns(self) -> int | None:
        newest = self._states.newest
        if newest is None or self._set is None:
            return None
        if not all(name in self._intrinsics for name in self._deep):
            return None
        stamp_ns = min((f.stamp_ns for f in self._set.values()), default=newest.stamp_ns)
        return stamp_ns if stamp_ns <= newest.stamp_ns else None

    def _problems(self, now_ns: int) -> tuple[str, ...]:
        late = (self._freshness.problem(stream, now_ns) for stream in self._needed)
        problems = tuple(problem for problem in late if problem)
        problems += tuple(
            f'{name}/camera_info: nothing received yet'
            for name in self._deep
            if name not in self._intrinsics
        )
        if not problems:
            problems = self._mismatches(now_ns)
        if not problems and self._is_behind(now_ns):
            problems = (self._behind,)
        if not self._task.text:
            problems = (*problems, self._task.missing)
        return problems

    def _is_behind(self, now_ns: int) -> bool:
        """Return whether proprioception has been behind the images for longer than any budget.

        For a moment it is behind every new image.
        """
        if self._stamp_ns is not None:
            return False
        budget_ns = max(self._freshness.budgets.values()) * NANOSECONDS
        return self._completed_ns is None or now_ns - self._completed_ns > budget_ns

    def _mismatches(self, now_ns: int) -> tuple[str, ...]:
        """Return a sentence for cameras whose fresh images do not go together, or with depth."""
        complete = {name: images.complete for name, images in self._cameras.items()}
        oldest_ns = {name: now_ns - self._budgets[name] * NANOSECONDS for name in complete}
        alone = tuple(
            f'{name}/depth: stamped more than {self._cameras[name].tolerance_ns / 1e9:.4f} s '
            'from every image; give depth that is taken with the images'
            for name in self._deep
            if not complete[name] or complete[name][0].stamp_ns < oldest_ns[name]
        )
        needed = {name: images for name, images in complete.items() if name not in self._optional}
        if alone or len(needed) < 2:
            return alone
        too_old = any(f.stamp_ns < oldest_ns[name] for name, f in (self._set or {}).items())
        if self._set is not None and not too_old:
            return ()
        return (too_far_apart(needed, self._max_skew_ns),)

    def _vector(self, time_ns: int) -> Float32Array:
        state = self._states.at(time_ns)
        if state is None:
            raise ObservationError(f'{", ".join(self._streams)}: nothing received yet')
        return state.vector(self._spec.state_names)


def observation_buffer(spec: PolicySpec, arm: ArmContract) -> ObservationBuffer:
    """Return an empty buffer for a policy on an arm; raises ConfigError for a camera it lacks."""
    return ObservationBuffer(
        spec,
        {camera.name: camera.budget_s for camera in arm.cameras},
        arm.budgets_s,
        may_be_absent=[camera.name for camera in arm.cameras if not camera.required],
        max_camera_skew_s=arm.max_camera_skew_s,
    )
