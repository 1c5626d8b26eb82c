"""Differentiable augmentation of the discriminators' input.

Source: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (NeurIPS 2020), eq. 6–7 and appendix:
colour, translation by up to an eighth, cutout of a square of half the side. Real and translated frames are augmented
with the same distribution, in the losses of discriminators and generators, so that the generators do not learn the
augmentation. "noise" is instance noise (Sønderby et al. 2017).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

NOISE = 0.1
"""Standard deviation of the policy "noise"."""


def augment(frames: Tensor, policies: Sequence[str], *, marks: int = 0) -> Tensor:
    """(N, C, H, W) in [-1, 1] → the same shape; each frame is augmented with its own random numbers.

    `policies` are applied in order: "colour", "translation", "cutout", "noise". Values may leave [-1, 1]. The last
    `marks` channels state what is where, such as a mask: they are moved and cut like the frame, and are 0 for what was
    outside of the frame or is cut out. Raises ValueError for an unknown policy.
    """
    for policy in policies:
        if marks and policy in ("colour", "noise"):
            frames = torch.cat((augment(frames[:, :-marks], [policy]), frames[:, -marks:]), dim=1)
            continue
        match policy:
            case "colour":
                frames = _contrast(_saturation(_brightness(frames)))
            case "translation":
                frames = _translation(frames)
            case "cutout":
                frames = _cutout(frames)
            case "noise":
                frames = frames + NOISE * torch.randn_like(frames)
            case _:
                raise ValueError(f"unknown policy '{policy}'")
    return frames


def _draw(frames: Tensor, low: float, high: float) -> Tensor:
    return torch.rand(len(frames), 1, 1, 1, device=frames.device, dtype=frames.dtype) * (high - low) + low


def _brightness(frames: Tensor) -> Tensor:
    return frames + _draw(frames, -0.5, 0.5)


def _saturation(frames: Tensor) -> Tensor:
    pixels = frames.unflatten(1, (-1, 3))  # discriminators of clips or pairs take several frames as channels
    grey = pixels.mean(2, keepdim=True)
    return ((pixels - grey) * _draw(frames, 0, 2)[:, None] + grey).flatten(1, 2)


def _contrast(frames: Tensor) -> Tensor:
    mean = frames.mean((1, 2, 3), keepdim=True)
    return (frames - mean) * _draw(frames, 0.5, 1.5) + mean


def _translation(frames: Tensor) -> Tensor:
    """Shift by up to an eighth of the side in each direction; pixels from outside are 0."""
    count, _, height, width = frames.shape
    rows = _positions(count, height, frames.device)
    columns = _positions(count, width, frames.device)
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    picked = frames.gather(2, rows.clamp(0, height - 1)[:, None, :, None].expand_as(frames))
    picked = picked.gather(3, columns.clamp(0, width - 1)[:, None, None, :].expand_as(frames))
    return picked * inside


def _positions(count: int, side: int, device: torch.device) -> Tensor:
    reach = side // 8
    shift = torch.randint(-reach, reach + 1, (count, 1), device=device)
    return torch.arange(side, device=device) + shift


def _cutout(frames: Tensor) -> Tensor:
    count = len(frames)
    within = []
    for side in frames.shape[-2:]:
        start = torch.randint(-side // 4, side - side // 4 + 1, (count, 1), device=frames.device)
        position = torch.arange(side, device=frames.device)
        within.append((position >= start) & (position < start + side // 2))
    hole = within[0][:, None, :, None] & within[1][:, None, None, :]
    return frames * ~hole
