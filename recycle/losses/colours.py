"""Loss on the colours of kinds of places."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from recycle.losses.adversarial import at_least_float32


class Means(NamedTuple):
    """The mean colours of K kinds of places in each of N frames."""

    colours: Tensor
    """(N, K, 3) in [-1, 1]; 0 for a kind that a frame does not show."""
    shares: Tensor
    """(N, K): the part of the frame's places that are of this kind; they add up to 1."""


def mean_colours(frames: Tensor, kinds: Tensor, count: int) -> Means:
    """(N, 3, H, W) in [-1, 1], and the kind of each place (N, H', W'), integers below `count` → Means.

    A place's colour is the mean of its pixels. Gradients flow into `frames`.
    """
    height, width = kinds.shape[-2:]
    places = F.adaptive_avg_pool2d(at_least_float32(frames), (height, width)).flatten(2).mT
    chosen = (kinds.flatten(1)[..., None] == torch.arange(count, device=kinds.device)).to(places.dtype)
    sizes = chosen.sum(1)
    with torch.autocast(frames.device.type, enabled=False):
        sums = chosen.mT @ places
    return Means(sums / sizes.clamp_min(1)[..., None], sizes / chosen.shape[1])


def colour_loss(found: Means, wanted: Tensor, ranges: Tensor) -> Tensor:
    """Mean over frames of Σ_k s_k ‖max(0, |m_k − μ_k| − σ_k)‖²: how far kinds of places leave their colours.

    m_k and s_k: mean colour and share of the kind in a frame (`found`); μ_k and σ_k: mean and standard deviation of
    this colour over real frames, (K, 3) each (`wanted`, `ranges`). Within one deviation all colours are as good.
    """
    away = F.relu((found.colours - wanted).abs() - ranges)
    return (found.shares * away.square().sum(-1)).sum(-1).mean()
