"""No pixel further away than the stated reach changes a pixel of the output, apart from statistics."""

import pytest
import torch
from torch import nn

from recycle.config import CutSettings, GeneratorSettings, Pix2PixHDSettings, ResNetSettings
from recycle.networks.norm import Centred
from recycle.networks.registry import make_generator

KINDS = [
    ResNetSettings(blocks=2, width=4),
    CutSettings(blocks=2, width=4),
    CutSettings(blocks=1, width=4, antialias_down=False),
    Pix2PixHDSettings(width=4, blocks=1, local_blocks=2, halvings=2),
    Pix2PixHDSettings(width=4, blocks=1, local_blocks=1, halvings=1, enhancers=2),
]


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_nothing_reaches_further_than_stated(settings: GeneratorSettings) -> None:
    generator = make_generator(settings).double()
    for layer in generator.modules():  # statistics reach everywhere: measure the convolutions alone
        if isinstance(layer, nn.InstanceNorm2d | Centred):
            layer.forward = lambda x: x  # type: ignore
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.constant_(layer.weight, 0.01)
    side = 2 * (generator.reach + 32) // generator.multiple * generator.multiple
    for middle in range(side // 2, side // 2 + generator.multiple):
        frame = torch.rand(1, 3, generator.least_side, side, dtype=torch.float64).requires_grad_()
        generator(frame)[0, :, generator.least_side // 2, middle].sum().backward()
        assert frame.grad is not None
        seen = frame.grad[0].abs().sum((0, 1)).nonzero()[:, 0]
        furthest = int((seen - middle).abs().max())
        assert furthest <= generator.reach
        assert furthest > generator.reach // 2  # no more than twice the overlap that is needed
