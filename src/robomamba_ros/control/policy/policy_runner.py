"""Runs a policy of any kind: asks it when that is due, and says what it does and why not."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from robomamba_ros.control.policy.inference_thread import InferenceThread, Job
from robomamba_ros.control.policy.observation_buffer import ObservationBuffer
from robomamba_ros.control.policy.policy_loop import PolicyLoop
from robomamba_ros.control.policy.questions import Questions
from robomamba_ros.control.policy.target_loop import TargetLoop
from robomamba_ros.errors import ConfigError, ObservationError, RoboMambaError
from robomamba_ros.language.instructions import check_text, shown
from robomamba_ros.policies.base import (
    AnsweringPolicy,
    ChunkPolicy,
    OutputKind,
    Policy,
    TargetPolicy,
)
from robomamba_ros.types import PolicyOutput

# Characters of an unexpected error that are shown.
LONGEST_ERROR = 300
_AGAIN = 'a new instruction, ~/reset or ~/enable tries again'
_SENT = 'its target is sent; a new instruction, ~/reset or ~/enable asks for another'


class RunnerState(str, Enum):
    """What the runner does.

    disabled: infers nothing. waiting: for an input, or to be asked again after an error.
    inferring: whenever an inference is due. idle: the target that was asked for has been given, or
    the policy gives answers only.
    """

    DISABLED = 'disabled'
    WAITING = 'waiting'
    INFERRING = 'inferring'
    IDLE = 'idle'


@dataclass(frozen=True)
class RunnerStatus:
    """The state of the runner, its reason in words, and why the last question has no answer."""

    state: RunnerState
    reason: str
    question_problem: str


@dataclass(frozen=True)
class PolicyCallbacks:
    """Called with what the policy returns, from the thread that it runs in."""

    # With every chunk or pose target.
    on_output: Callable[[PolicyOutput], None]
    # When the last output is no longer wanted, from the thread that says so.
    on_withdraw: Callable[[], None]
    # With the answer to a question.
    on_answer: Callable[[str], None]
    # With an error of the policy, or the reason why a question has no answer.
    on_error: Callable[[Exception], None]


class PolicyRunner:
    """Infers while it is enabled, and answers always.

    execute_steps: actions of a chunk to run before the next inference; 0: as the policy was
    evaluated. lockstep: infers in `notify`, because simulated time waits anyway; otherwise the
    policy has a thread of its own, so that no callback waits for it. clock: returns the time [ns].
    After an error that nobody foresaw it infers no more until it is asked again: what comes next
    from a policy in that state is anybody's guess.
    Raises ConfigError where the policy cannot run so.
    """

    def __init__(
        self,
        policy: Policy,
        buffer: ObservationBuffer,
        callbacks: PolicyCallbacks,
        clock: Callable[[], int],
        *,
        execute_steps: int = 0,
        lockstep: bool = False,
    ) -> None:
        spec = policy.spec
        if spec.output_kind is not OutputKind.CHUNKS and (lockstep or execute_steps):
            raise ConfigError(
                f"policy '{spec.name}' gives {spec.output_kind.value}, not chunks of actions: "
                'leave the parameter mode realtime and execute_steps 0'
            )
        self._policy = policy
        self._buffer = buffer
        self._callbacks = callbacks
        self._clock = clock
        self._enabled = False
        # Held while an output is handed out, so that none is once `enable(False)` has returned.
        self._output_lock = threading.Lock()
        self._problem = self._question_problem = ''
        self._sent = self._failed = False
        self._loop: PolicyLoop | TargetLoop | None = None
        if spec.output_kind is OutputKind.TARGETS:
            self._loop = TargetLoop(cast(TargetPolicy, policy), buffer)
        elif spec.output_kind is OutputKind.CHUNKS:
            steps = execute_steps or spec.execute_steps
            chunks = cast(ChunkPolicy, policy)
            self._loop = PolicyLoop(chunks, buffer, execute_steps=steps)
        self._questions: Questions | None = None
        self._thread: InferenceThread | None = None
        if lockstep:
            return
        if isinstance(policy, AnsweringPolicy):
            self._questions = Questions(policy, buffer)
        self._thread = InferenceThread(self._jobs(), clock)
        self._thread.start()

    @property
    def enabled(self) -> bool:
        """Whether it infers."""
        return self._enabled

    def stop(self) -> None:
        """Let what runs come to its end, and end the thread."""
        if self._thread is not None:
            self._thread.stop()

    def enable(self, enabled: bool) -> None:
        """Infer from now on, or stop inferring; what is being inferred then is dropped."""
        with self._output_lock:
            self._enabled = enabled
        if enabled:
            self.ask()

    def ask(self, changed: bool = False) -> None:
        """Follow the instruction: a target is asked for.

        changed: it is another one. What was given for the last one is withdrawn, and the next
        chunk comes from the next observation. In lockstep it comes when it is due.
        """
        with self._output_lock:
            if isinstance(self._loop, TargetLoop):
                self._loop.ask()
            elif self._loop is not None and changed and self._thread is not None:
                self._loop.renew()
            if changed and self._enabled:
                self._callbacks.on_withdraw()
            self._sent = self._failed = False
        self._look()
        self.notify()

    def question(self, text: str) -> None:
        """Answer a question as soon as it is its turn."""
        if self._questions is None:
            where = ' in the mode lockstep' if self._thread is None else ''
            problem = f"policy '{self._policy.spec.name}' cannot answer questions{where}"
            self._on_question_error(ObservationError(problem))
            return
        try:
            check_text('question', text)
        except ObservationError as error:
            self._on_question_error(error)
            return
        self._questions.ask(text)
        self.notify()

    def notify(self) -> None:
        """Take in that there is something new: data in the buffer, or something asked."""
        if self._thread is not None:
            self._thread.notify()
            return
        try:
            now_ns = self._clock()
            if self._due(now_ns) and self._loop is not None:
                self._on_output(self._loop.infer(now_ns))
        except BaseException as error:
            self._on_error(error)

    def reset(self) -> None:
        """Forget the episode; nothing that began in it is handed out after this."""
        self._buffer.clear()
        self._problem = self._question_problem = ''
        self._sent = self._failed = False
        if self._questions is not None:
            self._questions.withdraw()
        forget = self._policy.reset if self._loop is None else self._loop.reset
        if self._thread is None:
            forget()
        else:
            self._thread.reset(forget)

    def status(self, now_ns: int) -> RunnerStatus:
        """Return what it does at `now_ns`, and why not more."""
        state, reason = self._state(now_ns)
        return RunnerStatus(state, reason, self._question_problem)

    def _state(self, now_ns: int) -> tuple[RunnerState, str]:
        if not self._enabled:
            return RunnerState.DISABLED, ''
        if self._loop is None:
            return RunnerState.IDLE, 'the policy only answers questions'
        if self._problem:
            return RunnerState.WAITING, self._problem
        if isinstance(self._loop, TargetLoop) and self._sent and not self._loop.asked:
            return RunnerState.IDLE, _SENT
        missing = '; '.join(self._buffer.problems(now_ns))
        return (RunnerState.WAITING if missing else RunnerState.INFERRING), missing

    def _jobs(self) -> list[Job[Any]]:
        jobs: list[Job[Any]] = []
        if (questions := self._questions) is not None:
            on_error = self._on_question_error
            jobs.append(Job(questions.due, questions.answer, self._on_answer, on_error))
        if (loop := self._loop) is not None:
            jobs.append(Job(self._due, loop.infer, self._on_output, self._on_error))
        return jobs

    def _due(self, now_ns: int) -> bool:
        ready = self._enabled and not self._failed
        return ready and self._loop is not None and self._loop.due(now_ns)

    def _on_output(self, output: PolicyOutput | None) -> None:
        with self._output_lock:
            overtaken = isinstance(self._loop, PolicyLoop) and self._loop.overtaken
            if output is not None and self._enabled and not overtaken:
                self._problem = ''
                self._sent = True
                self._look()
                self._callbacks.on_output(output)

    def _look(self) -> None:
        """Let the next question be about a new image: the arm is about to change the scene."""
        if self._questions is not None:
            self._questions.look()

    def _on_answer(self, answer: str) -> None:
        self._question_problem = ''
        self._callbacks.on_answer(answer)

    def _on_error(self, error: BaseException) -> None:
        """Decide what follows from an error of the policy: the one place where that is done."""
        self._failed = not isinstance(error, RoboMambaError)
        self._problem = f'{_described(error)}; {_AGAIN}' if self._failed else str(error)
        self._callbacks.on_error(RoboMambaError(self._problem))

    def _on_question_error(self, error: BaseException) -> None:
        self._question_problem = _described(error)
        self._callbacks.on_error(RoboMambaError(self._question_problem))


def _described(error: BaseException) -> str:
    """Return an error in one line; where it came from, if nobody foresaw it, goes to stderr."""
    if isinstance(error, RoboMambaError):
        return str(error)
    traceback.print_exception(error)
    return shown(f'{type(error).__name__}: {error}', LONGEST_ERROR)
