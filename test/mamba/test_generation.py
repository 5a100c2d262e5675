import pytest
import torch

from robomamba_ros.errors import ConfigError
from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.generation import TopP, generate, greedy
from robomamba_ros.mamba.language_model import LanguageModelConfig, MambaLanguageModel

WORDS = 23


@pytest.fixture
def model():
    config = LanguageModelConfig(
        MambaConfig(d_model=16, n_layer=2, d_state=4), WORDS, 24, tied=False
    )
    return MambaLanguageModel(config).eval()


@pytest.fixture
def prompt(model):
    return model.embedding(torch.randint(0, WORDS, (1, 7)))


def following(model, embeddings, count):
    """Return the greedy continuation, every token from a full pass over all before it."""
    found = []
    for _ in range(count):
        hidden, _ = model.backbone(embeddings)
        found.append(model.logits(hidden)[0, -1].argmax().item())
        embeddings = torch.cat((embeddings, model.embedding(torch.tensor([found[-1:]]))), dim=1)
    return found


@torch.no_grad()
def test_greedy_tokens_are_those_of_full_passes(model, prompt):
    expected = following(model, prompt, 12)
    assert len(set(expected)) > 1
    assert list(generate(model, prompt, max_tokens=12)) == expected
    _, state = model.backbone(prompt[:, :5])
    assert list(generate(model, prompt[:, 5:], state, max_tokens=12)) == expected


def test_tokens_come_out_one_pass_at_a_time(model, prompt):
    lengths = []
    hook = model.backbone.register_forward_hook(
        lambda _, args, out: lengths.append(out[0].shape[1])
    )
    tokens = generate(model, prompt, max_tokens=3)
    assert lengths == []
    next(tokens)
    assert lengths == [7]
    next(tokens)
    assert lengths == [7, 1]
    assert len(list(tokens)) == 1
    assert lengths == [7, 1, 1]
    hook.remove()


def test_a_stop_token_ends_it_and_stays_out(model, prompt):
    tokens = list(generate(model, prompt, max_tokens=12))
    stop = tokens[4]
    expected = tokens[: tokens.index(stop)]
    assert list(generate(model, prompt, max_tokens=12, stop={stop})) == expected
    assert list(generate(model, prompt, max_tokens=0)) == []


def test_the_given_state_is_not_written_to(model, prompt):
    _, state = model.backbone(prompt)
    before = state.snapshot()
    list(generate(model, prompt, state, max_tokens=3))
    for layer, kept in zip(state.layers, before.layers, strict=True):
        assert torch.equal(layer.ssm, kept.ssm)
        assert torch.equal(layer.conv, kept.conv)


def test_drawn_tokens_follow_from_the_seed(model, prompt):
    def draw(seed):
        choose = TopP(1.0, temperature=3.0, seed=seed)
        return list(generate(model, prompt, max_tokens=20, choose=choose))

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert max(draw(1)) < WORDS


# Probabilities 0.5, 0.3, 0.15, 0.05 for tokens 2, 0, 3, 1.
LOGITS = torch.tensor([0.3, 0.05, 0.5, 0.15]).log()


@pytest.mark.parametrize(
    ('top_p', 'possible'),
    [(0.4, {2}), (0.5, {2}), (0.6, {2, 0}), (0.79, {2, 0}), (0.9, {2, 0, 3}), (1.0, {0, 1, 2, 3})],
)
def test_the_fewest_tokens_that_hold_top_p_are_drawn_from(top_p, possible):
    choose = TopP(top_p)
    assert {choose(LOGITS) for _ in range(300)} == possible


def test_drawn_tokens_have_their_probabilities():
    choose = TopP(0.9)
    draws = torch.tensor([choose(LOGITS) for _ in range(4000)]).bincount(minlength=4) / 4000
    expected = torch.tensor([0.3, 0.0, 0.5, 0.15]) / 0.95
    torch.testing.assert_close(draws, expected, atol=0.03, rtol=0)


def test_a_low_temperature_is_greedy():
    choose = TopP(1.0, temperature=1e-3)
    assert {choose(LOGITS) for _ in range(50)} == {greedy(LOGITS)} == {2}


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'top_p': 0.0}, 'top_p is 0.0'),
        ({'top_p': 1.5}, 'top_p is 1.5'),
        ({'top_p': 0.9, 'temperature': 0.0}, 'temperature is 0.0; .* or use greedy'),
    ],
)
def test_settings_that_draw_nothing_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TopP(**settings)
