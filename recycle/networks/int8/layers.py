"""Layers of a graph of OpenVINO, in which FakeQuantize marks what becomes 8-bit integers."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from recycle.networks.generator import NEARLY_ONE
from recycle.networks.resnet import BlurredConvTranspose2d

Range = tuple[float, float]

RANGE = 8.0
"""Largest value of a normalised map that 8 bits hold, in standard deviations: of 6, 8 and 12 the best in the worst
case of three trained models."""
POSITIVE: Range = (0.0, RANGE)
"""Range of a map after normalisation and ReLU."""
_EPSILON = 1e-5
"""Of the normalisations, as in `nn.InstanceNorm2d`."""


class Layers:
    """Layers of one frame, whose maps are (1, C, H, W).

    Weights have a scale for each output channel. Maps have fixed ranges: normalisations give them a known variance, so
    no footage is needed to choose the ranges.
    """

    def __init__(self, openvino: Any) -> None:
        self._openvino, self.op = openvino, openvino.opset13

    def model(self, inputs: list[Any], outputs: list[Any]) -> Any:
        """A model that computes `outputs` from `inputs`."""
        return self._openvino.Model([self.op.result(x) for x in outputs], inputs, "generator")

    def input(self, channels: int, height: int, width: int) -> Any:
        """A float32 input (1, channels, height, width)."""
        return self.op.parameter([1, channels, height, width], np.float32)

    def constant(self, values: Tensor) -> Any:
        """A constant in float32."""
        return self.op.constant(values.detach().contiguous().numpy())

    def conv(self, x: Any, weight: Tensor, values: Range | None, *, stride: int = 1, pad: int = 0) -> Any:
        """A convolution of maps within the range `values` in 8 bits; None: not in 8 bits. Without a bias."""
        kernel = self.constant(weight)
        if values:
            x, kernel = self._quantised(x, values), self._weight(weight, 0)
        return self.op.convolution(x, kernel, [stride] * 2, [pad] * 2, [pad] * 2, [1, 1])

    def biased(self, x: Any, bias: Tensor) -> Any:
        """Maps with the bias of their channel added."""
        return self.op.add(x, self.constant(bias.reshape(1, -1, 1, 1)))

    def double(self, x: Any, layer: nn.ConvTranspose2d, values: Range) -> Any:
        """A transposed convolution in 8 bits that doubles height and width. Without a bias."""
        x = self.op.convolution_backprop_data(
            self._quantised(x, values),
            self._weight(layer.weight, 1),
            strides=[2, 2],
            pads_begin=[1, 1],
            pads_end=[1, 1],
            dilations=[1, 1],
            output_padding=[1, 1],
        )
        if not isinstance(layer, BlurredConvTranspose2d):
            return x
        blur = self.constant(layer.blur.expand(layer.out_channels, 1, 1, 3, 3))
        return self.op.group_convolution(self.pad(x, 1, 1, 1, 1, "edge"), blur, [1, 1], [0, 0], [0, 0], [1, 1])

    def resize(self, x: Any, height: int, width: int) -> Any:
        """Bilinear interpolation, as `F.interpolate`."""
        size, axes = self._numbers(height, width), self._numbers(2, 3)
        return self.op.interpolate(
            x, size, "linear_onnx", "sizes", coordinate_transformation_mode="half_pixel", axes=axes
        )

    def pad(self, x: Any, top: int, bottom: int, left: int, right: int, mode: str) -> Any:
        """Add rows and columns; `mode` is 'reflect' or 'edge', which repeats the outermost."""
        return self.op.pad(x, self._numbers(0, 0, top, left), self._numbers(0, 0, bottom, right), mode)

    def crop(self, x: Any, height: int, width: int) -> Any:
        """The first `height` rows and `width` columns."""
        ends, axes = self._numbers(height, width), self._numbers(2, 3)
        return self.op.slice(x, self._numbers(0, 0), ends, self._numbers(1, 1), axes)

    def centred(self, frames: Any) -> Any:
        """See `recycle.networks.norm.Centred`."""
        apart = self.op.subtract(frames, self.crop(frames, 1, 1))
        return self.op.subtract(apart, self.op.reduce_mean(apart, self._numbers(2, 3), keep_dims=True))

    def norm(self, x: Any) -> Any:
        """Instance normalisation."""
        return self.op.mvn(x, self._numbers(2, 3), True, _EPSILON, "inside_sqrt")

    def normalised(self, x: Any) -> Any:
        """Instance normalisation and ReLU, whose range is `POSITIVE`."""
        return self.op.relu(self.norm(x))

    def atanh(self, frames: Any) -> Any:
        """The inverse of tanh; for −1 and 1, which have none, that of ±NEARLY_ONE.

        Its logarithm takes a tenth of the time of OpenVINO's own operation.
        """
        one, half = (self.op.constant(np.float32(value)) for value in (1, 0.5))
        held = self.op.multiply(self.op.clamp(frames, -1.0, 1.0), self.op.constant(np.float32(NEARLY_ONE)))
        ratio = self.op.divide(self.op.add(one, held), self.op.subtract(one, held))
        return self.op.multiply(half, self.op.log(ratio))

    def _numbers(self, *numbers: int) -> Any:
        return self.op.constant(np.array(numbers))

    def _quantised(self, x: Any, values: Range) -> Any:
        low, high = (self.op.constant(np.float32(value)) for value in values)
        return self.op.fake_quantize(x, low, high, low, high, 256)

    def _weight(self, weight: Tensor, outputs: int) -> Any:
        """Weights with a scale for each output channel; `outputs` is their axis."""
        axes = [axis for axis in range(4) if axis != outputs]
        largest = weight.detach().abs().amax(axes, keepdim=True).clamp(min=1e-8)
        low, high = self.constant(-largest), self.constant(largest)
        return self.op.fake_quantize(self.constant(weight), low, high, low, high, 255)
