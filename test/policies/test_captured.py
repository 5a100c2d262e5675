"""A policy that is captured as a whole gives what it gives step by step, tick by tick."""

from dataclasses import replace

import numpy as np
import pytest

from robomamba_ros.policies.anolevla.checkpoint import read_parts
from robomamba_ros.policies.anolevla.policy import AnoleVLAPolicy
from robomamba_ros.policies.base import LoadOptions, fake_observation


def make(folder, cache, captured):
    network, tokenizer, normalization = read_parts(folder, LoadOptions(instructions='any'))
    network.compute_in(next(network.parameters()).dtype)
    network.pack()
    return AnoleVLAPolicy(network, tokenizer, normalization, cache=cache, captured=captured)


@pytest.mark.parametrize(
    ('kind', 'cache'),
    [
        ('small', 'none'),
        ('small', 'stream'),
        ('language_first', 'none'),
        ('language_first', 'prefix'),
        ('language_first', 'stream'),
        ('paper', 'none'),
    ],
)
def test_chunks_of_an_episode(tmp_path, write_anolevla, documents, kind, cache):
    if kind == 'paper':
        pytest.importorskip('transformers', reason='SigLIP needs transformers')
    write_anolevla(tmp_path / kind, documents[kind])
    stepwise, whole = (make(tmp_path / kind, cache, captured) for captured in (False, True))
    texts = ['open it', 'open it', 'close it', 'close it']
    previous = []
    for turn, text in enumerate([*texts, None, *texts[:1]]):
        if text is None:
            stepwise.reset()
            whole.reset()
            continue
        seen = replace(fake_observation(stepwise.spec, seed=turn), instruction=text)
        expected, found = stepwise.infer(seen).actions, whole.infer(seen).actions
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert not any(np.array_equal(found, other) for other in previous)
        previous.append(found)
