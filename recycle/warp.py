"""Frames moved along a flow."""

import torch
from torch import Tensor
from torch.nn import functional as F


def warp(clip: Tensor, flow: Tensor) -> Tensor:
    """Move all frames of (B, T, C, H, W) along (B, 2, H, W), x and y in pixels, bilinear: out(p) = in(p + flow(p)).

    What comes from outside of the frame is its mirror image. Places are computed in float32 or finer: in bf16 they
    would be off by up to half a pixel.
    """
    frames, (height, width) = clip.shape[1], clip.shape[-2:]
    places = torch.promote_types(flow.dtype, torch.float32)
    exact = torch.promote_types(clip.dtype, torch.float32)
    y, x = torch.meshgrid(
        torch.arange(height, device=clip.device, dtype=places),
        torch.arange(width, device=clip.device, dtype=places),
        indexing="ij",
    )
    # Pixel centres of grid_sample (align_corners=False): −1 and 1 are the outer edges of the frame.
    grid = torch.stack(
        ((2 * (x + flow[:, 0]) + 1) / width - 1, (2 * (y + flow[:, 1]) + 1) / height - 1), dim=-1
    ).repeat_interleave(frames, 0)
    moved = F.grid_sample(
        clip.to(exact).flatten(0, 1), grid.to(exact), mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return moved.to(clip.dtype).unflatten(0, clip.shape[:2])
