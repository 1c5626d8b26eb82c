"""Frames that do not fit into memory: fewer at a time, then in overlapping tiles."""

from collections.abc import Callable

import torch
from torch import Tensor

from recycle.devices import is_out_of_memory
from recycle.errors import RecycleError

Network = Callable[[Tensor], Tensor]

OVERLAP = 64
"""Pixels that neighbouring tiles share; their results are blended there."""
LEAST = 2 * OVERLAP
"""Smallest side of a tile."""


def within_memory(network: Network, frames: Tensor) -> Tensor:
    """network(frames), for (B, C, H, W) → the same shape; when memory runs out half the batch, then half the frame.

    Halves of a frame overlap by OVERLAP pixels and are blended linearly, so that no seam is seen; with
    InstanceNorm, which looks at the whole frame, colours may drift a little between tiles. Raises RecycleError
    where not even a tile of LEAST pixels fits.
    """
    try:
        return network(frames)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0]
    if frames.is_cuda:
        torch.cuda.empty_cache()
    if len(frames) > 1:
        half = len(frames) // 2
        return torch.cat((within_memory(network, frames[:half]), within_memory(network, frames[half:])))
    height, width = frames.shape[-2:]
    if max(height, width) < 2 * LEAST:
        raise RecycleError(
            f"there is not enough memory for a tile of {width}×{height} pixels; free some, or lower --scale ({reason})"
        )
    return _halves(network, frames, axis=-1 if width >= height else -2)


def _halves(network: Network, frames: Tensor, axis: int) -> Tensor:
    side = frames.shape[axis]
    cut = side // 2 // 4 * 4  # networks want multiples of 4
    start, stop = cut - OVERLAP // 2, cut + OVERLAP // 2
    before = within_memory(network, frames.narrow(axis, 0, stop))
    after = within_memory(network, frames.narrow(axis, start, side - start))
    steps = torch.arange(OVERLAP, device=before.device, dtype=before.dtype) + 0.5
    ramp = ((steps - OVERLAP / 4) / (OVERLAP / 2)).clamp(0, 1)  # nothing of a tile's very edge is used
    ramp = ramp if axis == -1 else ramp[:, None]
    shared = before.narrow(axis, start, OVERLAP) * (1 - ramp) + after.narrow(axis, 0, OVERLAP) * ramp
    return torch.cat(
        (before.narrow(axis, 0, start), shared, after.narrow(axis, OVERLAP, side - start - OVERLAP)), dim=axis
    )
