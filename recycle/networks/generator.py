"""What every generator is, whatever its kind."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.networks.inference import layout

NEARLY_ONE = 0.98
"""Keeps atanh of a frame finite; a generator with a skip starts as a scaling by this."""


class GeneratorNetwork(nn.Module):
    """Base of all generators: translates single frames between domains.

    A kind of generator defines `forward`, for frames whose sides are multiples of `multiple` and at least `least_side`
    pixels; the rest has defaults that serve any network. It must treat the frames of a batch independently.
    """

    multiple = 1
    """Height and width of the input must be multiples of this."""
    least_side = 1
    """Smallest height and width of the input."""
    feature_channels: tuple[int, ...] = (3,)
    """Channels of each of `features`."""

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] → the same shape and range."""
        raise NotImplementedError

    def features(self, frames: Tensor) -> list[Tensor]:
        """(B, 3, H, W) → (B, `feature_channels[i]`, H', W'): the layers that the contrastive loss compares; by default
        the frames alone."""
        return [frames]

    def load_pretrained(self) -> None:
        """Take over weights that the network should start training from. Called once, before training; a bundle brings
        its own weights. By default there are none."""

    def bytes_per_frame(self, size: tuple[int, int], dtype: torch.dtype) -> int:
        """Memory that a frame of (height, width) takes on its way through, roughly: by default as much as all features
        would at the full size."""
        return sum(self.feature_channels) * dtype.itemsize * size[0] * size[1]

    def for_inference(self, device: torch.device, dtype: torch.dtype) -> nn.Module:
        """A copy on `device`, frozen, that gives the same values sooner: with weights of `dtype` in the memory layout
        that is fastest there. In float32 on a CPU nothing but the copy is made."""
        ready = copy.deepcopy(self).eval().requires_grad_(False).to(device, dtype)
        return ready.to(memory_format=layout(device, dtype))


def at_any_size(generator: Callable[[Tensor], Tensor], frames: Tensor, *, multiple: int, least: int) -> Tensor:
    """(B, 3, H, W) in [-1, 1] of any size → generator(frames), of the same shape."""
    height, width = frames.shape[-2:]
    return generator(pad(frames, multiple=multiple, least=least))[..., :height, :width]


def pad(frames: Tensor, *, multiple: int, least: int) -> Tensor:
    """Pad (B, C, H, W) at the right and bottom, by reflection.

    The sides become at least `least` and divisible by `multiple`. A side that is too small to be mirrored
    that far is padded by repeating its last row or column.
    """
    for axis in (-1, -2):
        side = frames.shape[axis]
        extra = -(-max(side, least) // multiple) * multiple - side
        if extra:
            sides = (0, extra, 0, 0) if axis == -1 else (0, 0, 0, extra)
            frames = F.pad(frames, sides, mode="reflect" if extra < side else "replicate")
    return frames
