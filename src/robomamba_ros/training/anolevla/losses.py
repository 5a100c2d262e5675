"""The losses of AnoleVLA's two stages (paper section IV-C) and the localisation loss."""

from __future__ import annotations

import torch
from torch import Tensor

# Errors of points are counted in units of this length [m], to weigh about as much as actions do.
POINT_SCALE_M = 0.1


def velocity_loss(predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """L1 on the actions (eq. 5), a mean over valid steps; tensors (b, H, d_a), valid (b, H)."""
    return _masked_mean((predicted - target).abs().mean(dim=-1), valid)


def acceleration_loss(predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """L1 on the temporal differences of the actions (eq. 6), where both steps are valid."""
    error = predicted.diff(dim=1) - target.diff(dim=1)
    return _masked_mean(error.abs().mean(dim=-1), valid[:, 1:] & valid[:, :-1])


def localization_loss(
    keypoints: Tensor, pixels: Tensor, points: Tensor, target_points: Tensor
) -> Tensor:
    """L1 between each camera's first three keypoints and the pixels (b, cameras, 3, 2) of what is
    to be found, plus L1 between points read from vision and the true ones (b, 3, 3) [m]; both where
    they are known (not NaN).

    keypoints (b, cameras * k, 2). The paper's future work: supervision of where things are.
    """
    found = keypoints.unflatten(1, (pixels.shape[1], -1))[:, :, :3]
    known = pixels.isfinite().all(dim=-1)
    # A mean over all, so that the mean over processes is that of the whole batch.
    in_image: Tensor = ((found - pixels.nan_to_num()).abs().mean(dim=-1) * known).mean()
    placed = target_points.isfinite()
    in_space: Tensor = ((points - target_points.nan_to_num()).abs() * placed).mean() / POINT_SCALE_M
    return in_image + in_space


def heat_loss(heat: Tensor, pixels: Tensor) -> Tensor:
    """Cross-entropy of each camera's first three heat maps with the places they are to find.

    heat (b, cameras * k, h, w) logits; pixels (b, cameras, 3, 2), NaN where not known. A place is
    shared between the four cells around it, so that their mean is the place. A soft-argmax learns
    slowly while its map is flat: every cell pulls the mean a little (Nibali et al. 2018, arXiv
    1801.07372). This says at once which cell is meant.
    """
    height, width = heat.shape[2:]
    logarithms = heat.unflatten(1, (pixels.shape[1], -1))[:, :, :3].flatten(3).log_softmax(dim=-1)
    known = pixels.isfinite().all(dim=-1)
    cells = heat.new_tensor((width, height))
    place = (0.5 * (pixels.nan_to_num() + 1.0) * cells - 0.5).clamp(min=0.0)
    place = torch.minimum(place, cells - 1.0)
    first = torch.minimum(place.floor(), cells - 2.0)
    beyond = place - first
    error = torch.zeros_like(place[..., 0])
    for right in (0, 1):
        for down in (0, 1):
            side = heat.new_tensor((right, down))
            share = (1.0 - (side - beyond).abs()).prod(dim=-1)
            column, row = (first + side).long().unbind(dim=-1)
            cell = (row * width + column).unsqueeze(-1)
            error = error - share * logarithms.gather(-1, cell).squeeze(-1)
    return (error * known).mean()


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    weight = mask.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
