"""ResNet generator of CycleGAN and ReCycle-GAN."""

import torch
from torch import Tensor, nn

from recycle.config import GeneratorSettings
from recycle.networks.initialise import initialise

NEARLY_ONE = 0.98
"""Keeps atanh of a frame finite; a generator with a skip starts as a scaling by this."""


class ResidualBlock(nn.Module):
    """x + conv-norm-ReLU-conv-norm(x) with reflection padding (Johnson et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float → the same shape."""
        return x + self.conv_block(x)


class Generator(nn.Module):
    """Translate single frames between domains.

    Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks"
    (ICCV 2017), appendix 7.2; used unchanged by ReCycle-GAN. The module order and the parameter names
    (`model.1.weight` …) are those of the published checkpoints, so that they can be loaded as they are.
    """

    multiple = 4
    """Height and width of the input must be multiples of this."""

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__()
        w = settings.width
        self.skip = settings.skip
        head = nn.Conv2d(w, 3, 7)
        self.model = nn.Sequential(
            *(nn.ReflectionPad2d(3), nn.Conv2d(3, w, 7), nn.InstanceNorm2d(w), nn.ReLU(inplace=True)),
            *_down(w, 2 * w),
            *_down(2 * w, 4 * w),
            *(ResidualBlock(4 * w) for _ in range(settings.blocks)),
            *_up(4 * w, 2 * w),
            *_up(2 * w, w),
            *(nn.ReflectionPad2d(3), head, nn.Tanh()),
        )
        initialise(self)
        if self.skip:
            nn.init.zeros_(head.weight)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] → the same shape and range; H and W multiples of 4, at least 16."""
        if not self.skip:
            return self.model(frames)
        change = self.model[:-1](frames)
        return torch.tanh(change + torch.atanh(frames * NEARLY_ONE))


def _down(channels: int, out: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(channels, out, 3, stride=2, padding=1)
    return conv, nn.InstanceNorm2d(out), nn.ReLU(inplace=True)


def _up(channels: int, out: int) -> tuple[nn.Module, ...]:
    conv = nn.ConvTranspose2d(channels, out, 3, stride=2, padding=1, output_padding=1)
    return conv, nn.InstanceNorm2d(out), nn.ReLU(inplace=True)
