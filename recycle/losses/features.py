"""Losses on what the layers of a discriminator make of frames: no network is downloaded for them.

The layers of one discriminator are a list of tensors (N, C, H, W), first to last, without the logits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from recycle.losses.adversarial import at_least_float32

Layers = Sequence[Tensor]


def feature_matching_loss(real: Layers, fake: Layers) -> Tensor:
    """Σ_l ‖E f_l(y) − E f_l(G(x))‖₁, E the mean over frames and places: no pixel has a counterpart.

    Source: Salimans et al. 2016, "Improved Techniques for Training GANs", section 3.1, over all layers as in
    pix2pixHD, with the L1 norm divided by the number of channels and the sum by that of layers.
    """
    differences = [_mean(y) - _mean(x) for y, x in zip(real, fake, strict=True)]
    return torch.stack([difference.abs().mean() for difference in differences]).mean()


def perceptual_loss(real: Layers, fake: Layers) -> Tensor:
    """Mean over the layers of ‖f_l(x) − f_l(x̂)‖₁ / (C H W), for frames x̂ that ought to be x.

    Source: Wang et al. 2018, "High-Resolution Image Synthesis … with Conditional GANs" (pix2pixHD), eq. 4, for
    pairs; Wang & Lin, "CycleGAN with Better Cycles", section 3.1, for cycles.
    """
    distances = [(at_least_float32(y) - at_least_float32(x)).abs().mean() for y, x in zip(real, fake, strict=True)]
    return torch.stack(distances).mean()


def _mean(layer: Tensor) -> Tensor:
    return at_least_float32(layer).mean((0, 2, 3))
