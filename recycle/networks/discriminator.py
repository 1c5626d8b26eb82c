"""The base class of discriminators, and PatchGAN at one or several scales."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from recycle.config import PatchSettings
from recycle.networks.by_kind import KINDS, logits_at
from recycle.networks.initialise import initialise
from recycle.networks.norm import InstanceNorm


class Judgement(NamedTuple):
    """The output of a discriminator for N frames."""

    logits: tuple[Tensor, ...]
    """For each scale (N, 1, H', W'), unbounded: large for real patches, small for translated ones."""
    layers: tuple[Tensor, ...]
    """The layers before the logits, (N, C, H', W') each, of all scales in order."""
    inside: tuple[Tensor, ...] = ()
    """How much of each patch lies in the mask, in [0, 1], in the shapes of `logits`; empty without masks."""

    @property
    def patches(self) -> list[tuple[Tensor, Tensor | None]]:
        """The logits of each scale, and their weights."""
        return list(zip(self.logits, self.inside or (None,) * len(self.logits), strict=True))


class DiscriminatorNetwork(nn.Module):
    """Base class of discriminators. A subclass defines `forward`, which takes kinds of places too if its settings have
    `by_kind`."""

    def forward(self, frames: Tensor) -> Judgement:
        """(N, channels, H, W) float in [-1, 1] → Judgement."""
        raise NotImplementedError


class PatchDiscriminator(DiscriminatorNetwork):
    """PatchGAN: one logit per patch of a frame, large for real and small for translated patches.

    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017), section 3.2.2
    and appendix 6.1.2: with 3 layers each logit covers 70×70 pixels. Module order and parameter names are those of the
    published checkpoints. Further scales take frames averaged over 2×2 pixels, 4×4 … (Wang et al., "pix2pixHD", CVPR
    2018, section 3.2).

    `channels`: 3 for a frame, 6 for a pair of source and translation, 3 T for a clip.
    """

    def __init__(self, settings: PatchSettings, channels: int = 3) -> None:
        super().__init__()
        self.model = _patches(settings, channels)
        self.coarser = nn.ModuleList(_patches(settings, channels) for _ in range(settings.scales - 1))
        initialise(self)
        if settings.norm == "spectral":
            for layer in [module for module in self.modules() if isinstance(module, nn.Conv2d)]:
                spectral_norm(layer)

    def forward(self, frames: Tensor, kinds: Tensor | None = None) -> Judgement:
        """(N, channels, H, W) float in [-1, 1] → Judgement; H' ≈ H/8 with 3 layers. `kinds` as in `logits_at`."""
        logits, layers = [], []
        for model in (self.model, *self.coarser):
            out = frames
            for module in model:
                out = module(out)
                if isinstance(module, nn.LeakyReLU):
                    layers.append(out)
            logits.append(logits_at(out, kinds))
            if len(logits) <= len(self.coarser):
                frames = F.avg_pool2d(frames, 3, stride=2, padding=1, count_include_pad=False)
        return Judgement(tuple(logits), tuple(layers))


class MinibatchStd(nn.Module):
    """Appends a constant channel that states how much the frames of the batch differ.

    Source: Karras et al., "Progressive Growing of GANs" (ICLR 2018), section 3: the standard deviation over the batch,
    averaged over channels and places.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C + 1, H, W)."""
        deviation = (x.float().var(0, unbiased=False) + 1e-8).sqrt().mean().to(x.dtype)
        return torch.cat((x, deviation.expand(len(x), 1, *x.shape[2:])), dim=1)


def _patches(settings: PatchSettings, channels: int) -> nn.Sequential:
    widths = [settings.width * min(2**i, 8) for i in range(settings.layers + 1)]
    modules: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
    for i in range(settings.layers):
        stride = 2 if i < settings.layers - 1 else 1
        modules.append(nn.Conv2d(widths[i], widths[i + 1], 4, stride=stride, padding=1))
        if settings.norm == "instance":
            modules.append(InstanceNorm(widths[i + 1]))
        modules.append(nn.LeakyReLU(0.2, inplace=True))
    if settings.minibatch_std:
        modules.append(MinibatchStd())
    modules.append(nn.Conv2d(widths[-1] + settings.minibatch_std, 1 + KINDS * settings.by_kind, 4, padding=1))
    return nn.Sequential(*modules)
