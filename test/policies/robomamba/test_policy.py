"""RoboMamba behind its contract: poses and answers, and what is not computed twice."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from robomamba_ros.errors import ActionError, CheckpointError, ConfigError, ObservationError
from robomamba_ros.mamba.generation import TopP
from robomamba_ros.policies.base import LoadOptions, fake_observation
from robomamba_ros.policies.robomamba.checkpoint import load, save
from robomamba_ros.policies.robomamba.config import RoboMambaConfig, paper_head
from robomamba_ros.policies.robomamba.network import (
    PoseHead,
    RoboMamba,
    last_token,
    rotation_from_directions,
)
from robomamba_ros.policies.robomamba.policy import RoboMambaPolicy
from robomamba_ros.policies.robomamba.prompts import Prompts
from robomamba_ros.vision.clip import clip_image

PATCHES, OPENING = 16, '<|user|>'


def make_network(config):
    """Return a network whose every parameter is random, so that every input shows."""
    torch.manual_seed(0)
    network = RoboMamba(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        network.language.embedding.weight.mul_(0.3)
    return network


@pytest.fixture
def network(config):
    return make_network(config)


@pytest.fixture
def policy(network, tokenizer):
    return RoboMambaPolicy(network, tokenizer, cache='prefix')


@pytest.fixture
def observation(config):
    return fake_observation(config.spec)


@pytest.fixture
def image(observation):
    return observation.images['front']


def other(image):
    changed = image.copy()
    changed[20, 30] ^= 255
    return changed


class Passes:
    """Counts the tokens of every pass through the backbone, and the images seen."""

    def __init__(self, network):
        self.tokens, self.images = [], 0
        network.language.backbone.register_forward_hook(self._backbone)
        network.vision.register_forward_hook(self._vision)

    def _backbone(self, module, args, output):
        self.tokens.append(output[0].shape[1])

    def _vision(self, module, args, output):
        self.images += 1

    def taken(self):
        taken = (self.images, self.tokens)
        self.tokens, self.images = [], 0
        return taken


# Poses.


def test_infer_gives_a_target_at_the_contact(policy, observation):
    # A plane at 2 m; the head's contact is forced into the image, whatever the random weights say.
    with torch.no_grad():
        policy.network.head.position[-1].weight.mul_(1e-3)
    observation = replace(observation, depth={'front': np.full((48, 64), 2.0, np.float32)})
    contact = policy.contact(observation.images['front'], observation.instruction)
    target = policy.infer(observation)
    k = observation.intrinsics['front']
    point = 2.0 * np.linalg.inv(k) @ [*contact.pixel, 1.0]
    up = contact.rotation[:, 2] if contact.rotation[2, 2] > 0 else -contact.rotation[:, 2]
    assert (target.frame, target.stamp_ns) == ('front', observation.stamp_ns)
    np.testing.assert_allclose(target.pose.position, point - 0.05 * up, atol=1e-6)
    np.testing.assert_allclose(target.pre_contact.position, point - 0.20 * up, atol=1e-6)
    np.testing.assert_allclose(target.retreat.position, point - 0.40 * up, atol=1e-6)


def test_the_contact_is_a_pixel_of_the_camera_not_of_the_square(policy, image):
    pose = policy.network.head.register_forward_hook(
        lambda module, args, output: output._replace(contact=torch.tensor([[0.25, 0.5]]))
    )
    # 48 x 64: the middle square begins 8 columns in, with a side of 48.
    np.testing.assert_allclose(policy.contact(image, 'open').pixel, [8 + 12, 24])
    tall = np.ascontiguousarray(image.transpose(1, 0, 2))
    np.testing.assert_allclose(policy.contact(tall, 'open').pixel, [12, 8 + 24])
    pose.remove()


@pytest.mark.parametrize(
    ('up', 'forward', 'rotation'),
    [
        # Up is z, forward is x: left is up x forward = y.
        ((0, 0, 2), (3, 0, 0), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        # Up is x, forward is y: left is z.
        ((1, 0, 0), (0, 1, 0), [[0, 0, 1], [1, 0, 0], [0, 1, 0]]),
        # Forward leans towards up: only its part square to up counts. Left is y x -x = z.
        ((0, 5, 0), (-1, 7, 0), [[-1, 0, 0], [0, 0, 1], [0, 1, 0]]),
    ],
)
def test_directions_become_a_rotation_with_columns_forward_left_up(up, forward, rotation):
    found = rotation_from_directions(torch.tensor([[*up, *forward]], dtype=torch.float64))
    np.testing.assert_allclose(found[0], rotation, atol=1e-12)


def test_random_directions_become_proper_rotations_that_keep_up():
    directions = torch.randn(200, 6, dtype=torch.float64)
    rotation = rotation_from_directions(directions)
    identity = torch.eye(3, dtype=torch.float64).expand(200, 3, 3)
    torch.testing.assert_close(rotation.mT @ rotation, identity)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(200, dtype=torch.float64))
    up = directions[:, :3] / directions[:, :3].norm(dim=1, keepdim=True)
    torch.testing.assert_close(rotation[:, :, 2], up)
    assert ((rotation[:, :, 0] * directions[:, 3:]).sum(1) > 0).all()


def test_the_papers_head_has_the_papers_size():
    def parameters(widths):
        with torch.device('meta'):
            return sum(p.numel() for p in PoseHead(2560, widths).parameters())

    assert paper_head(2560) == (640, 320)
    assert parameters(paper_head(2560)) / 1e6 == pytest.approx(3.7, abs=0.05)
    assert parameters((1280, 640)) / 1e6 == pytest.approx(8.2, abs=0.05)


@torch.no_grad()
def test_padding_changes_neither_the_last_token_nor_the_pose(network):
    images = torch.randn(2, 3, 28, 28)
    text = torch.randint(0, 200, (2, 9))
    lengths = torch.tensor([9, 5])
    padded = text.clone()
    padded[1, 5:] = 0
    hidden = network(images, padded)
    short = network(images[1:], text[1:, :5])
    torch.testing.assert_close(last_token(hidden, lengths)[1], short[0, -1])
    pose = network.pose(hidden[:, 0], last_token(hidden, lengths))
    alone = network.pose(short[:, 0], short[:, -1])
    torch.testing.assert_close(pose.contact[1], alone.contact[0])
    torch.testing.assert_close(pose.directions[1], alone.directions[0])


def test_the_policy_pools_what_the_whole_network_does(policy, image, tokenizer):
    ids = tokenizer.encode('<|user|> open the drawer\n')
    with torch.no_grad():
        hidden = policy.network(clip_image(image, 28)[None], torch.tensor([ids]))
        pose = policy.network.pose(hidden[:, 0], hidden[:, -1])
    contact = policy.contact(image, ' open the drawer ')
    expected = np.array([8.0, 0.0]) + 48.0 * pose.contact[0].numpy()
    np.testing.assert_allclose(contact.pixel, expected, rtol=1e-4)


# Answers.


def test_an_answer_comes_in_pieces_one_pass_at_a_time(policy, image):
    passes = Passes(policy.network)
    pieces = policy.answer_pieces(image, 'what is it?', max_tokens=30)
    first = next(pieces)
    begun = len(passes.tokens)
    rest = list(pieces)
    assert begun < len(passes.tokens) == 1 + 30
    whole = policy.answer(image, 'what is it?', max_tokens=30)
    assert first + ''.join(rest) == whole == whole.strip()
    assert '\ufffd' not in whole


def test_the_end_token_ends_an_answer(policy, image, tokenizer):
    said = iter([*tokenizer.encode('aaa'), tokenizer.end, *tokenizer.encode('b')])
    assert policy.answer(image, 'what?', choose=lambda logits: next(said)) == 'aaa'


def test_blanks_around_an_answer_are_left_out(policy, image, tokenizer):
    said = iter([*tokenizer.encode(' \n a  red\n cube \n\n'), tokenizer.end])
    pieces = list(policy.answer_pieces(image, 'what?', choose=lambda logits: next(said)))
    assert ''.join(pieces) == 'a  red\n cube'
    assert len(pieces) > 2


def first_logits(policy, picture, question):
    seen = []
    policy.answer(picture, question, max_tokens=1, choose=lambda row: seen.append(row) or 0)
    return seen[0]


def test_the_question_and_the_image_reach_the_answer(policy, image):
    logits = first_logits(policy, image, 'what?')
    for picture, question in [(image, 'who?'), (other(image), 'what?'), (None, 'what?')]:
        assert not torch.equal(first_logits(policy, picture, question), logits)


def test_a_drawn_answer_follows_from_its_seed(policy, image):
    one, same, two = (
        policy.answer(image, 'what?', max_tokens=20, choose=TopP(1.0, temperature=3.0, seed=seed))
        for seed in (1, 1, 2)
    )
    assert one == same != two


def test_prompts_are_those_of_the_training(tokenizer):
    prompts = Prompts(tokenizer)

    def text(ids):
        return ''.join(tokenizer.pieces(ids))

    assert text(prompts.opening + prompts.task(' open ')) == '<|user|> open\n'
    assert text(prompts.opening + prompts.question('what?')) == '<|user|> what?\n<|assistant|>'
    assert text(prompts.answer('a cube')) == ' a cube\n'
    assert prompts.answer('a cube')[-1] == tokenizer.end
    # Cut where the prefix ends, the tokens are those of the whole text.
    assert prompts.opening + prompts.question('what?') == tokenizer.encode(
        '<|user|> what?\n<|assistant|>'
    )
    with pytest.raises(ObservationError, match='the text is empty'):
        prompts.question(' \n')


# What is not computed twice.


def test_a_second_text_about_the_same_image_costs_its_own_tokens(policy, image, tokenizer):
    passes = Passes(policy.network)
    opening = len(tokenizer.encode(OPENING))
    question = len(tokenizer.encode(' what?\n<|assistant|>'))
    policy.answer(image, 'what?', max_tokens=3)
    assert passes.taken() == (1, [PATCHES + opening, question, 1, 1])
    policy.answer(image.copy(), 'what?', max_tokens=3)
    assert passes.taken() == (0, [question, 1, 1])
    policy.contact(image, 'open')
    assert passes.taken() == (0, [len(tokenizer.encode(' open\n'))])
    policy.answer(other(image), 'what?', max_tokens=1)
    assert passes.taken() == (1, [PATCHES + opening, question])
    policy.reset()
    policy.answer(other(image), 'what?', max_tokens=1)
    assert passes.taken() == (1, [PATCHES + opening, question])


def test_an_image_written_over_in_place_is_another_image(policy, image):
    first = policy.contact(image, 'open').pixel
    image[:] = 255 - image
    assert not np.array_equal(policy.contact(image, 'open').pixel, first)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_cached_results_have_the_bits_of_uncached_ones(policy, network, tokenizer, image, dtype):
    network.vision.to(dtype)
    network.language.to(dtype)
    plain = RoboMambaPolicy(network, tokenizer, cache='none')
    passes = Passes(network)
    logits = {'cached': [], 'plain': []}

    def remember(key):
        def choose(row):
            logits[key].append(row.clone())
            return int(row.argmax())

        return choose

    for picture in (image, image, other(image), image, None):
        if picture is not None:
            cached, uncached = (p.contact(picture, 'open') for p in (policy, plain))
            assert np.array_equal(cached.pixel, uncached.pixel)
            assert np.array_equal(cached.rotation, uncached.rotation)
        for key, each in (('cached', policy), ('plain', plain)):
            each.answer(picture, 'what is it?', max_tokens=5, choose=remember(key))
    assert len(logits['cached']) == 25
    for found, expected in zip(logits['cached'], logits['plain'], strict=True):
        assert torch.equal(found, expected)
    # Without a cache each of eight texts saw its image, with it three of them.
    assert passes.taken()[0] == 8 + 3


# What it refuses.


def test_what_it_cannot_use_is_refused_by_name(policy, observation):
    with pytest.raises(ObservationError, match=r'needs depth \(48, 64\) in metres and the intrin'):
        policy.infer(replace(observation, depth={}))
    with pytest.raises(ObservationError, match="needs the camera 'front'"):
        policy.infer(replace(observation, images={}))
    with pytest.raises(ObservationError, match='the instruction is blank'):
        policy.infer(replace(observation, instruction=' '))


def test_directions_that_are_no_rotation_are_refused(policy, image):
    with torch.no_grad():
        policy.network.head.direction[-1].weight.zero_()
    with pytest.raises(ActionError, match='up and forward are parallel, or no numbers'):
        policy.contact(image, 'open')
    with torch.no_grad():
        policy.network.head.direction[-1].weight.fill_(torch.nan)
    with pytest.raises(ActionError, match='no numbers'):
        policy.contact(image, 'open')


def test_parts_that_are_absent_are_named(config, tokenizer, observation, image):
    blind = RoboMambaConfig('blind', config.language)
    policy = RoboMambaPolicy(RoboMamba(blind), tokenizer, cache='none')
    assert isinstance(policy.answer(None, 'what?', max_tokens=2), str)
    with pytest.raises(ConfigError, match="'blind' has no vision"):
        policy.infer(observation)
    with pytest.raises(ConfigError, match="'blind' has no vision"):
        policy.answer(image, 'what?')
    headless = RoboMambaPolicy(RoboMamba(replace(config, head=None)), tokenizer, cache='none')
    assert not headless.spec.cameras[0].depth
    with pytest.raises(ConfigError, match="'tiny' has no pose head"):
        headless.infer(observation)
    with pytest.raises(ConfigError, match='a pose head needs vision'):
        replace(blind, head=(4, 2))


def test_a_stream_is_refused(network, tokenizer):
    with pytest.raises(ConfigError, match=r"cannot run with the cache 'stream'.*none or prefix"):
        RoboMambaPolicy(network, tokenizer, cache='stream')


# Its checkpoint.


@pytest.fixture
def folder(tmp_path, network, tokenizer):
    save(tmp_path / 'tiny', network.config, network.state_dict(), tokenizer)
    return tmp_path / 'tiny'


def test_a_checkpoint_gives_back_the_policy(folder, policy, image, config):
    loaded = load(folder, LoadOptions(cache='prefix'))
    assert loaded.network.config == config
    found, expected = loaded.contact(image, 'open'), policy.contact(image, 'open')
    np.testing.assert_allclose(found.pixel, expected.pixel, rtol=1e-5)
    np.testing.assert_allclose(found.rotation, expected.rotation, atol=1e-5)
    assert loaded.answer(image, 'what?', max_tokens=5) == policy.answer(
        image, 'what?', max_tokens=5
    )


@pytest.mark.parametrize(('dtype', 'share'), [(torch.bfloat16, 0.1), (torch.float16, 0.01)])
def test_sixteen_bits_keep_the_head_exact(folder, policy, image, dtype, share):
    loaded = load(folder, LoadOptions(dtype=str(dtype).removeprefix('torch.')))
    assert loaded.network.language.embedding.weight.dtype == dtype
    outputs = []
    loaded.network.head.register_forward_hook(lambda module, args, out: outputs.append(out))
    exact, found = policy.contact(image, 'open').pixel, loaded.contact(image, 'open').pixel
    assert 0 < np.abs(found - exact).max() < share * np.abs(exact).max()
    # Sixteen bits would resolve a contact in this square to a fifth of a pixel.
    contact = outputs[0].contact
    assert not torch.equal(contact, contact.to(dtype).float())


def test_every_error_of_a_configuration_is_named_at_once(folder):
    path = folder / 'config.yaml'
    raw = yaml.safe_load(path.read_text())
    raw['visoin'] = raw['vision']
    raw['vision'] = {**raw['vision'], 'clip': {**raw['vision']['clip'], 'patch_size': 5}}
    raw['language']['vocab_size'] = 5000
    raw['head']['widths'] = [16, 2.5]
    raw['approach']['contact_m'] = 0.3
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError) as caught:
        load(folder, LoadOptions())
    message = str(caught.value)
    for part in (
        "did you mean 'vision'",
        'image_size 28 is no multiple of patch_size 5',
        'vocab_size: found 5000',
        'widths: found [16.0, 2.5]',
        'the other two at least contact_m',
    ):
        assert part in message, message


def test_a_tokenizer_of_another_model_is_refused(folder, tokenizer):
    raw = yaml.safe_load((folder / 'config.yaml').read_text())
    raw['language']['vocab_size'] -= 1
    (folder / 'config.yaml').write_text(yaml.safe_dump(raw))
    with pytest.raises(CheckpointError, match='give the tokenizer of this model'):
        load(folder, LoadOptions())


def test_what_a_directory_lacks_is_named(folder):
    (folder / 'model.safetensors').unlink()
    (folder / 'tokenizer.json').unlink()
    with pytest.raises(CheckpointError, match=r'lacks model\.safetensors, tokenizer\.json'):
        load(folder, LoadOptions())
