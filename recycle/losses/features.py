"""Losses on the layers of a network: a discriminator, or a frozen feature network.

Layers are a list of tensors (N, C, H, W), from fine to coarse; those of a discriminator are the layers before its
logits. All losses are scalars.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from recycle.losses.adversarial import at_least_float32

Layers = Sequence[Tensor]
"""Layers of a network, (N, C, H, W) each."""
FLAT = 1e-2
"""Variance of a channel over a frame below which it is treated as noise."""
PLACES = 256
"""Maximum number of places per layer that are compared with all others."""


def feature_matching_loss(real: Layers, fake: Layers) -> Tensor:
    """Σ_l ‖E f_l(y) − E f_l(G(x))‖₁, E the mean over frames and places, for frames without counterparts.

    Source: Salimans et al. 2016, "Improved Techniques for Training GANs", section 3.1, over all layers as in pix2pixHD,
    with the L1 norm divided by the number of channels and the sum by the number of layers.
    """
    differences = [_mean(y) - _mean(x) for y, x in zip(real, fake, strict=True)]
    return torch.stack([difference.abs().mean() for difference in differences]).mean()


def perceptual_loss(real: Layers, fake: Layers) -> Tensor:
    """Mean over the layers of ‖f_l(x) − f_l(x̂)‖₁ / (C H W), for frames x̂ that should equal x.

    Source: Wang et al. 2018, "High-Resolution Image Synthesis … with Conditional GANs" (pix2pixHD), eq. 4, for pairs;
    Wang & Lin, "CycleGAN with Better Cycles", section 3.1, for cycles.
    """
    distances = [(at_least_float32(y) - at_least_float32(x)).abs().mean() for y, x in zip(real, fake, strict=True)]
    return torch.stack(distances).mean()


def content_loss(source: Layers, translated: Layers) -> Tensor:
    """Mean over the layers of (ν(f_l(x)) − ν(f_l(G(x))))², ν the instance normalisation of each frame's layer.

    Without the mean and deviation of each channel, the features describe content rather than style. The square is
    averaged over all values of a layer. Gradients flow only into `translated`.

    Source: Huang et al., "Multimodal Unsupervised Image-to-Image Translation" (ECCV 2018), section 5.1, the
    domain-invariant perceptual distance.
    """
    distances = [
        (_normalised(at_least_float32(y).detach()) - _normalised(at_least_float32(x))).square().mean()
        for y, x in zip(source, translated, strict=True)
    ]
    return torch.stack(distances).mean()


def self_similarity_loss(source: Layers, translated: Layers) -> Tensor:
    """Mean over layers and places i of 1 − cos(S_i(x), S_i(G(x))), S_i the similarities of place i to all places.

    Similarity is the cosine of the features at two places, after the mean of the layer is subtracted. Places that look
    alike must stay alike, but their appearance may change more than with `content_loss`. i runs over PLACES random
    places of each layer, the same in all frames. Gradients flow only into `translated`.

    Source: Zheng, Cham, Cai, "The Spatially-Correlative Loss for Various Image Translation Tasks" (CVPR 2021), section
    3.1 (FSeSim), with the mean subtracted as in the authors' code.
    """
    losses = []
    for y, x in zip(source, translated, strict=True):
        places = torch.randperm(y.shape[-2] * y.shape[-1], device=y.device)[:PLACES]
        with torch.autocast(y.device.type, enabled=False):
            wanted, found = (_similarities(at_least_float32(layer), places) for layer in (y.detach(), x))
            losses.append(1 - F.cosine_similarity(wanted, found, dim=-1).mean())
    return torch.stack(losses).mean()


def _similarities(layer: Tensor, places: Tensor) -> Tensor:
    """(N, C, H, W), (S,) → (N, S, H·W): cosine similarities of these places to all places."""
    vectors = F.normalize((layer - layer.mean((2, 3), keepdim=True)).flatten(2), dim=1)
    return vectors[:, :, places].mT @ vectors


def _normalised(layer: Tensor) -> Tensor:
    """(N, C, H, W) → mean 0 and variance 1 per channel and frame; nearly flat channels stay small."""
    centred = layer - layer.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True) + FLAT).sqrt()


def _mean(layer: Tensor) -> Tensor:
    return at_least_float32(layer).mean((0, 2, 3))
