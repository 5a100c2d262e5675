"""Runs a policy on a bag through the control code of a live arm; the clock is the bag's.

Nothing is executed: the arm moves as it was recorded, and the setpoint loop follows the chunks
beside it. The same bag, policy and latency give the same predictions, byte for byte.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from functools import partial

from robomamba_ros.bags.reader import Bag
from robomamba_ros.bags.resampling import JUMP_NS
from robomamba_ros.bags.streams import describe_jump
from robomamba_ros.control.freshness import Freshness
from robomamba_ros.control.policy.observation_buffer import observation_buffer
from robomamba_ros.control.policy.policy_loop import PolicyLoop
from robomamba_ros.control.setpoints.setpoint_loop import LoopState, SetpointLoop
from robomamba_ros.errors import ActionError, DataError, ObservationError
from robomamba_ros.messages.chunk_arrays import predicted_poses
from robomamba_ros.policies.base import ChunkPolicy, PolicySpec
from robomamba_ros.replay.comparison import Comparison
from robomamba_ros.replay.filmstrip import Filmstrip
from robomamba_ros.replay.inputs import BagInputs
from robomamba_ros.replay.latency import Latency, fixed_latency
from robomamba_ros.replay.predictions import Predictions
from robomamba_ros.replay.trace import Stall, Trace
from robomamba_ros.robots.arm import ArmContract
from robomamba_ros.types import NANOSECONDS, ActionChunk, Observation, RobotState, UInt8Array

# How many jumps of the clock are said with their times.
JUMPS_SAID = 5


class _Watched:
    """A policy with a stopwatch, which keeps the observation it saw last."""

    def __init__(self, policy: ChunkPolicy, stopwatch: Callable[[], float]) -> None:
        self._policy = policy
        self._stopwatch = stopwatch
        self.observation: Observation | None = None
        self.seconds = 0.0

    @property
    def spec(self) -> PolicySpec:
        return self._policy.spec

    def reset(self) -> None:
        self._policy.reset()

    def infer(self, observation: Observation) -> ActionChunk:
        start = self._stopwatch()
        chunk = self._policy.infer(observation)
        self.seconds = self._stopwatch() - start
        self.observation = observation
        return chunk


class Replay:
    """One policy on one bag.

    instruction: instead of the bag's. execute_steps: instead of the policy's. offsets_s: what is
    added to the stamps of a stream [s]. stopwatch: wall time [s]; it measures inference and changes
    nothing else. trace, comparison, filmstrip: what came of it.
    """

    def __init__(
        self,
        bag: Bag,
        arm: ArmContract,
        policy: ChunkPolicy,
        predictions: Predictions,
        *,
        stopwatch: Callable[[], float],
        instruction: str | None = None,
        execute_steps: int | None = None,
        latency: Latency = fixed_latency(0.0),  # noqa: B008
        offsets_s: Mapping[str, float] | None = None,
    ) -> None:
        spec = policy.spec
        self.execute_steps = spec.execute_steps if execute_steps is None else execute_steps
        self._bag, self._arm = bag, arm
        self._inputs = BagInputs(bag, arm, spec, instruction, offsets_s)
        self._latency = latency
        self._predictions = predictions
        cameras = {camera.name: camera.budget_s for camera in arm.cameras}
        self._buffer = observation_buffer(spec, arm)
        self._policy = _Watched(policy, stopwatch)
        self._inference = PolicyLoop(self._policy, self._buffer, execute_steps=self.execute_steps)
        self._control = SetpointLoop(arm, kinematics=self._inputs.kinematics, supervised=False)
        needed = {camera.name for camera in spec.cameras}
        self.budgets_s = {
            **arm.budgets_s,
            **{name: budget for name, budget in cameras.items() if name in needed},
        }
        self._freshness = Freshness(self.budgets_s)
        self.comparison = Comparison(spec, self.execute_steps)
        self.filmstrip = Filmstrip(arm, self._inputs.views)
        self.trace = Trace(self.budgets_s)
        if instruction is not None:
            self._buffer.set_instruction(instruction)
            self._remark(instruction)
        self._pending: tuple[int, ActionChunk] | None = None
        self._new_chunk_ns: int | None = None
        self._tick_ns: int | None = None
        self._now_ns: int | None = None
        self._tracked = False
        self._stall: Stall | None = None

    def run(self, progress: Callable[[float], None] = lambda _: None) -> None:
        """Replay the bag; `progress` gets the share of it that is done, 0..1.

        Raises DataError where not one chunk could be predicted, with the reasons.
        """
        self._policy.reset()
        self._control.enable(True)
        for now_ns, messages in self._inputs.instants():
            if self._now_ns is None:
                self.trace.start_ns = self._tick_ns = now_ns
            elif now_ns < self._now_ns or now_ns > self._now_ns + JUMP_NS:
                self._jump(self._now_ns, now_ns)
            self._now_ns = self.trace.end_ns = now_ns
            self._advance(now_ns)
            for message in messages:
                self._inputs.deliver(message, self)
            progress(self._inputs.share)
            self._infer(now_ns)
            self._advance(now_ns + 1)
        self.comparison.finish()
        self._end_stall()
        if not self.trace.chunk_stamps:
            raise DataError(
                f'{self._bag.path}: no chunk could be predicted: {self._stall_reason()}'
            )

    def on_image(self, camera: str, stamp_ns: int, message: partial[UInt8Array]) -> None:
        """Take an image."""
        self._buffer.add_image(camera, stamp_ns, message)
        self._freshness.note(camera, stamp_ns)

    def on_state(self, state: RobotState) -> None:
        """Take the arm's state."""
        self._buffer.add_state(state)
        self.comparison.add_state(state)
        self._control.update_state(state)
        for stream in self._arm.inputs:
            self._freshness.note(stream, state.stamps.get(stream, state.stamp_ns))
        position = state.pose.position.tolist()
        self.trace.recorded.extend((state.stamp_ns, *position, state.gripper))

    def on_instruction(self, text: str) -> None:
        """Take the task in words; one that is refused leaves the arm without."""
        before = self._buffer.instruction
        try:
            self._buffer.set_instruction(text)
            self._remark(text)
        except ObservationError as error:
            self.trace.problems.add(str(error))
        if self._buffer.instruction != before:
            self._inference.renew()
            self._pending = None

    def _remark(self, text: str) -> None:
        if remark := self._policy.spec.instructions.remark(text):
            self.trace.remarks.add(remark)

    def on_problem(self, error: ObservationError) -> None:
        """Take what is wrong with a message."""
        self.trace.problems.add(str(error))

    def _jump(self, then_ns: int, now_ns: int) -> None:
        """Begin an episode: the clock went back, as where a simulation starts again, or ahead."""
        if self.trace.chunk_stamps:
            self.trace.restarts += 1
        else:  # what came before, as a message without a time, does not count
            self.trace.start_ns = now_ns
            self.trace.recorded = array('d')
        if self.trace.restarts < JUMPS_SAID:
            self._bag.warn(f'{self._bag.path}: {describe_jump(then_ns, now_ns)}')
        self._buffer.clear()
        self._inference.reset()
        self._control.reset(at_once=True)
        self._freshness.clear()
        self.comparison.finish()
        self._pending = self._new_chunk_ns = None
        self._tick_ns = now_ns
        self._tracked = False
        self._end_stall()

    def _advance(self, until_ns: int) -> None:
        """Let chunks arrive and control periods begin, in order, before `until_ns`."""
        assert self._tick_ns is not None
        while True:
            ready_ns = until_ns if self._pending is None else self._pending[0]
            if min(ready_ns, self._tick_ns) >= until_ns:
                return
            if ready_ns <= self._tick_ns:
                self._follow(ready_ns)
                self._infer(ready_ns)
            else:
                self._tick(self._tick_ns)
                self._tick_ns += self._arm.period_ns

    def _infer(self, now_ns: int) -> None:
        if self._pending is not None or not self._inference.due(now_ns):
            return
        try:
            chunk = self._inference.infer(now_ns)
        except ObservationError as error:
            self.trace.problems.add(str(error))
            return
        trace, number = self.trace, len(self.trace.chunk_stamps)
        trace.chunk_stamps.append(chunk.stamp_ns)
        trace.latency_ns.append(self._latency(number))
        trace.inference_s.append(self._policy.seconds)
        self._pending = (now_ns + trace.latency_ns[-1], chunk)
        then = self.comparison.state_at(chunk.stamp_ns)
        path = predicted_poses(chunk, then.pose)
        self.comparison.add_chunk(chunk, path)
        self._predictions.add_chunk(chunk, path, self._pending[0])
        assert self._policy.observation is not None
        self.filmstrip.add(
            self._policy.observation, then.pose, then.joints, path, self._inputs.share
        )

    def _follow(self, now_ns: int) -> None:
        assert self._pending is not None
        chunk, self._pending = self._pending[1], None
        try:
            receipt = self._control.add_chunk(chunk, now_ns)
        except ActionError as error:
            self.trace.refused.add(str(error))
            return
        self.trace.seam_jumps_m.append(receipt.seam_jump_m)
        self.trace.trimmed_steps.append(receipt.trimmed_steps)
        self._new_chunk_ns = chunk.stamp_ns

    def _tick(self, now_ns: int) -> None:
        trace = self.trace
        for stream, ages in trace.ages_s.items():
            age_s = self._freshness.age_s(stream, now_ns)
            if age_s is not None:
                ages.append(age_s)
        limited = self._control.counts.limited
        setpoint = self._control.tick(now_ns)
        status = self._control.status
        if status.state is LoopState.TRACKING:
            trace.followed += 1
            trace.limited += self._control.counts.limited - limited
            if trace.first_chunk_ns is None:
                trace.first_chunk_ns = now_ns
            self._tracked = True
            self._end_stall()
        elif self._tracked:
            self._note_stall(now_ns, status.reason)
        if setpoint is not None:
            self._predictions.add_setpoint(setpoint)
            if self._new_chunk_ns is not None:
                trace.command_age_s.append((now_ns - self._new_chunk_ns) / NANOSECONDS)
                self._new_chunk_ns = None
        if status.state is LoopState.HOLDING and not self._buffer.problems(now_ns):
            # On an arm somebody looks and enables it again; here the rest of the bag is wanted.
            self._control.enable(True)

    def _note_stall(self, now_ns: int, reason: str) -> None:
        if self._stall is None:
            self._stall = Stall(now_ns, now_ns, [])
            self.trace.stalls.append(self._stall)
        self._stall.end_ns = now_ns + self._arm.period_ns
        if reason and reason not in self._stall.reasons:
            self._stall.reasons.append(reason)

    def _end_stall(self) -> None:
        self._stall = None

    def _stall_reason(self) -> str:
        now_ns = self._now_ns or 0
        reasons = [str(problem) for problem in self.trace.problems.most_common(3)]
        return '; '.join([*reasons, *self._buffer.problems(now_ns)]) or 'nothing came'
