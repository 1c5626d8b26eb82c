"""Coarse-to-fine generator of pix2pixHD, for large frames."""

import torch
from torch import Tensor, nn

from recycle.config import Pix2PixHDSettings
from recycle.networks.few import FewConv2d
from recycle.networks.generator import NEARLY_ONE, GeneratorNetwork, tapped
from recycle.networks.initialise import initialise, start_bilinear
from recycle.networks.norm import Centred, InstanceNorm
from recycle.networks.resnet import BlurredConvTranspose2d, ResidualBlock, double, halve

_MAPS = 8
"""Maximum number of full-size maps of `width` channels that inference holds at once. Those of the global generator have
a quarter of the pixels and twice the channels."""


class Pix2PixHDGenerator(GeneratorNetwork):
    """A global generator on frames of half the size, and a local enhancer that adds details at the full size.

    The enhancer halves the frame once, adds the global generator's last maps, and doubles the size again. A second
    enhancer does the same with the first one's maps, and the global generator then runs on a quarter of the size.

    Source: Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs" (CVPR 2018),
    section 3.2, without its instance maps. Module order and parameter names (`model.1.weight`, `model1_1.1.weight` …)
    are those of the published checkpoints.
    """

    def __init__(self, settings: Pix2PixHDSettings) -> None:
        super().__init__()
        self.width, self.skip, self.enhancers = settings.width, settings.skip, settings.enhancers
        self.multiple = 2 ** (settings.enhancers + settings.halvings)
        self.least_side = 2 * self.multiple  # reflection at the coarsest size needs two pixels
        coarse = settings.width * 2**settings.enhancers
        self.centre = Centred()
        self.model = nn.Sequential(*_global_generator(settings, coarse))
        for number in range(1, settings.enhancers + 1):
            w = coarse // 2**number
            self.add_module(f"model{number}_1", nn.Sequential(*_opening(w), *halve(w, 2 * w)))
            blocks = (ResidualBlock(2 * w) for _ in range(settings.local_blocks))
            self.add_module(f"model{number}_2", nn.Sequential(*blocks, *double(2 * w, w, settings.blur)))
        head = FewConv2d(settings.width, 3, 7)
        self._last.extend((nn.ReflectionPad2d(3), head, nn.Tanh()))
        self.downsample = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
        initialise(self)
        for layer in self.modules():
            if isinstance(layer, BlurredConvTranspose2d):
                start_bilinear(layer)
        if self.skip:
            nn.init.zeros_(head.weight)
        self.reach = _reach(settings)
        encoder = 4 + 3 * settings.halvings
        self._tapped = (*range(6, encoder, 3), encoder + settings.blocks - 1)
        widest = coarse * 2**settings.halvings
        self.feature_channels = (3, *(2 * coarse * 2**i for i in range(settings.halvings)), widest)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] → the same shape and range; sides as `multiple` and `least_side` state.

        Frames may have a higher precision than the weights: a skip connection adds them unrounded.
        """
        pyramid = self._pyramid(frames)
        maps = self.model(pyramid[-1])
        for number in range(1, self.enhancers + 1):
            opening, body = self.get_submodule(f"model{number}_1"), self.get_submodule(f"model{number}_2")
            assert isinstance(body, nn.Sequential)
            maps = (body[:-1] if body is self._last else body)(opening(pyramid[-1 - number]) + maps)
        if not self.skip:
            return torch.tanh(maps)
        return torch.tanh(maps + torch.atanh(frames.clamp(-1, 1) * NEARLY_ONE))

    def features(self, frames: Tensor) -> list[Tensor]:
        """The frames, the global generator's maps after each halving, and those after its last residual block.

        (B, 3, H, W) → a list of (B, `feature_channels[i]`, H', W').
        """
        return [frames, *tapped(self.model, self._pyramid(frames)[-1], self._tapped)]

    def bytes_per_frame(self, size: tuple[int, int], dtype: torch.dtype) -> int:
        """Estimated memory in bytes for a frame of `size` (height, width): at most 8 full-size maps of `width`
        channels."""
        return _MAPS * self.width * dtype.itemsize * size[0] * size[1]

    @property
    def _last(self) -> nn.Sequential:
        last = self.get_submodule(f"model{self.enhancers}_2")
        assert isinstance(last, nn.Sequential)
        return last

    def _pyramid(self, frames: Tensor) -> list[Tensor]:
        """The frames, centred and in the precision of the weights, and each half as large as the one before."""
        pyramid = [self.centre(frames).to(next(self.parameters()).dtype)]
        for _ in range(self.enhancers):
            pyramid.append(self.downsample(pyramid[-1]))
        return pyramid


def _reach(settings: Pix2PixHDSettings) -> int:
    """Reach of the convolutions. That of the global generator is large, because it works at a 32nd of the size."""
    coarsest = 2**settings.halvings
    reach = 2**settings.enhancers * (3 + coarsest + 2 * settings.blocks * coarsest + 3 * coarsest)
    sizes = (2**number for number in range(settings.enhancers))
    return reach + sum(size * (10 + 4 * settings.local_blocks) for size in sizes) + 2**settings.enhancers


def _opening(width: int) -> tuple[nn.Module, ...]:
    return nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), InstanceNorm(width), nn.ReLU(inplace=True)


def _global_generator(settings: Pix2PixHDSettings, width: int) -> list[nn.Module]:
    """The layers up to the maps that the first enhancer takes; the published global generator without its head."""
    layers = [*_opening(width)]
    for i in range(settings.halvings):
        layers += halve(width * 2**i, width * 2 ** (i + 1))
    layers += [ResidualBlock(width * 2**settings.halvings) for _ in range(settings.blocks)]
    for i in range(settings.halvings, 0, -1):
        layers += double(width * 2**i, width * 2 ** (i - 1), settings.blur)
    return layers
