"""Training tells a policy its instructions in other words, and never in those of evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.made_demonstrations import META, small_run, write_store

from robomamba_ros.errors import ObservationError
from robomamba_ros.language.instructions import Instructions
from robomamba_ros.policies.registry import describe_policy
from robomamba_ros.simulation.tasks import PARAPHRASES, load_paraphrases, load_tasks
from robomamba_ros.training.anolevla.config import TrainConfig
from robomamba_ros.training.anolevla.loop import Trainer
from robomamba_ros.training.anolevla.wordings import WORDINGS, Wordings, draw

TASKS = tuple(dict.fromkeys(task.instruction for task in load_tasks().values()))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp('data'), episodes=4, steps=7)


@pytest.fixture(scope='module')
def words():
    config = TrainConfig(data='', output='', paraphrases='english')
    return Wordings.of(config, Instructions.of(TASKS), TASKS)


def test_what_is_asked_in_evaluation_is_never_trained_on(words):
    known = Instructions.of(TASKS)
    asked = Instructions.of(text for texts in load_paraphrases().values() for text in texts)
    assert len(load_paraphrases()) == 54
    assert {len(set(texts)) for texts in load_paraphrases().values()} == {PARAPHRASES}
    for own, texts in zip(TASKS, words.texts, strict=True):
        assert texts[0] == own
        assert len(texts) > WORDINGS / 2
        assert not any(asked.known(text) or known.known(text) for text in texts[1:])


def test_most_of_what_people_may_say_is_followed(words):
    known = words.described(replace(Instructions.of(TASKS), trained_only=True))
    asked = [text for texts in load_paraphrases().values() for text in texts]
    refused = [text for text in asked if refuses(known, text)]
    assert len(refused) < len(asked) / 10
    assert all(refuses(known, text) for text in ('fly a kite', 'peel the banana', 'sing'))


def refuses(known, text):
    try:
        known.check(text)
    except ObservationError:
        return True
    return False


def test_half_of_the_inferences_are_told_in_other_words(tmp_path, data):
    trainer = Trainer(small_run(data, tmp_path, paraphrases='english', batch_size=8))
    told = {text: trainer.tokenizer.encode(text) for text in META.instructions}
    own = [
        any((row == ids).all() for ids in told.values())
        for step in range(8)
        for row in trainer._sampler.batch(step).instruction.numpy()
    ]
    assert 0.3 < np.mean(own) < 0.75
    again = trainer._sampler.batch(3).instruction
    assert (trainer._sampler.batch(3).instruction == again).all()
    trainer.save()
    folder = Path(trainer.config.output) / 'checkpoint'
    instructions = describe_policy(str(folder)).spec.instructions
    assert instructions.trained == META.instructions
    assert {'left', 'right', 'now', 'carefully'} < instructions.words


def test_a_run_without_a_table_is_told_its_own_words_alone(tmp_path, data):
    trainer = Trainer(small_run(data, tmp_path))
    assert not trainer.network.config.spec.instructions.words
    words = Wordings.of(trainer.config, Instructions.of(META.instructions), META.instructions)
    assert words.tokens(trainer.tokenizer).shape == (len(META.instructions), 1, 16)


def test_draws_are_of_the_step():
    drawn = draw(0, 5, 4000)
    assert (draw(0, 5, 4000) == drawn).all()
    assert (draw(0, 6, 4000) != drawn).any()
    assert 0.45 < np.mean(drawn == 0) < 0.55
    assert drawn.max() == WORDINGS - 1
