"""Discriminator on the features of a frozen pretrained network."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from recycle.config import ProjectedSettings
from recycle.errors import ConfigError
from recycle.networks.by_kind import KINDS, logits_at
from recycle.networks.discriminator import DiscriminatorNetwork, Judgement
from recycle.networks.features import open_network
from recycle.networks.initialise import initialise
from recycle.system.devices import memory_format

ENLARGED = 1.5
"""Factor by which frames are enlarged for the frozen network, which was trained on larger objects than those in the
small training frames."""
_NOISE_SIDE = 128
"""Side in pixels of the noise by which the scale of the features is measured."""


class ProjectedDiscriminator(DiscriminatorNetwork):
    """Judges the features of a frozen network at several strides.

    Features are mixed randomly across channels (1×1) and, from coarse to fine, across scales (3×3 after bilinear
    up-sampling); these mixtures are not trained. A head of three spectrally normalised convolutions judges each level.
    For pairs and clips, the features of all frames are mixed together. The heads' inputs are scaled to unit variance;
    without this, the gradient that reaches a generator is hundreds of times PatchGAN's.

    Source: Sauer et al., "Projected GANs Converge Faster" (NeurIPS 2021), section 3.2, with 3×3 heads that keep the
    size of the maps instead of halving it, because here every patch is judged. As in the authors' code, all logits of a
    frame have the same weight, whatever their level.

    `channels`: 3 for a frame, 6 for a pair of source and translation. The frozen network is not part of the state.
    Raises ConfigError if the network lacks one of the strides.
    """

    scale: Tensor

    def __init__(self, settings: ProjectedSettings, channels: int = 3) -> None:
        super().__init__()
        self.eyes = open_network(settings.features)
        self._strides = sorted(settings.strides)
        if missing := set(self._strides) - set(self.eyes.strides):
            raise ConfigError(
                f"networks.discriminator.strides: '{settings.features}' has no features at stride {min(missing)}; it "
                f"has {', '.join(map(str, self.eyes.strides))}"
            )
        self._frames, width = channels // 3, settings.width
        noise = _natural_noise().repeat(1, self._frames, 1, 1)
        with torch.no_grad():
            levels = self._levels(noise)
            for n, level in enumerate(levels):
                count = level.shape[1]
                across = torch.randn(width, count, 1, 1) / (math.sqrt(count) * level.std())
                self.register_buffer(f"across_channels_{n}", across)
                self.register_buffer(f"across_scales_{n}", torch.randn(width, width, 3, 3) / math.sqrt(9 * width))
            self.register_buffer("scale", torch.ones(len(levels)))
            self.scale.copy_(torch.stack([level.std() for level in self._mixed(noise)]))
        self.heads = nn.ModuleList(_head(width, 1 + KINDS * settings.by_kind) for _ in levels)

    def forward(self, frames: Tensor, kinds: Tensor | None = None) -> Judgement:
        """(N, channels, H, W) float in [-1, 1] → Judgement. `kinds` as in `logits_at`.

        Its logits are one map (N, 1, 1, K) of all places of all levels; its layers are those of the heads.
        """
        logits, layers = [], []
        for head, level in zip(self.heads, self._mixed(frames), strict=True):
            out = level
            for module in head.children():
                out = module(out)
                if isinstance(module, nn.LeakyReLU):
                    layers.append(out)
            logits.append(logits_at(out, kinds).flatten(1))
        return Judgement((torch.cat(logits, dim=1)[:, None, None],), tuple(layers))

    def _levels(self, frames: Tensor) -> list[Tensor]:
        """(N, channels, H, W) → for each level, from fine to coarse, the features of all frames (N, C, H', W')."""
        singles = frames.unflatten(1, (self._frames, 3)).flatten(0, 1)
        if singles.device.type == "cpu" and singles.dtype in (torch.bfloat16, torch.float16):
            singles = singles.float()
        large = F.interpolate(singles, scale_factor=ENLARGED, mode="bilinear", align_corners=False)
        levels = self.eyes(large.contiguous(memory_format=memory_format(large.device)))
        by_stride = dict(zip(self.eyes.strides, levels, strict=True))
        return [by_stride[stride].unflatten(0, (-1, self._frames)).flatten(1, 2) for stride in self._strides]

    def _mixed(self, frames: Tensor) -> list[Tensor]:
        """(N, channels, H, W) → for each level, from fine to coarse, (N, width, H', W') of unit variance."""
        levels = self._levels(frames)
        mixed: list[Tensor] = []
        for n in reversed(range(len(levels))):
            out = F.conv2d(levels[n], self.get_buffer(f"across_channels_{n}"))
            if mixed:
                size = out.shape[-2:]
                out = out + F.interpolate(mixed[0], size=size, mode="bilinear", align_corners=False)
            mixed.insert(0, F.conv2d(out, self.get_buffer(f"across_scales_{n}"), padding=1))
        return [level / scale for level, scale in zip(mixed, self.scale, strict=True)]


def _head(width: int, scores: int) -> nn.Sequential:
    outs = (width, width, scores)
    convolutions = [nn.Conv2d(width, out, 3, padding=1) for out in outs]
    modules: list[nn.Module] = []
    for convolution in convolutions:
        initialise(convolution)
        modules += [spectral_norm(convolution), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*modules[:-1])


def _natural_noise() -> Tensor:
    """Noise with the spectrum of natural images, amplitude 1/f (Field 1987), always the same: (4, 3, S, S) in [-1, 1].

    The spread of its EfficientNet-Lite0 features at strides 8 to 32 equals that of real frames within a factor of 1.4.
    """
    random, side = torch.Generator().manual_seed(0), _NOISE_SIDE
    white = torch.fft.rfft2(torch.randn(4, 3, side, side, generator=random))
    frequency = torch.hypot(torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)).clamp(min=1 / side)
    pink = torch.fft.irfft2(white / frequency, s=(side, side))
    pink = pink + 3 * pink.mean(1, keepdim=True)  # natural colour channels are correlated
    return (pink / (2 * pink.std())).clamp(-1, 1)
