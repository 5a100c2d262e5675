"""Runs a policy beside the control loop: gathers observations, decides when to infer, infers.

Knows nothing about ROS, torch or how chunks are executed. Only `InferenceThread` is asynchronous,
and even it gets the time from outside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeAlias

from robomamba_ros.control.freshness import Freshness
from robomamba_ros.control.history import StateHistory
from robomamba_ros.errors import ConfigError, ObservationError, unknown_name
from robomamba_ros.policies.base import ChunkPolicy, PolicySpec
from robomamba_ros.types import ActionChunk, Float32Array, Observation, RobotState, UInt8Array

Image: TypeAlias = UInt8Array | Callable[[], UInt8Array]

_STREAMS = ('ee_pose', 'joint_states')


class ObservationBuffer:
    """The newest image of each camera and the recent states; safe to fill from other threads.

    cameras: budget of each camera [s], by name; must name every camera of the spec.
    state_budget_s: age at which proprioception is late [s].
    """

    def __init__(
        self, spec: PolicySpec, cameras: Mapping[str, float], state_budget_s: float
    ) -> None:
        self._spec = spec
        self._names = tuple(camera.name for camera in spec.cameras)
        for name in self._names:
            if name not in cameras:
                kind = f"camera of policy '{spec.name}' in the arm contract:"
                raise ConfigError(unknown_name(kind, name, cameras))
        budgets = {name: cameras[name] for name in self._names}
        self._freshness = Freshness({**budgets, **dict.fromkeys(_STREAMS, state_budget_s)})
        self._images: dict[str, tuple[int, Image]] = {}
        self._states = StateHistory()
        self._instruction = ''
        self._lock = threading.Lock()

    def add_image(self, camera: str, stamp_ns: int, image: Image) -> None:
        """Keep the newest image of a camera, as pixels or as what decodes them when needed."""
        if camera not in self._names:
            raise ObservationError(unknown_name('camera', camera, self._names))
        with self._lock:
            kept = self._images.get(camera)
            if kept is None or stamp_ns > kept[0]:
                self._images[camera] = (stamp_ns, image)
                self._freshness.note(camera, stamp_ns)

    def add_state(self, state: RobotState, *, joints_stamp_ns: int | None = None) -> None:
        """Remember a state, with the stamp of its joints where it differs.

        Raises ObservationError on a state older than the last one, which is ignored.
        """
        joints_ns = state.stamp_ns if joints_stamp_ns is None else joints_stamp_ns
        with self._lock:
            self._states.add(state)
            self._freshness.note('ee_pose', state.stamp_ns)
            self._freshness.note('joint_states', joints_ns)

    def set_instruction(self, text: str) -> None:
        """Set the task, in words; it survives `clear`."""
        with self._lock:
            self._instruction = text

    def clear(self) -> None:
        """Forget images and states, as at the start of an episode."""
        with self._lock:
            self._images.clear()
            self._states.clear()
            self._freshness.clear()

    def stamp_ns(self) -> int | None:
        """Return the stamp that an observation would have now, None while it is incomplete.

        It is the stamp of the oldest image. The observation is complete once proprioception has
        reached it: the state there is then the same, whichever message came first.
        """
        with self._lock:
            return self._stamp_ns()

    def problems(self, now_ns: int) -> tuple[str, ...]:
        """Return what keeps an observation from being made at `now_ns`: missing or late streams."""
        with self._lock:
            return self._problems(now_ns)

    def observation(self, now_ns: int) -> Observation:
        """Return what the policy is to see now.

        Raises ObservationError naming every stream that is missing or late, and by how much.
        """
        with self._lock:
            stamp_ns = self._stamp_ns()
            problems = self._problems(now_ns)
            if problems or stamp_ns is None:
                raise ObservationError('; '.join(problems))
            images = {name: self._images[name][1] for name in self._names}
            state = self._vector(stamp_ns)
            previous_state = self._vector(stamp_ns - self._spec.dt_ns)
            instruction = self._instruction
        # Decoding takes long and must not keep the callbacks waiting.
        observation = Observation(
            stamp_ns=stamp_ns,
            images={name: image() if callable(image) else image for name, image in images.items()},
            state=state,
            previous_state=previous_state,
            instruction=instruction,
        )
        self._spec.check(observation)
        return observation

    def _stamp_ns(self) -> int | None:
        newest = self._states.newest
        if newest is None or len(self._images) < len(self._names):
            return None
        stamp_ns = min((stamp for stamp, _ in self._images.values()), default=newest.stamp_ns)
        return stamp_ns if stamp_ns <= newest.stamp_ns else None

    def _problems(self, now_ns: int) -> tuple[str, ...]:
        problems = self._freshness.problems(now_ns)
        if not problems and self._stamp_ns() is None:
            problems = (f'{", ".join(_STREAMS)}: nothing received since the newest images',)
        if not self._instruction:
            problems = (*problems, 'instruction: nothing received yet')
        return problems

    def _vector(self, time_ns: int) -> Float32Array:
        state = self._states.at(time_ns)
        if state is None:
            raise ObservationError(f'{", ".join(_STREAMS)}: nothing received yet')
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
        if stamp_ns is None or self._buffer.problems(now_ns):
            return False
        return self._last_ns is None or stamp_ns >= self._last_ns + self._interval_ns

    def infer(self, now_ns: int) -> ActionChunk:
        """Return the chunk for the observation of now; raises ObservationError without one."""
        observation = self._buffer.observation(now_ns)
        chunk = self._policy.infer(observation)
        self._last_ns = observation.stamp_ns
        return chunk

    def reset(self) -> None:
        """Forget the episode: the policy's state, the buffered inputs, the last chunk."""
        self._policy.reset()
        self._buffer.clear()
        self._last_ns = None


class InferenceThread:
    """Runs a PolicyLoop in a thread of its own, so that no callback waits for the policy.

    clock: returns the time [ns]. on_chunk, on_error: called from the thread. Call `notify` when
    new data is in the buffer. After an error it waits for new data, it does not try again at once.
    """

    def __init__(
        self,
        loop: PolicyLoop,
        clock: Callable[[], int],
        on_chunk: Callable[[ActionChunk], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._on_chunk = on_chunk
        self._on_error = on_error
        self._wake = threading.Condition()
        self._new_data = False
        self._stopping = False
        self._inferring = threading.RLock()
        self._thread = threading.Thread(target=self._run, name='inference', daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def notify(self) -> None:
        """Say that there is new data."""
        with self._wake:
            self._new_data = True
            self._wake.notify()

    def reset(self) -> None:
        """Reset the loop between two inferences; no chunk from before comes after it."""
        with self._inferring:
            self._loop.reset()

    def stop(self) -> None:
        """Let the inference that runs finish, and end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._new_data or self._stopping)
                if self._stopping:
                    return
                self._new_data = False
            with self._inferring:
                try:
                    now_ns = self._clock()
                    if self._loop.due(now_ns):
                        self._on_chunk(self._loop.infer(now_ns))
                except Exception as error:
                    # Any error: a thread that ended unseen would leave the arm without a policy.
                    self._on_error(error)
