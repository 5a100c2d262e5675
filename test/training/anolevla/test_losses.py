"""The losses against hand-computed cases."""

import torch

from robomamba_ros.training.anolevla.losses import (
    acceleration_loss,
    localization_loss,
    velocity_loss,
)


def test_velocity_is_the_mean_absolute_error_over_valid_steps():
    predicted = torch.tensor([[[1.0, 3.0], [9.0, 9.0]]])
    target = torch.zeros(1, 2, 2)
    assert velocity_loss(predicted, target, torch.tensor([[True, False]])) == 2.0
    assert velocity_loss(predicted, target, torch.tensor([[True, True]])) == 5.5


def test_acceleration_sees_differences_only_where_both_steps_are_valid():
    predicted = torch.tensor([[[5.0], [6.0], [0.0]]])
    target = torch.zeros(1, 3, 1)
    assert acceleration_loss(predicted, target, torch.tensor([[True, True, False]])) == 1.0
    assert acceleration_loss(predicted, target, torch.tensor([[True, True, True]])) == 3.5
    # A constant offset is no acceleration.
    assert acceleration_loss(target + 4.0, target, torch.ones(1, 3, dtype=torch.bool)) == 0.0


def test_nothing_valid_is_no_loss_and_no_nan():
    nothing = torch.zeros(1, 2, dtype=torch.bool)
    assert velocity_loss(torch.ones(1, 2, 1), torch.zeros(1, 2, 1), nothing) == 0.0


def test_localization_adds_image_and_space():
    keypoints = torch.zeros(1, 10, 2)
    pixels = torch.full((1, 2, 3, 2), 0.5)
    points = torch.zeros(1, 3, 3)
    # 0.5 in the images, 0.02 m = 0.2 units in space.
    loss = localization_loss(keypoints, pixels, points, points + 0.02)
    torch.testing.assert_close(loss, torch.tensor(0.7))


def test_localization_asks_for_no_pixel_that_is_not_known():
    keypoints = torch.zeros(1, 10, 2, requires_grad=True)
    pixels = torch.full((1, 2, 3, 2), 0.5)
    pixels[:, 1] = torch.nan
    points = torch.zeros(1, 3, 3)
    loss = localization_loss(keypoints, pixels, points, points)
    torch.testing.assert_close(loss, torch.tensor(0.25))
    loss.backward()
    # The first three of each camera; those of the second camera are free.
    assert (keypoints.grad[0, :, 0] != 0).nonzero().flatten().tolist() == [0, 1, 2]
