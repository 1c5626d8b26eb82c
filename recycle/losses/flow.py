"""Synthetic motion: smooth random flows, and noise on what was moved along them."""

import torch
from torch import Tensor
from torch.nn import functional as F

MOTION = 0.03
"""Standard deviation of the local motion, as a part of the short side."""
SHIFT = 0.04
"""Largest shift of a whole frame, as a part of the short side."""
CELLS = 3
"""Cells of the coarse grid, per short side, at which local motion is drawn."""
NOISE = 0.02
"""Least standard deviation of the noise on a moved frame; the greatest is twice this."""


def synthetic_flow(frames: Tensor) -> Tensor:
    """Draw a flow for each clip of (B, T, C, H, W): (B, 2, H, W) float32, x and y in pixels.

    A normal draw on a coarse grid, interpolated, and a shift of the whole frame: after Wang et al. (AAAI 2022),
    section 3.3, where both are given in pixels (8 and 10 at 256); here they scale with the frame.
    """
    batch, height, width, device = frames.shape[0], *frames.shape[-2:], frames.device
    short = min(height, width)
    cells = [max(2, round(CELLS * side / short)) for side in (height, width)]
    local = torch.randn(batch, 2, *cells, device=device) * (MOTION * short)
    shift = (torch.rand(batch, 2, 1, 1, device=device) * 2 - 1) * (SHIFT * short)
    return F.interpolate(local, (height, width), mode="bicubic", align_corners=False) + shift


def add_noise(clip: Tensor) -> Tensor:
    """`clip` with normal noise of a strength drawn for each clip (Wang et al. 2022, section 3.3), kept in [-1, 1]."""
    strength = NOISE * (1 + torch.rand(len(clip), 1, 1, 1, 1, device=clip.device, dtype=clip.dtype))
    return (clip + strength * torch.randn_like(clip)).clamp(-1, 1)
