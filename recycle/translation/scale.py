"""Computes the size at which the network runs, and converts frames to it and back."""

from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int]
"""Height and width in pixels."""


def network_size(
    size: Size,
    *,
    scale: Literal["trained", "source"] | int,
    trained: int,
    pixel_aspect: Fraction = Fraction(1),
) -> Size:
    """The height and width, in square pixels, at which the network processes a frame of `size`; each at least 1.

    `scale` is the short side: 'trained' stands for `trained`, the short side in training, and 'source' keeps the height
    of the source. `pixel_aspect` is the width of a pixel of the source divided by its height.
    """
    height, width = Fraction(size[0]), size[1] * pixel_aspect
    if scale != "source":
        short = trained if scale == "trained" else scale
        height, width = (side * short / min(height, width) for side in (height, width))
    return max(round(height), 1), max(round(width), 1)


def resize(frames: Tensor, size: Size) -> Tensor:
    """Resize float frames (B, C, H, W) to `size`, height and width, with antialiasing.

    Interpolation is bilinear if the number of pixels decreases, otherwise bicubic. Bicubic interpolation overshoots at
    edges, so the caller must clamp. If the size is the same, `frames` is returned.
    """
    old, new = (frames.shape[-2], frames.shape[-1]), size
    if old == new:
        return frames
    mode = "bilinear" if new[0] * new[1] < old[0] * old[1] else "bicubic"
    if new[1] == 1:  # PyTorch 2.15 repeats the first pixel of frames that are not channels_last
        frames = frames.contiguous(memory_format=torch.channels_last)
    return F.interpolate(frames, size=size, mode=mode, align_corners=False, antialias=True)


def to_float(pixels: Tensor) -> Tensor:
    """Convert levels, uint8 or uint16 (B, H, W, 3), to float32 (B, 3, H, W) in [-1, 1]."""
    half = 127.5 if pixels.dtype == torch.uint8 else 32767.5
    return pixels.permute(0, 3, 1, 2).float() / half - 1


def to_levels(frames: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert floats (B, 3, H, W) to levels, uint8 or uint16 (B, H, W, 3): clamped to [-1, 1] and rounded."""
    half = 127.5 if dtype == torch.uint8 else 32767.5
    levels = ((frames.float().clamp(-1, 1) + 1) * half).round()
    return levels.to(dtype).permute(0, 2, 3, 1).contiguous()
