"""RoboMamba's losses against hand-computed cases, and a tiny RoboMamba that learns by them."""

import numpy as np
import pytest
import torch

from robomamba_ros.language.text import TextTokenizer
from robomamba_ros.mamba.backbone import MambaConfig
from robomamba_ros.mamba.language_model import LanguageModelConfig
from robomamba_ros.policies.base import CameraSpec
from robomamba_ros.policies.robomamba.config import RoboMambaConfig, VisionConfig
from robomamba_ros.policies.robomamba.network import (
    RoboMamba,
    last_token,
    rotation_from_directions,
)
from robomamba_ros.policies.robomamba.policy import RoboMambaPolicy
from robomamba_ros.policies.robomamba.prompts import Prompts
from robomamba_ros.training.robomamba.losses import answer_loss, contact_loss, direction_loss
from robomamba_ros.vision.clip import ClipConfig, clip_image

SIDE = 28


def test_the_answer_alone_is_learnt():
    logits = torch.zeros(1, 4, 3)
    logits[0, 1] = torch.tensor([0.0, 5.0, 0.0])  # what follows token 1 is token 2
    tokens = torch.tensor([[0, 2, 1, 0]])
    said = torch.tensor([[False, False, True, False]])
    expected = -torch.log_softmax(torch.tensor([0.0, 5.0, 0.0]), 0)[1]
    torch.testing.assert_close(answer_loss(logits, tokens, said), expected)
    both = torch.tensor([[False, False, True, True]])
    third = torch.log(torch.tensor(3.0))
    torch.testing.assert_close(answer_loss(logits, tokens, both), (expected + third) / 2)


def test_the_contact_is_off_by_its_mean_distance_along_the_axes():
    assert contact_loss(torch.tensor([[0.5, 1.0]]), torch.tensor([[0.25, 0.5]])) == 0.375


def test_the_direction_is_off_by_the_angle_between_rotations():
    target = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]])
    for degrees in (10.0, 90.0, 179.0):
        angle = torch.tensor(degrees).deg2rad()
        # Forward turned about up; lengths do not count.
        turned = torch.tensor([[0.0, 0.0, 3.0, 2 * angle.cos(), 2 * angle.sin(), 0.7]])
        assert direction_loss(turned, target).item() == pytest.approx(angle.item(), abs=1e-4)


def test_equal_and_opposite_directions_have_finite_gradients():
    target = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]])
    for sign, angle in ((1.0, 0.0), (-1.0, np.pi)):
        predicted = (target * torch.tensor([1.0, 1.0, 1.0, sign, sign, sign])).requires_grad_()
        loss = direction_loss(predicted, target)
        loss.backward()
        assert loss.item() == pytest.approx(angle, abs=2e-3)
        assert torch.isfinite(predicted.grad).all()


# A tiny RoboMamba learns pictures of a square: where it is, how to turn, and what colour it has.

COLOURS = {'red': (220, 30, 30), 'blue': (30, 30, 220), 'green': (30, 200, 30)}
QUESTION, TASK = 'which colour is it?', 'push it'


def make_scenes():
    """Return images, contacts (n, 2) in 0..1, directions (n, 6) and colours."""
    rng = np.random.default_rng(0)
    images, contacts, names = [], [], []
    for index, (row, column) in enumerate([(2, 2), (2, 18), (18, 3), (17, 17), (9, 10), (10, 2)]):
        name = list(COLOURS)[index % 3]
        picture = np.full((SIDE, SIDE, 3), 120, np.uint8)
        picture[row : row + 8, column : column + 8] = COLOURS[name]
        images.append(picture)
        contacts.append([(column + 4) / SIDE, (row + 4) / SIDE])
        names.append(name)
    directions = torch.from_numpy(rng.normal(size=(len(images), 6))).float()
    return images, torch.tensor(contacts), directions, names


def make_network(tokenizer):
    language = LanguageModelConfig(
        MambaConfig(d_model=48, n_layer=2, d_state=8), tokenizer.vocabulary, tokenizer.vocabulary
    )
    clip = ClipConfig(
        image_size=SIDE,
        patch_size=7,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    vision = VisionConfig(CameraSpec('front', SIDE, SIDE), clip, connector=64)
    return RoboMamba(RoboMambaConfig('tiny', language, vision, head=(128, 128)))


def padded(texts):
    """Return ids (b, l) padded on the right, and lengths (b,)."""
    lengths = torch.tensor([len(text) for text in texts])
    ids = torch.zeros(len(texts), int(lengths.max()), dtype=torch.int64)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    return ids, lengths


def test_a_tiny_robomamba_learns_contacts_directions_and_answers():
    pytest.importorskip('transformers', reason='CLIP needs transformers: pip install transformers')
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, contacts, directions, names = make_scenes()
    corpus = [f'<|user|> {QUESTION}\n<|assistant|> red blue green']
    tokenizer = TextTokenizer.train(corpus, 300)
    prompts = Prompts(tokenizer)
    network = make_network(tokenizer)
    seen = torch.stack([clip_image(image, SIDE) for image in images])
    task, task_lengths = padded([prompts.opening + prompts.task(TASK)] * len(images))
    question = prompts.opening + prompts.question(QUESTION)
    chat, chat_lengths = padded([question + prompts.answer(name) for name in names])
    position = torch.arange(chat.shape[1])
    said = (position >= len(question)) & (position < chat_lengths[:, None])

    def losses():
        hidden = network(seen, task)
        pose = network.pose(hidden[:, 0], last_token(hidden, task_lengths))
        logits = network.language.logits(network(seen, chat))
        return (
            contact_loss(pose.contact, contacts),
            direction_loss(pose.directions, directions),
            answer_loss(logits, chat, said),
        )

    before = [loss.item() for loss in losses()]
    assert min(before[1:]) > 0.5
    steps = 300
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, steps, pct_start=0.2)
    for _ in range(steps):
        optimiser.zero_grad()
        contact, direction, answer = losses()
        (5 * contact + direction + answer).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()

    policy = RoboMambaPolicy(network, tokenizer, cache='prefix')
    expected = rotation_from_directions(directions).numpy()
    for index, image in enumerate(images):
        found = policy.contact(image, TASK)
        assert np.abs(found.pixel - SIDE * contacts[index].numpy()).max() < 0.5
        cosine = (np.trace(found.rotation.T @ expected[index]) - 1) / 2
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) < 5
        assert policy.answer(image, QUESTION) == names[index]
