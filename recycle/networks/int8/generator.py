"""A generator in 8-bit integers, compiled and checked. Needs the extra recycle[openvino]."""

from collections.abc import Callable
from functools import cache, lru_cache
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recycle.errors import ConfigError
from recycle.networks.export import likeness, pictures
from recycle.networks.generator import GeneratorNetwork
from recycle.networks.int8.layers import Layers
from recycle.networks.int8.resnet import resnet
from recycle.networks.int8.unet import decoder, encoder
from recycle.networks.resnet import ResNetGenerator
from recycle.networks.statistics import current
from recycle.networks.unet import UNetGenerator
from recycle.system.cores import cores

LEAST_LIKENESS = 40.0
"""Minimum peak signal-to-noise ratio, in dB, of translated frames relative to those in float32."""
_SIZES = 4
"""Number of frame sizes for which compiled models are kept."""
_CHECKED = (1, 128, 160)
"""Batch, height and width of the pictures on which a generator is checked."""


class Int8Generator:
    """A generator whose convolutions multiply 8-bit integers; the rest is bfloat16 or float32.

    The encoder of a U-Net is in float32: it takes little time, and does not normalise. One thread computes a frame,
    because results differ in the last bits with the number of threads. Frames that are computed in tiles are left to
    `otherwise`: tiles share statistics, which OpenVINO cannot.
    """

    def __init__(self, generator: GeneratorNetwork, otherwise: Callable[[Tensor], Tensor]) -> None:
        """Check the generator on a picture. Raises ConfigError if it is neither a ResNet nor a U-Net, if OpenVINO is
        missing, or if the result is less alike than LEAST_LIKENESS."""
        if not isinstance(generator, ResNetGenerator | UNetGenerator):
            raise ConfigError("precision 'int8' is for ResNets and U-Nets only; choose auto, bf16 or fp32")
        self._openvino, self._otherwise = _openvino(), otherwise
        self._exact = generator.for_inference(torch.device("cpu"), torch.float32)
        self._compiled = lru_cache(_SIZES)(self._compile)
        self._compiling = Lock()
        with torch.inference_mode():
            frames = pictures(*_CHECKED)
            alike = likeness(self(frames), self._exact(frames))
        if not alike >= LEAST_LIKENESS:  # also if it is NaN
            raise ConfigError(
                f"precision 'int8' changes the frames of this model too much: they agree with fp32 to {alike:.1f} dB, "
                f"at least {LEAST_LIKENESS:.0f} dB are needed; choose auto, bf16 or fp32"
            )

    def __call__(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float32 in [-1, 1] → the same shape and range.

        Height and width are as the generator requires them; those of a ResNet are at least 16.
        """
        if current() is not None:
            return self._otherwise(frames)
        with self._compiling:
            models = self._compiled(frames.shape[2], frames.shape[3])
        results = []
        for frame in frames.split(1):
            arrays = first = [frame.contiguous().numpy()]
            for model in models:
                found = model.create_infer_request().infer(arrays)
                arrays = first + [found[output] for output in model.outputs]
            results.append(arrays[-1])
        return torch.from_numpy(np.concatenate(results))

    def _compile(self, height: int, width: int) -> list[Any]:
        """Models that compute a frame one after the other: each gets the frame and the outputs of the one before."""
        layers, exact = Layers(self._openvino), self._exact
        if isinstance(exact, UNetGenerator):
            first = encoder(layers, exact, height, width)
            levels = [tuple(output.shape) for output in first.outputs]
            return [_ready(first, "f32"), _ready(decoder(layers, exact, levels, height, width), "bf16")]
        assert isinstance(exact, ResNetGenerator)
        return [_ready(resnet(layers, exact, height, width), "bf16")]


def _ready(model: Any, rest: str) -> Any:
    """Compile a model. `rest` is the precision of what is not in 8 bits; bf16 is float32 if the CPU has no bfloat16."""
    many = cores()
    settings = {
        "INFERENCE_PRECISION_HINT": rest,
        "NUM_STREAMS": many,
        "INFERENCE_NUM_THREADS": many,
        "ENABLE_CPU_PINNING": False,  # the encoder's threads need the cores too
    }
    return _core().compile_model(model, "CPU", settings)


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
