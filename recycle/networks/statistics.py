"""Statistics of normalisations over a whole frame that is processed in tiles."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Barrier, Lock
from typing import NamedTuple

import torch
from torch import Tensor

_ROUNDING = 1e-12
"""A channel whose variance is at most this share of its squared mean is flat: the rest is rounding, which every
normalisation would amplify. It becomes 0."""
_CURRENT: ContextVar["TileStatistics | None"] = ContextVar("statistics", default=None)


class Core(NamedTuple):
    """The part of a tile that no other tile counts: `start` and `stop` of rows and columns, relative to the tile."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    size: tuple[int, int]
    """Height and width of the tile, with the padding that its network adds."""

    def of(self, x: Tensor) -> Tensor:
        """This part of the tile's maps (B, C, H, W), which may be smaller than the tile by a whole factor."""
        for axis, (start, stop), side in ((-2, self.rows, self.size[0]), (-1, self.columns, self.size[1])):
            stride = side // x.shape[axis]
            x = x.narrow(axis, start // stride, (stop - start) // stride)
        return x


class Moments(NamedTuple):
    """Number of pixels, mean and variance, (B, C) each, of a layer's input."""

    pixels: int
    mean: Tensor
    variance: Tensor


class FrameStatistics:
    """Lets the tiles of a frame share the statistics of their normalisations, so that these are exact.

    Each tile runs in a thread of its own. At each normalisation, a tile waits until all tiles have computed the input
    of that layer. Only one tile computes at a time, so that the memory of one suffices, beside one map of each.
    """

    def __init__(self, tiles: int) -> None:
        self._moments: dict[int, Moments] = {}
        self._turn = Lock()
        self._all_here = Barrier(tiles, self._pool)
        self._of_frame: Moments | None = None

    @contextmanager
    def tile(self, number: int, core: Core) -> Iterator[None]:
        """Within it, this thread computes the tile `number`. An exception ends the waiting of the others, with a
        BrokenBarrierError."""
        token = _CURRENT.set(TileStatistics(self, number, core))
        try:
            with self._turn:
                yield
        except BaseException:
            self._all_here.abort()
            raise
        finally:
            _CURRENT.reset(token)

    def shared(self, number: int, moments: Moments) -> Moments:
        """Wait for the other tiles, and return the moments of the whole frame."""
        self._moments[number] = moments
        self._turn.release()
        try:
            self._all_here.wait()
        finally:
            self._turn.acquire()
        assert self._of_frame is not None
        return self._of_frame

    def _pool(self) -> None:
        self._of_frame = pooled([moments for _, moments in sorted(self._moments.items())])


class TileStatistics(NamedTuple):
    """The statistics of a frame, as one of its tiles sees them."""

    frame: FrameStatistics
    number: int
    core: Core

    def moments(self, x: Tensor) -> Moments:
        """Moments of the whole frame, for the maps (B, C, H, W) of the tile; waits for the other tiles."""
        core = self.core.of(x)
        variance, mean = torch.var_mean(core.float(), dim=(2, 3), correction=0)
        return self.frame.shared(self.number, Moments(core.shape[2] * core.shape[3], mean, variance))

    def normalised(self, x: Tensor, eps: float) -> Tensor:
        """(B, C, H, W) of the tile → the same shape, normalised by the mean and variance over the whole frame."""
        _, mean, variance = self.moments(x)
        scale = (variance + eps).rsqrt().masked_fill(variance <= _ROUNDING * mean.square(), 0)
        shift = -mean * scale
        return torch.addcmul(shift.to(x.dtype)[..., None, None], x, scale.to(x.dtype)[..., None, None])


def current() -> TileStatistics | None:
    """The statistics of the tile that this thread computes; None outside of tiles."""
    return _CURRENT.get()


def pooled(parts: list[Moments]) -> Moments:
    """The moments of all pixels, from those of parts of them.

    Source: Chan et al., "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979).
    """
    count = sum(part.pixels for part in parts)
    mean = sum((part.pixels / count * part.mean for part in parts), start=torch.zeros_like(parts[0].mean))
    spread = (part.pixels / count * (part.variance + (part.mean - mean).square()) for part in parts)
    return Moments(count, mean, sum(spread, start=torch.zeros_like(mean)))
