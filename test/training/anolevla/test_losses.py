"""The losses against hand-computed cases."""

import math

import torch

from robomamba_ros.training.anolevla.losses import (
    acceleration_loss,
    heat_loss,
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


def test_heat_is_the_share_of_each_cell_around_a_place_that_a_map_does_not_give():
    # Cells of 2 wide, their centres at -0.75 .. 0.75; three keypoints of one camera and one more.
    heat = torch.zeros(1, 4, 2, 4, requires_grad=True)
    pixels = torch.tensor([[[[-0.25, -0.5], [0.0, 0.5], [torch.nan, 0.0]]]])
    loss = heat_loss(heat, pixels)
    torch.testing.assert_close(loss, torch.tensor(2 * math.log(8) / 3))
    (grad,) = torch.autograd.grad(loss, heat)
    # Where the second place lies, between two cells, and what lies nowhere or is not looked for.
    expected = torch.full((2, 4), 1 / 24)
    expected[1, 1:3] -= 1 / 6
    torch.testing.assert_close(grad[0, 1], expected)
    assert not grad[0, 2:].any()


def test_heat_is_least_where_the_mean_of_the_map_is_the_place():
    pixels = torch.tensor([[[[0.1, -0.2], [-1.0, 1.0], [0.4, 0.9]]]])
    heat = torch.zeros(1, 3, 4, 4, requires_grad=True)
    optimizer = torch.optim.Adam([heat], lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        heat_loss(heat, pixels).backward()
        optimizer.step()
    share = heat.detach().flatten(2).softmax(-1).unflatten(-1, (4, 4))
    centres = torch.arange(4) / 2 - 0.75
    found = torch.stack([(share.sum(2) * centres).sum(-1), (share.sum(3) * centres).sum(-1)], -1)
    # The middle of the outermost cell is as far as a mean of cells reaches.
    torch.testing.assert_close(found[0], pixels[0, 0].clamp(-0.75, 0.75), atol=0.02, rtol=0)
