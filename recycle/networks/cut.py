"""The ResNet generator of CUT, with the options of the published code."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.config import CutSettings
from recycle.networks.few import FewConv2d
from recycle.networks.generator import GeneratorNetwork, tapped
from recycle.networks.initialise import initialise
from recycle.networks.norm import NORMS, Centred
from recycle.networks.resnet import ResidualBlock

MULTIPLE, LEAST = 4, 16
"""Sides of the input are multiples of the first number, and at least the second, in pixels."""
_MAPS = 8
"""Maximum number of full-size maps of `width` channels that inference holds at once, without anti-aliasing."""


class CutGenerator(GeneratorNetwork):
    """The ResNet generator of CUT, which is that of CycleGAN with anti-aliased sampling.

    Module order and parameter names (`model.1.weight` …) are those of the published checkpoints without dropout; the
    fixed filters of the sampling are not parameters here. Source: Park et al., "Contrastive Learning for Unpaired
    Image-to-Image Translation" (ECCV 2020), `models/networks.py` of its code; Zhang, "Making Convolutional Networks
    Shift-Invariant Again" (ICML 2019).
    """

    multiple, least_side = MULTIPLE, LEAST

    def __init__(self, settings: CutSettings) -> None:
        super().__init__()
        w, blocks = settings.width, settings.blocks
        self.model = published_resnet(settings, channels=3)
        self.centre = Centred() if settings.norm == "instance" else nn.Identity()
        initialise(self)
        first = next(number for number, module in enumerate(self.model) if isinstance(module, ResidualBlock))
        down = (first - 4) // 2  # modules of each halving
        self._tapped = (3 + down, 3 + 2 * down, first + blocks // 2, first + blocks - 1)
        self.reach = 30 + 8 * blocks  # of its convolutions
        self._maps = _MAPS * w * (2 if settings.antialias_down or settings.antialias_up else 1)
        self.feature_channels = (3, 2 * w, 4 * w, 4 * w, 4 * w)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] → the same shape and range; H and W multiples of 4, at least 16."""
        out: Tensor = self.model(self.centre(frames).to(next(self.parameters()).dtype))
        return out

    def features(self, frames: Tensor) -> list[Tensor]:
        """The frames, the encoder's maps after each halving, and its maps at two residual blocks.

        (B, 3, H, W) → a list of (B, `feature_channels[i]`, H', W'), as for the generator of kind 'resnet'.
        """
        return [frames, *tapped(self.model, self.centre(frames), self._tapped)]

    def bytes_per_frame(self, size: tuple[int, int], dtype: torch.dtype) -> int:
        """Estimated memory in bytes for a frame of `size` (height, width)."""
        return self._maps * dtype.itemsize * size[0] * size[1]


class BlurDown(nn.Module):
    """Halves the resolution: reflection padding, then every second value of a blur with [1 2 1] in both directions."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", filter_of(1.0, 2.0, 1.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float → (B, C, ⌈H/2⌉, ⌈W/2⌉)."""
        kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, 3, 3)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=x.shape[1])


class BlurUp(nn.Module):
    """Doubles the resolution: zeros between the values of the padded map, then a blur with [1 3 3 1]."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", 4 * filter_of(1.0, 3.0, 3.0, 1.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float → (B, C, 2 H, 2 W)."""
        kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, 4, 4)
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(padded, kernel, stride=2, padding=2, groups=x.shape[1])[:, :, 1:-1, 1:-1]


def filter_of(*values: float) -> Tensor:
    """The filter (N, N) with these N `values` in both directions and the sum 1."""
    row = torch.tensor(values)
    square = row[:, None] * row
    return square / square.sum()


def published_resnet(settings: CutSettings, *, channels: int) -> nn.Sequential:
    """The modules of the published generator, from (B, `channels`, H, W) to (B, 3, H, W) in [-1, 1]."""
    w, norm = settings.width, settings.norm
    modules: list[nn.Module] = [nn.ReflectionPad2d(3), *_conv(channels, w, norm, 7), nn.ReLU(inplace=True)]
    for wide in (2 * w, 4 * w):
        if settings.antialias_down:
            modules += [*_conv(wide // 2, wide, norm, padding=1), nn.ReLU(inplace=True), BlurDown()]
        else:
            modules += [*_conv(wide // 2, wide, norm, padding=1, stride=2), nn.ReLU(inplace=True)]
    modules += [ResidualBlock(4 * w, norm) for _ in range(settings.blocks)]
    for wide in (4 * w, 2 * w):
        if settings.antialias_up:
            modules += [BlurUp(), *_conv(wide, wide // 2, norm, padding=1)]
        else:
            double = nn.ConvTranspose2d(wide, wide // 2, 3, 2, 1, output_padding=1, bias=norm == "instance")
            modules += [double, NORMS[norm](wide // 2)]
        modules.append(nn.ReLU(inplace=True))
    return nn.Sequential(*modules, nn.ReflectionPad2d(3), FewConv2d(w, 3, 7), nn.Tanh())


def _conv(
    channels: int, out: int, norm: str, kernel: int = 3, *, padding: int = 0, stride: int = 1
) -> tuple[nn.Module, nn.Module]:
    """A convolution and its norm. Only a convolution before InstanceNorm has a bias, as in the published code."""
    return nn.Conv2d(channels, out, kernel, stride, padding, bias=norm == "instance"), NORMS[norm](out)
