"""A U-Net generator as two graphs of OpenVINO."""

from typing import Any

import numpy as np
from torch import nn

from recycle.networks.int8.layers import POSITIVE, Layers
from recycle.networks.unet import UNetGenerator


def encoder(layers: Layers, generator: UNetGenerator, height: int, width: int) -> Any:
    """The model of one frame, (1, 3, height, width) float32 → the encoder's levels of strides 2, 4, 8 and 16.

    `generator` is in float32, prepared for inference.
    """
    frames, multiple = layers.input(3, height, width), generator.pads_to
    x = layers.pad(frames, 0, -height % multiple, 0, -width % multiple, "edge")
    body, levels = generator.unet.encoder.model, []
    x = _encode(layers, _encode(layers, x, body.conv_stem), body.bn1)
    for number, stage in enumerate(body.blocks, start=1):
        x = _encode(layers, x, stage)
        if number in body._stage_out_idx:
            levels.append(x)
    return layers.model([frames], levels)


def decoder(layers: Layers, generator: UNetGenerator, levels: list[tuple[int, ...]], height: int, width: int) -> Any:
    """The model of a frame and its levels, whose shapes are `levels` → (1, 3, height, width) float32.

    The encoder's levels have no known range, so they are convolved apart from the decoder's maps, and not in 8 bits.
    """
    frames = layers.input(3, height, width)
    maps = [layers.input(*shape[1:]) for shape in levels]
    x, values = maps[-1], None
    rows, columns = levels[-1][2:]
    skips = [*reversed(maps[:-1]), None]
    for block, skip in zip(generator.unet.decoder.blocks, skips, strict=True):
        first, second = block.conv1[0].weight, block.conv2[0].weight
        rows, columns = 2 * rows, 2 * columns
        x = layers.resize(x, rows, columns)
        inputs = first.shape[1] - (0 if skip is None else skip.shape[1])
        total = layers.conv(x, first[:, :inputs], values, pad=1)
        if skip is not None:
            total = layers.op.add(total, layers.conv(skip, first[:, inputs:], None, pad=1))
        values = POSITIVE
        x = layers.normalised(layers.conv(layers.normalised(total), second, values, pad=1))
    head = generator.unet.segmentation_head[0]
    x = layers.crop(layers.biased(layers.conv(x, head.weight, values, pad=1), head.bias), height, width)
    if generator.skip:
        gain, change = layers.op.split(x, layers.op.constant(1), 2).outputs()
        scale = layers.op.add(gain, layers.op.constant(np.float32(1)))
        x = layers.op.add(layers.op.multiply(scale, layers.atanh(frames)), change)
    return layers.model([frames, *maps], [layers.op.tanh(x)])


def _encode(layers: Layers, x: Any, module: nn.Module) -> Any:
    """A part of the encoder, whose children compute one after the other."""
    match module:
        case nn.Identity():
            return x
        case nn.ReLU6():
            return layers.op.clamp(x, 0.0, 6.0)
        case nn.Conv2d(padding=(int(rows), int(columns))):
            return _conv(layers, x, module, (rows, columns), (rows, columns))
        case nn.Sequential() if isinstance(module[0], nn.ZeroPad2d) and isinstance(module[1], nn.Conv2d):
            left, right, top, bottom = module[0].padding
            return _conv(layers, x, module[1], (top, left), (bottom, right))
    out = x
    for child in module.children():
        out = _encode(layers, out, child)
    return layers.op.add(out, x) if getattr(module, "has_skip", False) else out


def _conv(layers: Layers, x: Any, conv: nn.Conv2d, before: tuple[int, int], after: tuple[int, int]) -> Any:
    assert conv.bias is not None, "of the normalisation that is folded into it"
    whole, apart = layers.op.convolution, layers.op.group_convolution
    weight, compute = (conv.weight, whole) if conv.groups == 1 else (conv.weight[:, None], apart)
    x = compute(x, layers.constant(weight), list(conv.stride), list(before), list(after), [1, 1])
    return layers.biased(x, conv.bias)
