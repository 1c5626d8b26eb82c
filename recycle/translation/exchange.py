"""Converts frames to the input of a network, and its output to pictures."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from recycle.translation.planes import entering, leaving
from recycle.translation.scale import Size, resize, to_float, to_levels
from recycle.video.planes import PlaneFormat


class Exchange(NamedTuple):
    """Two functions of tensors on the network's device."""

    enter: Callable[[Tensor], Tensor]
    """Maps frames, stacked as they were decoded, to float32 (B, 3, H, W) in [-1, 1] of the size of the network."""
    leave: Callable[[Tensor], Tensor]
    """Maps the network's output to pictures, stacked as they are encoded."""


def of_rgb(size: Size, inner: Size, dtype: torch.dtype) -> Exchange:
    """For RGB frames (H, W, 3) of `size`, uint8 or uint16, and pictures of the same size and dtype."""
    return Exchange(
        enter=lambda levels: resize(to_float(levels), inner).clamp(-1, 1),
        leave=lambda frames: to_levels(resize(frames, size), dtype),
    )


def of_planes(source: PlaneFormat, inner: Size, target: PlaneFormat, device: torch.device) -> Exchange:
    """For planes (H × 3/2, W), uint8, that are converted on the device."""
    return Exchange(entering(source, inner, device), leaving(inner, target, device))
