"""The size at which the network runs, and the way there and back."""

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
    """The size, in square pixels, at which the network sees a frame of `size`.

    `pixel_aspect` is the width of the source's pixels over their height; `trained` is the short side that the
    network was trained at, which `scale` = 'trained' asks for. 'source' keeps the source's height.
    """
    height, width = Fraction(size[0]), size[1] * pixel_aspect
    if scale != "source":
        short = trained if scale == "trained" else scale
        height, width = (side * short / min(height, width) for side in (height, width))
    return max(round(height), 1), max(round(width), 1)


def resize(frames: Tensor, size: Size) -> Tensor:
    """Resize (B, C, H, W) float frames: antialiased bilinear when they shrink, bicubic when they grow.

    Bicubic interpolation overshoots at edges: the caller clamps. The same size returns `frames` themselves.
    """
    old, new = (frames.shape[-2], frames.shape[-1]), size
    if old == new:
        return frames
    mode = "bilinear" if new[0] * new[1] < old[0] * old[1] else "bicubic"
    return F.interpolate(frames, size=size, mode=mode, align_corners=False, antialias=True)


def to_float(pixels: Tensor) -> Tensor:
    """uint8 or uint16 (B, H, W, 3) → float32 (B, 3, H, W) in [-1, 1]."""
    half = 127.5 if pixels.dtype == torch.uint8 else 32767.5
    return pixels.permute(0, 3, 1, 2).float() / half - 1


def to_levels(frames: Tensor, dtype: torch.dtype) -> Tensor:
    """Float (B, 3, H, W) → uint8 or uint16 (B, H, W, 3), clamped to [-1, 1] and rounded to the nearest level."""
    half = 127.5 if dtype == torch.uint8 else 32767.5
    levels = ((frames.float().clamp(-1, 1) + 1) * half).round()
    return levels.to(dtype).permute(0, 2, 3, 1).contiguous()
