"""Synthetic motion: smooth random flows, and frames warped by them."""

import torch
from torch import Tensor
from torch.nn import functional as F

from recycle.losses.adversarial import at_least_float32

MOTION = 0.03
"""Standard deviation of the local motion, as a fraction of the short side."""
SHIFT = 0.04
"""Maximum shift of a whole frame, as a fraction of the short side."""
CELLS = 3
"""Number of cells per short side in the coarse grid of local motion."""
NOISE = 0.02
"""Minimum standard deviation of the noise on a warped frame; the maximum is twice this."""


def synthetic_flow(frames: Tensor) -> Tensor:
    """Random flow for each clip of (B, T, C, H, W): (B, 2, H, W) float32, x and y in pixels.

    It is the sum of normal noise on a coarse grid, interpolated, and a shift of the whole frame. Source: Wang et al.
    (AAAI 2022), section 3.3, where both are given in pixels (8 and 10 at 256); here they scale with the frame.
    """
    batch, height, width, device = frames.shape[0], *frames.shape[-2:], frames.device
    short = min(height, width)
    cells = [max(2, round(CELLS * side / short)) for side in (height, width)]
    local = torch.randn(batch, 2, *cells, device=device) * (MOTION * short)
    shift = (torch.rand(batch, 2, 1, 1, device=device) * 2 - 1) * (SHIFT * short)
    return F.interpolate(local, (height, width), mode="bicubic", align_corners=False) + shift


def warp(clip: Tensor, flow: Tensor) -> Tensor:
    """Warp all frames of (B, T, C, H, W) by a flow (B, 2, H, W) in pixels, bilinearly: out(p) = in(p + flow(p)).

    Pixels outside the frame are mirrored. The result has the dtype of `clip`. Positions are computed in float32 or
    float64: in bfloat16 they would be wrong by up to half a pixel.
    """
    frames, (height, width) = clip.shape[1], clip.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=clip.device, dtype=flow.dtype),
        torch.arange(width, device=clip.device, dtype=flow.dtype),
        indexing="ij",
    )
    # Pixel centres of grid_sample (align_corners=False): −1 and 1 are the outer edges of the frame.
    grid = torch.stack(
        ((2 * (x + flow[:, 0]) + 1) / width - 1, (2 * (y + flow[:, 1]) + 1) / height - 1), dim=-1
    ).repeat_interleave(frames, 0)
    exact = at_least_float32(clip).flatten(0, 1)
    moved = F.grid_sample(exact, grid.to(exact.dtype), mode="bilinear", padding_mode="reflection", align_corners=False)
    return moved.to(clip.dtype).unflatten(0, clip.shape[:2])


def add_noise(clip: Tensor) -> Tensor:
    """`clip` with normal noise of a random strength per clip, clamped to [-1, 1] (Wang et al. 2022, section 3.3)."""
    strength = NOISE * (1 + torch.rand(len(clip), 1, 1, 1, 1, device=clip.device, dtype=clip.dtype))
    return (clip + strength * torch.randn_like(clip)).clamp(-1, 1)
