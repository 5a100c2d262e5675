"""Runs a policy beside the control loop: gathers observations, decides when to infer, infers.

Knows nothing about ROS, torch, threads or how chunks are executed. The time comes from outside.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from robomamba_ros.control.frames import CameraFrames, Depth, Frame, Image
from robomamba_ros.control.freshness import Freshness
from robomamba_ros.control.history import StateHistory
from robomamba_ros.errors import ConfigError, ObservationError, unknown_name
from robomamba_ros.policies.base import ChunkPolicy, PolicySpec
from robomamba_ros.types import (
    NANOSECONDS,
    ActionChunk,
    Float32Array,
    Float64Array,
    Observation,
    RobotState,
    UInt8Array,
)


class ObservationBuffer:
    """The newest images of each camera and the recent states; safe to fill from other threads.

    cameras: budget of each camera [s], by name; must name every camera of the spec. It holds for
    the depth of a camera too, as the stream '<camera>/depth'.
    states: budget of each stream that makes up the arm's state [s], by name.
    """

    def __init__(
        self, spec: PolicySpec, cameras: Mapping[str, float], states: Mapping[str, float]
    ) -> None:
        self._spec = spec
        self._frames: dict[str, CameraFrames] = {}
        budgets: dict[str, float] = {}
        for camera in spec.cameras:
            if camera.name not in cameras:
                kind = f"camera of policy '{spec.name}' in the arm contract:"
                raise ConfigError(unknown_name(kind, camera.name, cameras))
            budget_s = budgets[camera.name] = cameras[camera.name]
            self._frames[camera.name] = CameraFrames(needs_depth=camera.depth, budget_s=budget_s)
            if camera.depth:
                budgets[_depth_of(camera.name)] = budget_s
        self._budgets = budgets
        self._deep = tuple(camera.name for camera in spec.cameras if camera.depth)
        self._streams = tuple(states)
        self._freshness = Freshness({**budgets, **states})
        self._intrinsics: dict[str, tuple[Float64Array, tuple[int, int]]] = {}
        self._states = StateHistory()
        self._instruction = ''
        # What `stamp_ns` returns, computed with every message, and what it last was besides None.
        self._stamp_ns: int | None = None
        self._completed_ns: int | None = None
        self._lock = threading.Lock()

    def add_image(self, camera: str, stamp_ns: int, image: Image) -> None:
        """Keep the newest image of a camera, as pixels or as what decodes them when needed."""
        if camera not in self._frames:
            raise ObservationError(unknown_name('camera', camera, self._frames))
        with self._lock:
            self._frames[camera].add_image(stamp_ns, image)
            self._freshness.note(camera, stamp_ns)
            self._update()

    def add_depth(self, camera: str, stamp_ns: int, depth: Depth) -> None:
        """Keep a depth image (h, w) [m], registered to the camera's colour image."""
        if camera not in self._deep:
            raise ObservationError(unknown_name('camera with depth', camera, self._deep))
        with self._lock:
            self._frames[camera].add_depth(stamp_ns, depth)
            self._freshness.note(_depth_of(camera), stamp_ns)
            self._update()

    def set_intrinsics(self, camera: str, matrix: Float64Array, size: tuple[int, int]) -> None:
        """Set the pixel matrix (3, 3) of a camera for images of `size` (h, w); outlives `clear`."""
        with self._lock:
            self._intrinsics[camera] = (matrix, size)
            self._update()

    def add_state(self, state: RobotState) -> None:
        """Remember a state; one older than the last is ignored with an ObservationError."""
        with self._lock:
            self._states.add(state)
            for stream in self._streams:
                self._freshness.note(stream, state.stamps.get(stream, state.stamp_ns))
            self._update()

    def set_instruction(self, text: str) -> None:
        """Set the task, in words; it survives `clear`."""
        with self._lock:
            self._instruction = text

    def clear(self) -> None:
        """Forget images and states, as at the start of an episode."""
        with self._lock:
            for frames in self._frames.values():
                frames.clear()
            self._states.clear()
            self._freshness.clear()
            self._stamp_ns = self._completed_ns = None

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
            frame = self._frames[camera].newest
        if problem or frame is None:
            raise ObservationError(problem)
        return frame.rgb()

    def observation(self, now_ns: int) -> Observation:
        """Return what the policy is to see now.

        Raises ObservationError naming every stream that is missing or late, and by how much.
        """
        with self._lock:
            stamp_ns = self._stamp_ns
            problems = self._problems(now_ns)
            if problems or stamp_ns is None:
                raise ObservationError('; '.join(problems) or self._behind)
            frames = self._complete()
            intrinsics = dict(self._intrinsics)
            state = self._vector(stamp_ns)
            previous_state = self._vector(stamp_ns - self._spec.dt_ns)
            instruction = self._instruction
        # Decoding takes long and must not keep the callbacks waiting.
        images = {name: frame.rgb() for name, frame in frames.items()}
        depths = {name: frame.metres() for name, frame in frames.items()}
        observation = Observation(
            stamp_ns=stamp_ns,
            images=images,
            state=state,
            previous_state=previous_state,
            instruction=instruction,
            depth={name: depth for name, depth in depths.items() if depth is not None},
            intrinsics={
                name: _matrix(name, *intrinsics[name], images[name]) for name in self._deep
            },
        )
        self._spec.check(observation)
        return observation

    def _complete(self) -> dict[str, Frame]:
        """Return the newest complete frame of each camera that has one."""
        frames = {name: frames.complete for name, frames in self._frames.items()}
        return {name: frame for name, frame in frames.items() if frame is not None}

    def _update(self) -> None:
        self._stamp_ns = self._complete_ns()
        if self._stamp_ns is not None:
            self._completed_ns = self._stamp_ns

    def _complete_ns(self) -> int | None:
        newest = self._states.newest
        frames = self._complete()
        if newest is None or len(frames) < len(self._frames):
            return None
        if not all(name in self._intrinsics for name in self._deep):
            return None
        stamp_ns = min((f.stamp_ns for f in frames.values()), default=newest.stamp_ns)
        return stamp_ns if stamp_ns <= newest.stamp_ns else None

    def _problems(self, now_ns: int) -> tuple[str, ...]:
        problems = self._freshness.problems(now_ns)
        problems += tuple(
            f'{name}/camera_info: nothing received yet'
            for name in self._deep
            if name not in self._intrinsics
        )
        if not problems:
            problems = self._mismatches(now_ns)
        if not problems and self._is_behind(now_ns):
            problems = (self._behind,)
        if not self._instruction:
            problems = (*problems, 'instruction: nothing received yet')
        return problems

    @property
    def _behind(self) -> str:
        return f'{", ".join(self._streams)}: nothing received since the newest images'

    def _is_behind(self, now_ns: int) -> bool:
        """Return whether proprioception has been behind the images for longer than any budget.

        For a moment it is behind every new image.
        """
        if self._stamp_ns is not None:
            return False
        budget_ns = max(self._freshness.budgets.values()) * NANOSECONDS
        return self._completed_ns is None or now_ns - self._completed_ns > budget_ns

    def _mismatches(self, now_ns: int) -> tuple[str, ...]:
        """Return a sentence for each camera whose fresh images and depth do not go together."""
        frames = self._complete()
        oldest_ns = {name: now_ns - self._budgets[name] * NANOSECONDS for name in self._deep}
        return tuple(
            f'{_depth_of(name)}: stamped more than {self._frames[name].tolerance_ns / 1e9:.4f} s '
            'from every image; give depth that is taken with the images'
            for name in self._deep
            if name not in frames or frames[name].stamp_ns < oldest_ns[name]
        )

    def _vector(self, time_ns: int) -> Float32Array:
        state = self._states.at(time_ns)
        if state is None:
            raise ObservationError(f'{", ".join(self._streams)}: nothing received yet')
        return state.vector(self._spec.state_names)


class PolicyLoop:
    """Infers a chunk whenever the last one has been executed for `execute_steps` steps.

    Not to be called from more than one thread at a time.
    """

    def __init__(
        self, policy: ChunkPolicy, buffer: ObservationBuffer, *, execute_steps: int
    ) -> None:
        horizon = policy.spec.horizon
        if not 1 <= execute_steps <= horizon:
            raise ConfigError(
                f"execute_steps is {execute_steps}, policy '{policy.spec.name}' allows 1..{horizon}"
            )
        self._policy = policy
        self._buffer = buffer
        self._interval_ns = execute_steps * policy.spec.dt_ns
        self._last_ns: int | None = None

    def due(self, now_ns: int) -> bool:
        """Return whether `infer` has a complete observation, new enough for another chunk."""
        stamp_ns = self._buffer.stamp_ns()
        if stamp_ns is None:
            return False
        if self._last_ns is not None and stamp_ns < self._last_ns + self._interval_ns:
            return False
        return not self._buffer.problems(now_ns)

    def infer(self, now_ns: int) -> ActionChunk:
        """Return the chunk for the observation of now; raises ObservationError without one."""
        observation = self._buffer.observation(now_ns)
        chunk = self._policy.infer(observation)
        self._last_ns = observation.stamp_ns
        return chunk

    def reset(self) -> None:
        """Forget the episode: the policy's state and the last chunk."""
        self._policy.reset()
        self._last_ns = None


def _depth_of(camera: str) -> str:
    return f'{camera}/depth'


def _matrix(
    camera: str, matrix: Float64Array, size: tuple[int, int], image: UInt8Array
) -> Float64Array:
    if size != image.shape[:2]:
        raise ObservationError(
            f'{camera}/camera_info is for images of {size[1]} x {size[0]}, the images have '
            f'{image.shape[1]} x {image.shape[0]}; give the camera_info of these images'
        )
    return matrix
