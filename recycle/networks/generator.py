"""The base class of generators."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.networks.inference import drop_biases, layout

NEARLY_ONE = 0.98
"""Keeps atanh of a frame finite; a generator with a skip connection starts as a multiplication by this."""


class GeneratorNetwork(nn.Module):
    """Base class of generators, which translate single frames between domains.

    A subclass defines `forward` for frames whose sides are multiples of `multiple` and at least `least_side` pixels;
    the other methods have defaults for any network. It must process the frames of a batch independently.
    """

    multiple = 1
    """Height and width of the input must be multiples of this."""
    least_side = 1
    """Minimum height and width of the input in pixels."""
    pads_to = 1
    """Height and width to whose multiples the network itself pads, by repeating the last row and column."""
    reach = 16
    """Distance in pixels from which a pixel of the frame hardly changes a pixel of the output, apart from statistics of
    normalisations. Tiles overlap by a little more than twice this."""
    feature_channels: tuple[int, ...] = (3,)
    """Number of channels of each layer of `features`."""

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] → the same shape and range."""
        raise NotImplementedError

    def features(self, frames: Tensor) -> list[Tensor]:
        """The layers that the contrastive loss compares; by default only the frames.

        (B, 3, H, W) float in [-1, 1] → a list of (B, `feature_channels[i]`, H', W').
        """
        return [frames]

    def load_pretrained(self) -> None:
        """Load the weights from which training should start; by default there are none.

        Called once, before training; a bundle has its own weights. Raises ConfigError if the weights are unavailable.
        """

    def bytes_per_frame(self, size: tuple[int, int], dtype: torch.dtype) -> int:
        """Estimated memory in bytes that inference needs for a frame of `size` (height, width).

        By default that of all features at full size.
        """
        return sum(self.feature_channels) * dtype.itemsize * size[0] * size[1]

    def for_inference(self, device: torch.device, dtype: torch.dtype) -> nn.Module:
        """A frozen copy on `device` that returns the same values in less time.

        Weights have the given `dtype` and the fastest memory layout there. In float32 on a CPU it is a plain copy.
        """
        ready = copy.deepcopy(self).eval().requires_grad_(False).to(device, dtype)
        if dtype != torch.float32:
            drop_biases(ready)
        return ready.to(memory_format=layout(device, dtype))


def at_any_size(generator: Callable[[Tensor], Tensor], frames: Tensor, *, multiple: int, least: int) -> Tensor:
    """Apply `generator` to (B, 3, H, W) in [-1, 1] of any size, padded as needed; the result has the same shape."""
    height, width = frames.shape[-2:]
    return generator(pad(frames, multiple=multiple, least=least))[..., :height, :width]


def pad(frames: Tensor, *, multiple: int, least: int) -> Tensor:
    """Pad (B, C, H, W) at the right and bottom, by reflection.

    Each side becomes at least `least` and divisible by `multiple`. A side that is too short for reflection is padded by
    repeating its last row or column.
    """
    for axis in (-1, -2):
        side = frames.shape[axis]
        extra = -(-max(side, least) // multiple) * multiple - side
        if extra:
            sides = (0, extra, 0, 0) if axis == -1 else (0, 0, 0, extra)
            frames = F.pad(frames, sides, mode="reflect" if extra < side else "replicate")
    return frames


def tapped(model: nn.Sequential, maps: Tensor, taps: Sequence[int]) -> list[Tensor]:
    """Pass `maps` through `model`, up to the last of `taps`; returns the outputs of the modules with these numbers.

    A number that is given twice gives its output twice. The numbers ascend.
    """
    layers: list[Tensor] = []
    for number, module in enumerate(model[: taps[-1] + 1]):
        maps = module(maps)
        layers += [maps for tap in taps if tap == number]
    return layers
