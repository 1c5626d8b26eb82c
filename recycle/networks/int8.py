"""Generators in 8-bit integers on a CPU, by OpenVINO. Needs the extra recycle[openvino]."""

import math
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import count
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recycle.errors import ConfigError
from recycle.networks.export import likeness, pictures
from recycle.networks.generator import NEARLY_ONE, GeneratorNetwork
from recycle.networks.resnet import ENCODER, BlurredConvTranspose2d, ResidualBlock, ResNetGenerator
from recycle.networks.statistics import current
from recycle.system.cores import cores

Range = tuple[float, float]

LEAST_LIKENESS = 40.0
"""Minimum peak signal-to-noise ratio, in dB, of translated frames relative to those in float32."""
_RANGE = 8.0
"""Largest value of a normalised map that 8 bits hold, in standard deviations: of 6, 8 and 12 the best in the worst
case of three trained models."""
_SIZES = 4
"""Number of frame sizes for which compiled models are kept."""
_CHECKED = (1, 128, 160)
"""Batch, height and width of the pictures on which a generator is checked."""
_EPSILON = 1e-5
"""Of the normalisations, as in `nn.InstanceNorm2d`."""


class Int8Generator:
    """A ResNet generator whose convolutions multiply 8-bit integers; the rest is bfloat16 or float32.

    The first convolution is not in 8 bits: it would round the frames, and normalisations amplify that in frames of low
    contrast. Weights have a scale for each output channel. Maps have fixed ranges: normalisations give them a known
    variance, so no footage is needed to choose the ranges. One thread computes a frame, because results differ in the
    last bits with the number of threads. Frames that are computed in tiles are left to `otherwise`: tiles share
    statistics, which OpenVINO cannot.
    """

    def __init__(self, generator: GeneratorNetwork, otherwise: Callable[[Tensor], Tensor]) -> None:
        """Check the generator on a picture. Raises ConfigError if it is no ResNet, if OpenVINO is missing, or if the
        result is less alike than LEAST_LIKENESS."""
        if not isinstance(generator, ResNetGenerator):
            raise ConfigError("precision 'int8' is for generators of the kind 'resnet' only; choose auto, bf16 or fp32")
        openvino, self._otherwise = _openvino(), otherwise
        exact = generator.for_inference(torch.device("cpu"), torch.float32)
        assert isinstance(exact, ResNetGenerator)
        self._layers = _Layers(openvino, exact)
        self._compiled = lru_cache(_SIZES)(self._compile)
        self._compiling = Lock()
        with torch.inference_mode():
            frames = pictures(*_CHECKED)
            alike = likeness(self(frames), exact(frames))
        if not alike >= LEAST_LIKENESS:  # also if it is NaN
            raise ConfigError(
                f"precision 'int8' changes the frames of this model too much: they agree with fp32 to {alike:.1f} dB, "
                f"at least {LEAST_LIKENESS:.0f} dB are needed; choose auto, bf16 or fp32"
            )

    def __call__(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float32 in [-1, 1] → the same shape and range; H and W multiples of 4, at least 16."""
        if current() is not None:
            return self._otherwise(frames)
        with self._compiling:
            model = self._compiled(frames.shape[2], frames.shape[3])
        arrays = [frame.contiguous().numpy() for frame in frames.split(1)]
        results = [model.create_infer_request().infer([array])[model.outputs[0]] for array in arrays]
        return torch.from_numpy(np.concatenate(results))

    def _compile(self, height: int, width: int) -> Any:
        many = cores()
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16",  # of what is not int8; float32 if the CPU has no bfloat16
            "NUM_STREAMS": many,
            "INFERENCE_NUM_THREADS": many,
            "ENABLE_CPU_PINNING": False,  # the encoder's threads need the cores too
        }
        return _core().compile_model(self._layers.model(height, width), "CPU", settings)


class _Layers:
    """Writes a ResNet generator as a graph of OpenVINO, in which FakeQuantize marks what becomes 8-bit integers."""

    def __init__(self, openvino: Any, generator: ResNetGenerator) -> None:
        """`generator` is in float32."""
        self._openvino, self._op, self._generator = openvino, openvino.opset13, generator

    def model(self, height: int, width: int) -> Any:
        """The model for one frame, (1, 3, height, width) float32 → the same shape."""
        layers, positive = list(self._generator.model), (0.0, _RANGE)
        frames = self._op.parameter([1, 3, height, width], np.float32)
        x = self._normalised(self._conv(self._pad(self._centred(frames), 3), layers[1], None))
        for layer in (layers[4], layers[7]):
            x = self._normalised(self._conv(x, layer, positive, stride=2, pad=1))
        values = positive
        for number in count(ENCODER):
            block = layers[number]
            if not isinstance(block, ResidualBlock):
                break
            convs = [layer for layer in block.conv_block if isinstance(layer, nn.Conv2d)]
            inner = self._normalised(self._conv(self._pad(x, 1), convs[0], values))
            x = self._op.add(x, self._norm(self._conv(self._pad(inner, 1), convs[1], positive)))
            values = _signed(_RANGE * math.sqrt(number - ENCODER + 2))  # a sum of so many maps of variance 1
        for layer in (layers[number], layers[number + 3]):
            x, values = self._normalised(self._double(x, layer, values)), positive
        head = layers[-2]
        assert isinstance(head, nn.Conv2d), "before the tanh"
        assert head.bias is not None
        x = self._op.add(self._conv(self._pad(x, 3), head, positive), self._constant(head.bias.reshape(1, -1, 1, 1)))
        if self._generator.skip:
            held = self._op.multiply(self._op.clamp(frames, -1.0, 1.0), self._op.constant(np.float32(NEARLY_ONE)))
            x = self._op.add(x, self._op.atanh(held))
        return self._openvino.Model([self._op.result(self._op.tanh(x))], [frames], "generator")

    def _constant(self, values: Tensor) -> Any:
        return self._op.constant(values.detach().contiguous().numpy())

    def _conv(self, x: Any, layer: nn.Module, values: Range | None, *, stride: int = 1, pad: int = 0) -> Any:
        """A convolution of maps within the range `values` in 8 bits; None: not in 8 bits. Without the bias, which a
        normalisation removes."""
        assert isinstance(layer, nn.Conv2d)
        weight = self._constant(layer.weight)
        if values:
            x, weight = self._quantised(x, values), self._weight(layer.weight, 0)
        return self._op.convolution(x, weight, [stride] * 2, [pad] * 2, [pad] * 2, [1, 1])

    def _double(self, x: Any, layer: nn.Module, values: Range) -> Any:
        assert isinstance(layer, nn.ConvTranspose2d)
        x = self._op.convolution_backprop_data(
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
        blur = self._constant(layer.blur.expand(layer.out_channels, 1, 1, 3, 3))
        return self._op.group_convolution(self._pad(x, 1, "edge"), blur, [1, 1], [0, 0], [0, 0], [1, 1])

    def _quantised(self, x: Any, values: Range) -> Any:
        low, high = (self._op.constant(np.float32(value)) for value in values)
        return self._op.fake_quantize(x, low, high, low, high, 256)

    def _weight(self, weight: Tensor, outputs: int) -> Any:
        """Weights with a scale for each output channel; `outputs` is their axis."""
        axes = [axis for axis in range(4) if axis != outputs]
        largest = weight.detach().abs().amax(axes, keepdim=True).clamp(min=1e-8)
        low, high = self._constant(-largest), self._constant(largest)
        return self._op.fake_quantize(self._constant(weight), low, high, low, high, 255)

    def _pad(self, x: Any, by: int, mode: str = "reflect") -> Any:
        sides = self._op.constant(np.array([0, 0, by, by]))
        return self._op.pad(x, sides, sides, mode)

    def _centred(self, frames: Any) -> Any:
        """See `recycle.networks.norm.Centred`."""
        start, stop, axes = (self._op.constant(np.array(numbers)) for numbers in ([0, 0], [1, 1], [2, 3]))
        first = self._op.slice(frames, start, stop, self._op.constant(np.array([1, 1])), axes)
        apart = self._op.subtract(frames, first)
        return self._op.subtract(apart, self._op.reduce_mean(apart, axes, keep_dims=True))

    def _norm(self, x: Any) -> Any:
        return self._op.mvn(x, self._op.constant(np.array([2, 3])), True, _EPSILON, "inside_sqrt")

    def _normalised(self, x: Any) -> Any:
        return self._op.relu(self._norm(x))


def _signed(largest: float) -> Range:
    """The range of signed 8-bit integers that holds `largest`, with a 0."""
    return -largest * 128 / 127, largest


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(
            "precision 'int8' needs the package 'openvino', which is missing; run: pip install 'recycle[openvino]'"
        ) from error
    return openvino


@cache
def _core() -> Any:
    """OpenVINO's core, one for the life of the process.

    It gives the calling thread a stack for signals, and frees it when it ends. If it ended in another thread, as by
    garbage collection there, the first thread would keep the freed stack, and the next Ctrl-C would crash the process.
    """
    return _openvino().Core()
