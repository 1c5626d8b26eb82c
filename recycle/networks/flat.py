"""Leaves frames without content unchanged, such as the black ones at the end of a fade."""

from collections.abc import Callable

import torch
from torch import Tensor

FLAT, FULL = 1 * 2 / 255, 4 * 2 / 255
"""Standard deviations of the channel that varies most, in the range [-1, 1]: 1 and 4 of 255 levels. Up to FLAT a frame
is left unchanged; from FULL on it is translated."""
_EACH = 4
"""The deviation is that of each fourth row and column: of all pixels it takes as long as a layer of a small network."""


def keep_flat(frames: Tensor, translated: Tensor) -> Tensor:
    """Blend the translations of nearly flat frames with the frames; flat frames stay as they are.

    A generator can only guess what a flat frame shows: without a skip connection it paints black grey, because its
    normalisations remove the brightness, and others paint what they learnt for the place. (B, 3, H, W) float, twice →
    the same shape. A frame with content gives its translation exactly.
    """
    seen = frames[..., ::_EACH, ::_EACH]
    deviation = (seen - seen.mean((2, 3), keepdim=True)).square().mean((2, 3), keepdim=True).sqrt()
    share = ((deviation.amax(1, keepdim=True) - FLAT) / (FULL - FLAT)).clamp(0, 1)
    if not torch.compiler.is_exporting() and frames.device.type == "cpu" and bool((share == 1).all()):
        return translated
    return torch.lerp(frames, translated, share)


def keeping_flat(network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`network` for (B, 3, H, W), followed by `keep_flat`."""
    return lambda frames: keep_flat(frames, network(frames))
