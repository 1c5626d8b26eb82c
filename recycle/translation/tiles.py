"""Splits work that does not fit into memory: first batches, then frames into overlapping tiles."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from recycle.errors import RecycleError
from recycle.system.devices import is_out_of_memory

Network = Callable[[Tensor], Tensor]

OVERLAP = 64
"""Width in pixels of the overlap of neighbouring tiles, where their results are blended."""
LEAST = 2 * OVERLAP
"""Minimum side of a tile in pixels."""


class WithinMemory:
    """A network whose input is halved when memory runs out: first the batch, then the frame.

    Halves of a frame overlap by OVERLAP pixels and are blended linearly, so that no seam is visible. With InstanceNorm,
    which uses statistics of the whole frame, colours may differ slightly between tiles. A size that did not fit is not
    tried again: this saves time, and all frames of a video are split alike.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._too_many = math.inf  # fewest pixels of a batch (B × H × W) that did not fit
        self._reason = ""

    def __call__(self, frames: Tensor) -> Tensor:
        """Return network(frames), of the shape (B, C, H, W) of `frames`.

        Raises RecycleError if even the smallest tile does not fit.
        """
        count, _, height, width = frames.shape
        if count * height * width < self._too_many:
            try:
                return self._network(frames)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._reason = str(error).strip().partition("\n")[0]
                self._too_many = min(self._too_many, count * height * width)
            if frames.is_cuda:
                torch.cuda.empty_cache()
        if count > 1:
            return torch.cat((self(frames[: count // 2]), self(frames[count // 2 :])))
        if max(height, width) < 2 * LEAST:
            raise RecycleError(
                f"there is not enough memory for a tile of {width}×{height} pixels; close other programs, or lower "
                f"--scale ({self._reason})"
            )
        return self._halves(frames, axis=-1 if width >= height else -2)

    def _halves(self, frames: Tensor, axis: int) -> Tensor:
        side = frames.shape[axis]
        cut = side // 2 // 4 * 4  # networks need multiples of 4
        start, stop = cut - OVERLAP // 2, cut + OVERLAP // 2
        before, after = self(frames.narrow(axis, 0, stop)), self(frames.narrow(axis, start, side - start))
        steps = torch.arange(OVERLAP, device=before.device, dtype=before.dtype) + 0.5
        ramp = ((steps - OVERLAP / 4) / (OVERLAP / 2)).clamp(0, 1)  # weight 0 near a tile's edge
        ramp = ramp if axis == -1 else ramp[:, None]
        shared = before.narrow(axis, start, OVERLAP) * (1 - ramp) + after.narrow(axis, 0, OVERLAP) * ramp
        rest = after.narrow(axis, OVERLAP, side - start - OVERLAP)
        return torch.cat((before.narrow(axis, 0, start), shared, rest), dim=axis)
