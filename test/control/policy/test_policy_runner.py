"""Policies of every kind run when they are to, and say why where they do not."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import numpy as np
import pytest
from support.patience import PATIENCE_S

from robomamba_ros.control.policy.observation_buffer import ObservationBuffer
from robomamba_ros.control.policy.policy_runner import PolicyCallbacks, PolicyRunner, RunnerState
from robomamba_ros.control.policy.questions import FOLLOW_UP_S, Questions
from robomamba_ros.control.policy.target_loop import TargetLoop
from robomamba_ros.errors import ConfigError, ObservationError
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.policies.base import CameraSpec, OutputKind, PolicySpec
from robomamba_ros.types import ActionChunk, ActionSpace, Pose, PoseTarget, RobotState

SECOND = 1_000_000_000
SPEC = PolicySpec(
    name='toy',
    cameras=(CameraSpec('front', 2, 2),),
    state_names=(),
    action_space=ActionSpace.EE_POSE,
    action_names=('gripper',),
    horizon=4,
    dt_ns=SECOND // 100,
    execute_steps=2,
)
POSE = Pose(np.zeros(3), np.array([0, 0, 0, 1.0]))
IMAGE = np.full((2, 2, 3), 7, np.uint8)


class Policy:
    """Gives what its spec says, or the error that the test sets."""

    def __init__(self, output_kind=OutputKind.TARGETS):
        self.spec = replace(SPEC, output_kind=output_kind)
        self.inferred, self.resets, self.error = [], 0, None
        self.during = lambda: None

    def reset(self):
        self.resets += 1

    def infer(self, observation):
        self.inferred.append(observation.instruction)
        self.during()
        if self.error:
            raise self.error
        if self.spec.output_kind is OutputKind.CHUNKS:
            actions = np.zeros((4, 1))
            return ActionChunk(
                observation.stamp_ns, SPEC.dt_ns, actions, SPEC.action_space, SPEC.action_names
            )
        return PoseTarget(observation.stamp_ns, 'front', POSE, POSE, POSE)


class Reasoner(Policy):
    """Answers with the question and the first value of the image."""

    def answer(self, image, question):
        self.during()
        return f'{question} {None if image is None else image[0, 0, 0]}'


def full_buffer(stamp_ns=SECOND, spec=SPEC):
    buffer = ObservationBuffer(spec, {'front': 0.5}, {'joint_states': 0.5})
    buffer.set_instruction('open it')
    observe(buffer, stamp_ns)
    return buffer


def observe(buffer, stamp_ns):
    buffer.add_image('front', stamp_ns, IMAGE)
    buffer.add_state(RobotState(stamp_ns, POSE, 1.0))


# Targets


def test_a_target_is_inferred_once_for_each_time_it_is_asked():
    policy, buffer = Policy(), full_buffer()
    loop = TargetLoop(policy, buffer)
    assert loop.due(SECOND)
    assert loop.infer(SECOND).stamp_ns == SECOND
    for step in range(1, 4):
        observe(buffer, SECOND + step)
        assert not loop.due(SECOND + step)
    loop.ask()
    assert loop.due(SECOND + 3)
    assert loop.infer(SECOND + 3).stamp_ns == SECOND + 3
    loop.reset()
    assert policy.resets == 1
    assert loop.due(SECOND + 3)


def test_a_target_waits_for_a_complete_observation():
    loop = TargetLoop(Policy(), buffer := full_buffer())
    assert not loop.due(2 * SECOND)
    observe(buffer, 2 * SECOND)
    assert loop.due(2 * SECOND)


def test_a_target_that_was_asked_for_anew_is_dropped():
    policy = Policy()
    loop = TargetLoop(policy, full_buffer())
    policy.during = loop.ask
    assert loop.infer(SECOND) is None
    policy.during = lambda: None
    assert loop.due(SECOND)
    assert loop.infer(SECOND).frame == 'front'


def test_an_inference_that_failed_waits_to_be_asked_again():
    policy = Policy()
    policy.error = ObservationError('no depth there')
    loop = TargetLoop(policy, full_buffer())
    with pytest.raises(ObservationError, match='no depth there'):
        loop.infer(SECOND)
    assert not loop.due(SECOND)


# Questions


def test_the_newest_question_is_answered_and_each_but_once():
    questions = Questions(Reasoner(), full_buffer())
    assert not questions.due(SECOND)
    questions.ask('open?')
    questions.ask('closed?')
    assert questions.due(SECOND)
    assert questions.answer(SECOND) == 'closed? 7'
    assert not questions.due(SECOND)


def test_a_question_that_comes_during_an_answer_waits_and_the_newest_of_them_wins():
    policy = Reasoner()
    questions = Questions(policy, full_buffer())
    questions.ask('first?')

    def ask_two_more():
        questions.ask('second?')
        questions.ask('third?')

    policy.during = ask_two_more
    assert questions.answer(SECOND) == 'first? 7'
    policy.during = lambda: None
    assert questions.answer(SECOND) == 'third? 7'
    assert not questions.due(SECOND)


def test_a_question_about_an_old_image_is_refused_and_dropped():
    questions = Questions(Reasoner(), full_buffer())
    questions.ask('open?')
    with pytest.raises(ObservationError, match=r'front is late: 1\.000 s old'):
        questions.answer(2 * SECOND)
    assert not questions.due(2 * SECOND)


def show(buffer, stamp_ns, value):
    buffer.add_image('front', stamp_ns, np.full((2, 2, 3), value, np.uint8))


def test_questions_are_about_one_image_until_somebody_looks_again():
    buffer = full_buffer()
    questions = Questions(Reasoner(), buffer)

    def ask(text, now_ns=SECOND + 2):
        questions.ask(text)
        return questions.answer(now_ns)

    assert ask('open?') == 'open? 7'
    show(buffer, SECOND + 1, 8)
    assert ask('and now?') == 'and now? 7'
    assert ask('Look again: and now?') == 'and now? 8'
    show(buffer, SECOND + 2, 9)
    assert ask('what is there?') == 'what is there? 8'
    assert ask('look again.') == 'what is there? 9'
    show(buffer, SECOND + 3, 10)
    questions.look()
    assert ask('done?') == 'done? 10'
    # No word of it is taken from a text that merely begins alike.
    assert ask('look against the wall') == 'look against the wall 10'
    questions.withdraw()
    with pytest.raises(ObservationError, match='none was asked before'):
        ask('look again')


def test_an_image_is_asked_about_for_a_while_and_only_while_the_camera_gives_more():
    buffer = full_buffer()
    questions = Questions(Reasoner(), buffer)
    for now_ns, value, seen in (
        (SECOND, 7, 7),
        (SECOND + int(FOLLOW_UP_S * SECOND), 8, 7),
        (SECOND + int(FOLLOW_UP_S * SECOND) + 1, 8, 8),
        # Time that was set back: nobody knows how old the image is.
        (2 * SECOND, 9, 9),
    ):
        buffer.clear()
        show(buffer, now_ns, value)
        questions.ask('open?')
        assert questions.answer(now_ns) == f'open? {seen}'
    questions.ask('still?')
    with pytest.raises(ObservationError, match='front is late'):
        questions.answer(3 * SECOND)


def test_an_instruction_and_a_reset_change_what_is_asked_about():
    with Running(Reasoner()) as running:
        running.now_ns = SECOND + 4
        for value, change, seen in (
            (1, lambda: None, 1),
            (2, lambda: None, 1),
            (3, lambda: running.runner.ask(changed=True), 3),
            (4, running.runner.reset, 4),
        ):
            change()
            show(running.buffer, SECOND + value, value)
            running.runner.question('open?')
            running.wait()
            assert running.answers[-1] == f'open? {seen}'


def test_a_policy_without_a_camera_is_asked_without_an_image():
    policy = Reasoner(OutputKind.ANSWERS)
    policy.spec = replace(policy.spec, cameras=())
    buffer = ObservationBuffer(policy.spec, {}, {'joint_states': 0.5})
    questions = Questions(policy, buffer)
    questions.ask('who?')
    assert questions.answer(SECOND) == 'who? None'
    questions.ask('who?')
    questions.withdraw()
    assert questions.answer(SECOND) is None


# The runner


class Running:
    """A runner with what came out of it; `wait` for the next thing of any kind."""

    def __init__(self, policy, buffer=None, **options):
        self.buffer = buffer or full_buffer()
        self.now_ns = SECOND
        self.given, self.answers, self.errors, self.withdrawn = [], [], [], 0
        self._out = threading.Semaphore(0)
        given, answer, error = (self._into(x) for x in (self.given, self.answers, self.errors))
        callbacks = PolicyCallbacks(given, self._withdraw, answer, error)
        self.runner = PolicyRunner(policy, self.buffer, callbacks, lambda: self.now_ns, **options)

    def _into(self, where):
        return lambda what: (where.append(what), self._out.release())

    def _withdraw(self):
        self.withdrawn += 1

    def instruct(self, text):
        self.runner.ask(self.buffer.set_instruction(text))

    def wait(self):
        assert self._out.acquire(timeout=PATIENCE_S)

    def status(self):
        status = self.runner.status(self.now_ns)
        return status.state, status.reason

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.runner.stop()


def test_a_disabled_runner_infers_nothing_and_says_so():
    policy = Policy(OutputKind.CHUNKS)
    with Running(policy, lockstep=True) as running:
        running.runner.notify()
        assert running.status() == (RunnerState.DISABLED, '')
        assert policy.inferred == []
        running.runner.enable(True)
        assert len(running.given) == 1
        running.runner.notify()
        observe(running.buffer, SECOND + 2 * SPEC.dt_ns)
        running.runner.notify()
        assert [chunk.stamp_ns for chunk in running.given] == [SECOND, SECOND + 2 * SPEC.dt_ns]
        assert running.status() == (RunnerState.INFERRING, '')
        running.now_ns = 2 * SECOND
        state, reason = running.status()
        assert state is RunnerState.WAITING
        assert reason.startswith('front is late: 0.980 s old')


def test_a_new_instruction_withdraws_the_chunk_of_the_last_and_gives_one_at_once():
    policy = Policy(OutputKind.CHUNKS)
    with Running(policy) as running:
        running.runner.enable(True)
        running.wait()
        # Nothing is due for two steps; the same words again change nothing.
        running.instruct(running.buffer.instruction)
        assert running.withdrawn == 0
        running.instruct('close it')
        assert running.withdrawn == 1
        running.wait()
        assert policy.inferred[-1] == 'close it'
        assert policy.resets == 1
        assert [chunk.stamp_ns for chunk in running.given] == [SECOND, SECOND]


def test_a_chunk_that_is_being_inferred_for_the_last_instruction_is_not_given():
    policy = Policy(OutputKind.CHUNKS)
    with Running(policy) as running:
        policy.during = lambda: policy.inferred.count('close it') or running.instruct('close it')
        running.runner.enable(True)
        running.wait()
        assert len(policy.inferred) == 2
        assert policy.inferred[-1] == 'close it'
        assert len(running.given) == 1
        assert running.withdrawn == 1


def test_enabling_and_new_instructions_ask_for_a_target_and_then_it_is_idle():
    policy = Policy()
    with Running(policy) as running:
        for number, again in enumerate((lambda: running.runner.enable(True), running.runner.ask)):
            again()
            running.wait()
            assert len(running.given) == number + 1
            state, reason = running.status()
            assert state is RunnerState.IDLE
            assert 'its target is sent' in reason
        running.runner.reset()
        observe(running.buffer, SECOND)
        running.runner.notify()
        running.wait()
        assert len(running.given) == 3
        assert policy.resets == 1


def test_an_error_is_the_reason_until_a_target_comes():
    policy = Policy()
    policy.error = ObservationError('no depth there')
    with Running(policy) as running:
        running.runner.enable(True)
        running.wait()
        assert running.status() == (RunnerState.WAITING, 'no depth there')
        policy.error = None
        running.runner.ask()
        running.wait()
        assert running.status()[0] is RunnerState.IDLE
    assert [str(error) for error in running.errors] == ['no depth there']


class Panic(BaseException):
    """As extension modules raise it: no Exception."""


@pytest.mark.parametrize('error', [Panic('index\nout of range'), ValueError('index out of range')])
@pytest.mark.parametrize('lockstep', [True, False])
def test_after_an_unforeseen_error_it_waits_to_be_asked_again(error, lockstep, capsys):
    policy = Policy(OutputKind.CHUNKS)
    policy.error = error
    with Running(policy, lockstep=lockstep) as running:
        running.runner.enable(True)
        running.wait()
        state, reason = running.status()
        assert state is RunnerState.WAITING
        assert reason == (
            f'{type(error).__name__}: index out of range; a new instruction, ~/reset or ~/enable '
            'tries again'
        )
        policy.error = None
        observe(running.buffer, SECOND + SPEC.execute_steps * SPEC.dt_ns)
        running.runner.notify()
        assert running.given == []
        running.runner.ask()
        running.wait()
        assert running.status()[0] is RunnerState.INFERRING
    assert [str(each) for each in running.errors] == [reason]
    assert len(policy.inferred) == 2
    assert 'Traceback' in capsys.readouterr().err


def test_a_refused_instruction_leaves_none_and_a_trained_one_goes_on():
    policy = Policy(OutputKind.CHUNKS)
    policy.spec = replace(policy.spec, instructions=Instructions(('Open it',), trained_only=True))
    with Running(policy, full_buffer(spec=policy.spec), lockstep=True) as running:
        running.runner.enable(True)
        assert policy.inferred == ['Open it']  # as it was spelled in training
        for text, reason in (
            ('shut it', "'shut it' is none of the 1 .* nearest is 'Open it'"),
            ('  ', 'the instruction is blank'),
        ):
            with pytest.raises(ObservationError, match=reason):
                running.buffer.set_instruction(text)
            observe(running.buffer, running.buffer.stamp_ns() + SPEC.execute_steps * SPEC.dt_ns)
            running.runner.ask()
            assert running.buffer.instruction == ''
            assert re.search(reason, running.status()[1])
        assert len(policy.inferred) == 1
        running.buffer.set_instruction('OPEN IT!')
        running.runner.ask()
        assert policy.inferred == ['Open it', 'Open it']


@pytest.mark.parametrize(
    ('question', 'problem'),
    [(' ', 'the question is blank'), ('why ' * 2_500_000, 'has 10,000,000 characters')],
)
def test_a_question_that_says_nothing_is_refused(question, problem):
    with Running(Reasoner()) as running:
        running.runner.question(question)
        assert problem in running.runner.status(SECOND).question_problem
        assert len(str(running.errors[0])) < 100


def test_what_is_inferred_while_it_is_disabled_is_dropped():
    policy = Policy(OutputKind.CHUNKS)
    with Running(policy, lockstep=True) as running:
        policy.during = lambda: running.runner.enable(False)
        running.runner.enable(True)
        assert policy.inferred == ['open it']
        assert running.given == []


def test_questions_are_answered_whether_it_is_enabled_or_not():
    with Running(Reasoner()) as running:
        running.runner.question('open?')
        running.wait()
        assert running.answers == ['open? 7']
        running.now_ns = 2 * SECOND
        running.runner.question('open?')
        running.wait()
        assert running.runner.status(SECOND).question_problem.startswith('front is late')
        running.now_ns = SECOND
        running.runner.question('shut?')
        running.wait()
        assert running.answers == ['open? 7', 'shut? 7']
        assert running.runner.status(SECOND).question_problem == ''


@pytest.mark.parametrize(
    ('policy', 'lockstep', 'message'),
    [
        (Policy(), False, "policy 'toy' cannot answer questions"),
        (
            Reasoner(OutputKind.CHUNKS),
            True,
            "policy 'toy' cannot answer questions in the mode lockstep",
        ),
    ],
)
def test_a_policy_that_cannot_answer_says_so(policy, lockstep, message):
    with Running(policy, lockstep=lockstep) as running:
        running.runner.question('open?')
        assert running.runner.status(SECOND).question_problem == message
        assert str(running.errors[0]) == message


def test_a_policy_that_only_answers_is_idle():
    with Running(Reasoner(OutputKind.ANSWERS)) as running:
        running.runner.enable(True)
        assert running.status() == (RunnerState.IDLE, 'the policy only answers questions')
        running.runner.question('open?')
        running.wait()
        assert running.answers == ['open? 7']
        running.runner.reset()


@pytest.mark.parametrize('options', [{'lockstep': True}, {'execute_steps': 2}])
def test_a_policy_without_chunks_has_no_steps_and_no_lockstep(options):
    with pytest.raises(ConfigError, match="policy 'toy' gives targets, not chunks of actions"):
        Running(Policy(), **options)
