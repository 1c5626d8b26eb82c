"""Random changes of clips on the training device, identical for all frames of a clip.

The random numbers of a clip are drawn on the CPU from its own seed. So the whole batch is changed at once, and the
device never waits.
"""

from collections.abc import Sequence

import numpy as np
import torch
from kornia.enhance import adjust_brightness, adjust_contrast, adjust_saturation_with_gray_subtraction
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from recycle.config import AugmentSettings

COLOURED = 0.8
"""Proportion of the clips whose colours are changed."""
_COLOURS = (adjust_brightness, adjust_contrast, adjust_saturation_with_gray_subtraction)


class Augment:
    """Horizontal flips, and mild changes of brightness, contrast and saturation (kornia)."""

    def __init__(self, settings: AugmentSettings) -> None:
        self._flip, self._colour = settings.flip, settings.colour

    def draw(self, seed: Sequence[int]) -> NDArray[np.float32]:
        """The changes of one clip, which depend only on `seed`: (4,) float32.

        Whether to flip it (1 or 0); what to add to its brightness; the factors of its contrast and its saturation.
        """
        flip, coloured, *colours = np.random.default_rng(seed).random(5)
        strength = self._colour if coloured < COLOURED else 0.0
        brightness, contrast, saturation = (strength * (2 * x - 1) for x in colours)
        return np.array([self._flip and flip < 0.5, brightness, 1 + contrast, 1 + saturation], dtype=np.float32)

    @torch.no_grad()
    def __call__(self, clips: Tensor, changes: Tensor) -> Tensor:
        """Change clips: uint8 (B, T, 3, H, W) → float32 of the same shape in [-1, 1].

        `changes` are the results of `draw` for each clip, (B, 4) on the device of the clips. A fourth channel is a
        mask: it is flipped like the frames, and returned in [0, 1].
        """
        flip, *factors = changes.unbind(1)
        if self._flip:
            clips = torch.where(flip[:, None, None, None, None] > 0, clips.flip(-1), clips)
        frames, masks = (clips.float() / 255).split([3, clips.shape[2] - 3], dim=2)
        if self._colour:
            for change, factor in zip(_COLOURS, factors, strict=True):
                frames = change(frames, factor)
        frames = frames * 2 - 1
        return torch.cat((frames, masks), dim=2) if masks.shape[2] else frames


def shrink(clips: Tensor, divisor: int) -> Tensor:
    """Reduce each side of frames (B, T, 3, H, W) by the factor `divisor`, by averaging."""
    if divisor == 1:
        return clips
    small = F.avg_pool2d(clips.flatten(0, 1), divisor)
    return small.unflatten(0, clips.shape[:2])
