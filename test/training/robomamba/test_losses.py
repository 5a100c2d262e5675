"""RoboMamba's losses against hand-computed cases."""

import numpy as np
import pytest
import torch

from robomamba_ros.training.robomamba.losses import answer_loss, contact_loss, direction_loss


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
