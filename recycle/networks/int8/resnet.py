"""A ResNet generator as a graph of OpenVINO."""

import math
from itertools import count
from typing import Any

from torch import Tensor, nn

from recycle.networks.int8.layers import POSITIVE, RANGE, Layers, Range
from recycle.networks.resnet import ENCODER, ResidualBlock, ResNetGenerator


def resnet(layers: Layers, generator: ResNetGenerator, height: int, width: int) -> Any:
    """The model of one frame, (1, 3, height, width) float32 → the same shape; `generator` is in float32.

    The first convolution is not in 8 bits: it would round the frames, and normalisations amplify that in frames of low
    contrast.
    """
    modules, frames = list(generator.model), layers.input(3, height, width)
    x = layers.conv(layers.pad(layers.centred(frames), 3, 3, 3, 3, "reflect"), _weight(modules[1]), None)
    x = layers.normalised(x)
    for module in (modules[4], modules[7]):
        x = layers.normalised(layers.conv(x, _weight(module), POSITIVE, stride=2, pad=1))
    values = POSITIVE
    for number in count(ENCODER):
        block = modules[number]
        if not isinstance(block, ResidualBlock):
            break
        x = layers.op.add(x, _residual(layers, x, block, values))
        values = _signed(RANGE * math.sqrt(number - ENCODER + 2))  # a sum of so many maps of variance 1
    for module in (modules[number], modules[number + 3]):
        assert isinstance(module, nn.ConvTranspose2d)
        x, values = layers.normalised(layers.double(x, module, values)), POSITIVE
    head = modules[-2]
    assert isinstance(head, nn.Conv2d), "before the tanh"
    assert head.bias is not None
    x = layers.biased(layers.conv(layers.pad(x, 3, 3, 3, 3, "reflect"), head.weight, POSITIVE), head.bias)
    if generator.skip:
        x = layers.op.add(x, layers.atanh(frames))
    return layers.model([frames], [layers.op.tanh(x)])


def _residual(layers: Layers, x: Any, block: ResidualBlock, values: Range) -> Any:
    first, second = (module.weight for module in block.conv_block if isinstance(module, nn.Conv2d))
    inner = layers.normalised(layers.conv(layers.pad(x, 1, 1, 1, 1, "reflect"), first, values))
    return layers.norm(layers.conv(layers.pad(inner, 1, 1, 1, 1, "reflect"), second, POSITIVE))


def _weight(module: nn.Module) -> Tensor:
    assert isinstance(module, nn.Conv2d)
    return module.weight


def _signed(largest: float) -> Range:
    """The range of signed 8-bit integers that holds `largest`, with a 0."""
    return -largest * 128 / 127, largest
