"""The contract every policy keeps. Imports no torch, so that control code can name it anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol, runtime_checkable

import numpy as np

from robomamba_ros.errors import ConfigError, ObservationError, unknown_name
from robomamba_ros.language.instructions import CHOICES as INSTRUCTIONS
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.types import (
    EE_POSE_NAMES,
    GRIPPER_NAME,
    ActionChunk,
    ActionSpace,
    Float32Array,
    Observation,
    PolicyOutput,
    PoseTarget,
    UInt8Array,
)

DTYPES = ('auto', 'float32', 'bfloat16', 'float16')
# Gradients vanish in float16, unless losses are scaled.
TRAINING_DTYPES = ('auto', 'float32', 'bfloat16')
CACHES = ('auto', 'none', 'prefix', 'stream')
# Of an answer, where nobody says how many it may have.
ANSWER_TOKENS = 128


@dataclass(frozen=True)
class CameraSpec:
    """A camera the policy needs: images of exactly (height, width, 3), RGB uint8."""

    # As the arm contract names it.
    name: str
    # Of its images [px].
    height: int
    width: int
    # Whether the policy also needs depth (height, width) [m] and the intrinsics.
    depth: bool = False
    # Whether it was trained to run without: it is then shown a black image.
    optional: bool = False


class OutputKind(str, Enum):
    """What `infer` returns.

    chunks: actions, one chunk after the other. targets: a PoseTarget, one for an instruction.
    answers: nothing; the policy answers questions only.
    """

    CHUNKS = 'chunks'
    TARGETS = 'targets'
    ANSWERS = 'answers'


@dataclass(frozen=True)
class PolicySpec:
    """What a policy needs and gives."""

    # For messages and reports.
    name: str
    # Whose images it reads.
    cameras: tuple[CameraSpec, ...]
    # Channels of Observation.state, see RobotState.value.
    state_names: tuple[str, ...]
    # What the channels of an action mean.
    action_space: ActionSpace
    # Channels of a chunk, in their order.
    action_names: tuple[str, ...]
    # Actions per chunk, H.
    horizon: int
    # Time that one action lasts [ns].
    dt_ns: int
    # Actions to run before the next inference, as the policy was evaluated.
    execute_steps: int
    # What `infer` returns.
    output_kind: OutputKind = OutputKind.CHUNKS
    # Those it was trained on, and whether it takes others.
    instructions: Instructions = field(default_factory=Instructions)

    def check(self, observation: Observation) -> None:
        """Raise ObservationError where the observation is not what this policy needs."""
        self.instructions.check(observation.instruction)
        for camera in self.cameras:
            self._check_camera(camera, observation)
        for label, state in (
            ('state', observation.state),
            ('previous_state', observation.previous_state),
        ):
            if state.shape != (len(self.state_names),):
                raise ObservationError(
                    f'{label} has shape {state.shape}, policy needs the {len(self.state_names)} '
                    f'channels {", ".join(self.state_names)}'
                )
            if not np.isfinite(state).all():
                bad = self.state_names[int(np.argmin(np.isfinite(state)))]
                raise ObservationError(f"{label} channel '{bad}' is not finite: {state.tolist()}")

    def allowing(self, choice: str) -> PolicySpec:
        """Return the spec with one of the rules of LoadOptions.instructions; raises ConfigError."""
        try:
            return replace(self, instructions=self.instructions.allowing(choice))
        except ConfigError as error:
            raise ConfigError(f"policy '{self.name}': {error}") from None

    def _check_camera(self, camera: CameraSpec, observation: Observation) -> None:
        image = observation.images.get(camera.name)
        if image is None:
            present = ', '.join(observation.images) or 'none'
            raise ObservationError(
                f"policy '{self.name}' needs the camera '{camera.name}'; present: {present}. "
                'Remap its topic or name it in the arm contract.'
            )
        size = (camera.height, camera.width)
        if image.shape != (*size, 3) or image.dtype != np.uint8:
            raise ObservationError(
                f"camera '{camera.name}' gives {image.shape} {image.dtype}, policy "
                f"'{self.name}' needs {(*size, 3)} uint8 RGB; give the camera that resolution, "
                'or say by `fit` in the arm contract how the images it was trained on were made: '
                'crop, squash or pad'
            )
        if not camera.depth:
            return
        depth = observation.depth.get(camera.name)
        intrinsics = observation.intrinsics.get(camera.name)
        if depth is None or intrinsics is None or depth.shape != size:
            found = 'none' if depth is None else str(depth.shape)
            raise ObservationError(
                f"policy '{self.name}' needs depth {size} in metres and the intrinsics of the "
                f"camera '{camera.name}'; depth: {found}, intrinsics: "
                f'{"none" if intrinsics is None else "present"}'
            )


class Policy(Protocol):
    """A policy. `infer` is a function of what it saw since `reset`: same inputs, same result."""

    @property
    def spec(self) -> PolicySpec:
        """What it needs and gives."""

    def reset(self) -> None:
        """Forget the episode (recurrent state, caches of the instruction)."""

    def infer(self, observation: Observation) -> PolicyOutput:
        """Return what to do at one observation; raises ObservationError on a bad one."""


class ChunkPolicy(Policy, Protocol):
    """A policy that can run a robot step by step."""

    def infer(self, observation: Observation) -> ActionChunk:
        """Return the chunk for one observation; raises ObservationError on a bad one."""


class TargetPolicy(Policy, Protocol):
    """A policy that says where to act."""

    def infer(self, observation: Observation) -> PoseTarget:
        """Return where to act; raises ObservationError on a bad observation."""


@runtime_checkable
class AnsweringPolicy(Policy, Protocol):
    """A policy that can reason in words."""

    def answer(
        self, image: UInt8Array | None, question: str, *, max_tokens: int = ANSWER_TOKENS
    ) -> str:
        """Return the answer about an image (h, w, 3) RGB, None where the policy has no camera."""


@dataclass(frozen=True)
class LoadOptions:
    """How a policy runs, whatever it is. Raises ConfigError naming the valid choices."""

    # cpu, cuda or cuda:N.
    device: str = 'cpu'
    # Type of the large weights; scan, convolution and recurrent state always compute in float32.
    # auto: the type that the weights are stored in, but float32 where that is bfloat16 and the
    # device has no fast products of it. float16, by name alone: for GPUs before Ampere (T4,
    # Xavier). Its numbers end at 65504; a network whose own are larger does not compute in it.
    dtype: str = 'auto'
    # none computes every token at every inference. prefix keeps the state after the tokens that do
    # not change, with the same result. stream carries the state from one inference to the next
    # until `reset`, for policies trained so. auto: prefix where the policy has one, else none.
    cache: str = 'auto'
    # CPU threads of PyTorch, in the whole process. 1 suits small policies: OpenMP threads that wait
    # for a busy core make an inference many times longer.
    threads: int = 1
    # trained_only refuses instructions that the policy was not trained on, any follows them. auto:
    # any, but trained_only where the policy's words were learned from these texts alone; where it
    # was trained with paraphrases it refuses texts of words that it has not seen.
    instructions: str = 'auto'

    def __post_init__(self) -> None:
        for kind, value, valid in (
            ('dtype', self.dtype, DTYPES),
            ('cache', self.cache, CACHES),
            ('value of instructions', self.instructions, INSTRUCTIONS),
        ):
            if value not in valid:
                raise ConfigError(unknown_name(kind, value, valid))
        if self.threads < 1:
            raise ConfigError(f'threads is {self.threads}; give at least 1')


def fake_observation(spec: PolicySpec, seed: int = 0) -> Observation:
    """Return a made-up observation that fits `spec`: noise for images, an arm near its origin."""
    rng = np.random.default_rng(seed)
    state = _fake_state(spec.state_names, rng)
    with_depth = [camera for camera in spec.cameras if camera.depth]
    return Observation(
        stamp_ns=0,
        images={
            c.name: rng.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8)
            for c in spec.cameras
        },
        state=state,
        previous_state=state,
        instruction=next(iter(spec.instructions.trained), 'open it'),
        depth={c.name: rng.uniform(0.5, 1.5, (c.height, c.width)).astype('f4') for c in with_depth},
        intrinsics={c.name: _pinhole(c) for c in with_depth},
    )


def _fake_state(names: tuple[str, ...], rng: np.random.Generator) -> Float32Array:
    values = dict(zip(names, rng.uniform(-0.1, 0.1, len(names)), strict=True))
    # Numbers at random are no rotation, and an opening lies within 0..1.
    values |= {name: float(name == EE_POSE_NAMES[6]) for name in EE_POSE_NAMES[3:]}
    values[GRIPPER_NAME] = 0.5
    return np.array([values[name] for name in names], dtype=np.float32)


def _pinhole(camera: CameraSpec) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    focal, x, y = float(camera.width), camera.width / 2, camera.height / 2
    return np.array([[focal, 0, x], [0, focal, y], [0, 0, 1]], dtype=np.float64)
