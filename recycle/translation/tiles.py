"""Splits work that does not fit into memory: first batches, then frames into overlapping tiles."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product
from threading import BrokenBarrierError
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from recycle.errors import RecycleError
from recycle.networks.generator import GeneratorNetwork
from recycle.networks.statistics import Core, FrameStatistics
from recycle.system.out_of_memory import is_out_of_memory

Network = Callable[[Tensor], Tensor]
Items = TypeVar("Items", list[Any], Tensor)
Result = TypeVar("Result")

RAMP = 32
"""Width in pixels of the strip in which neighbouring tiles are blended."""


def in_halves(work: Callable[[Items], Result], items: Items, join: Callable[[list[Result]], Result]) -> Result:
    """work(items), where `items` are a list or a batch; if memory runs out, join([work(first half), work(second)]).

    Raises the error if a single item does not fit.
    """
    try:
        return work(items)
    except (RuntimeError, MemoryError) as error:
        if len(items) < 2 or not is_out_of_memory(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(items) // 2
    return join([in_halves(work, part, join) for part in (items[:half], items[half:])])


class _Stretch(NamedTuple):
    """A tile along one axis."""

    side: int
    """Length of the frame."""
    core: tuple[int, int]
    """Where the tile begins and ends if tiles do not overlap."""
    whole: tuple[int, int]
    """The same with the overlap."""

    @property
    def length(self) -> int:
        """Number of pixels, with the overlap."""
        return self.whole[1] - self.whole[0]

    def of(self, frames: Tensor, axis: int) -> Tensor:
        """This part of frames (B, C, H, W), as a view."""
        return frames.narrow(axis, self.whole[0], self.length)

    def weight(self) -> Tensor:
        """Weight of each pixel; the weights of all tiles add up to 1."""
        place = torch.arange(*self.whole) + 0.5
        weight = torch.ones_like(place)
        if self.core[0] > 0:
            weight = weight * ((place - self.core[0]) / RAMP + 0.5).clamp(0, 1)
        if self.core[1] < self.side:
            weight = weight * ((self.core[1] - place) / RAMP + 0.5).clamp(0, 1)
        return weight

    def core_within(self, multiple: int) -> tuple[int, int, int]:
        """Start and stop of the core relative to the tile, and the length of the tile, padded to a multiple."""
        start, length = self.core[0] - self.whole[0], -(-self.length // multiple) * multiple
        return start, length if self.core[1] == self.side else self.core[1] - self.whole[0], length


class _Tile(NamedTuple):
    """A tile of a frame."""

    rows: _Stretch
    columns: _Stretch


class WithinMemory:
    """A network whose input is split when memory runs out: first the batch into halves, then the frame into tiles.

    Tiles overlap by as much as the network sees around a pixel, and are blended linearly. Normalisations use the
    statistics of the whole frame (`recycle.networks.statistics`). So the result is that of the whole frame. A size that
    did not fit is not tried again: this saves time, and all frames of a video are split alike.
    """

    def __init__(self, network: Network, *, reach: int = 16, multiple: int = 4) -> None:
        """`reach` and `multiple` are those of the network; see `recycle.networks.generator.GeneratorNetwork`."""
        self._network = network
        self._multiple = multiple
        self._halo = -(-(reach + RAMP // 2) // multiple) * multiple
        self._too_many = math.inf  # fewest pixels of a batch (B × H × W) that did not fit
        self._reason = ""

    def __call__(self, frames: Tensor) -> Tensor:
        """Return network(frames), of the shape (B, C, H, W) of `frames`.

        Raises RecycleError if even the smallest tile does not fit.
        """
        count, _, height, width = frames.shape
        if count * height * width < self._too_many and (out := self._attempt(frames)) is not None:
            return out
        if count > 1:
            return torch.cat((self(frames[: count // 2]), self(frames[count // 2 :])))
        return self._in_tiles(frames)

    def _attempt(self, frames: Tensor) -> Tensor | None:
        """network(frames); None if memory runs out."""
        try:
            return self._network(frames)
        except (RuntimeError, MemoryError) as error:
            self._note(error, frames.numel() // frames.shape[1])
        if frames.is_cuda:
            torch.cuda.empty_cache()
        return None

    def _note(self, error: Exception, pixels: int) -> None:
        """Remember that so many pixels do not fit. Raises errors other than a lack of memory."""
        if not is_out_of_memory(error):
            raise error
        self._reason = str(error).strip().partition("\n")[0]
        self._too_many = min(self._too_many, pixels)

    def _in_tiles(self, frame: Tensor) -> Tensor:
        for tiles in self._grids(frame.shape[-2], frame.shape[-1]):
            if max(rows.length * columns.length for rows, columns in tiles) >= self._too_many:
                continue
            if (out := self._blended(frame, tiles)) is not None:
                return out
        raise RecycleError(
            f"there is not enough memory for a tile of a frame of {frame.shape[-1]}×{frame.shape[-2]} pixels; close "
            f"other programs, or lower --scale ({self._reason})"
        )

    def _grids(self, height: int, width: int) -> Iterator[list[_Tile]]:
        """Grids of tiles, from two large ones to many small ones."""
        rows = columns = 1
        while max(height // rows, width // columns) >= 2 * max(self._halo, 2 * RAMP):
            longer = width // columns >= height // rows
            rows, columns = (rows, 2 * columns) if longer else (2 * rows, columns)
            yield [_Tile(*pair) for pair in product(self._stretches(height, rows), self._stretches(width, columns))]

    def _stretches(self, side: int, parts: int) -> list[_Stretch]:
        cuts = [0, *(side * i // parts // self._multiple * self._multiple for i in range(1, parts)), side]
        return [
            _Stretch(side, (start, stop), (max(0, start - self._halo), min(side, stop + self._halo)))
            for start, stop in pairwise(cuts)
        ]

    def _blended(self, frame: Tensor, tiles: list[_Tile]) -> Tensor | None:
        """All tiles, blended; None if one does not fit."""
        statistics, inference = FrameStatistics(len(tiles)), torch.is_inference_mode_enabled()
        blended = torch.zeros_like(frame)

        def add(number: int, tile: _Tile) -> None:
            part = tile.rows.of(tile.columns.of(frame, -1), -2)
            with torch.inference_mode(inference), statistics.tile(number, self._core(tile)):
                weight = tile.rows.weight()[:, None] * tile.columns.weight()
                out = self._network(part) * weight.to(frame)
                tile.rows.of(tile.columns.of(blended, -1), -2).add_(out)

        with ThreadPoolExecutor(len(tiles), "tile") as pool:
            work = [pool.submit(add, *each) for each in enumerate(tiles)]
        errors = [error for done in work if (error := done.exception()) is not None]
        cause = next((error for error in errors if not isinstance(error, BrokenBarrierError)), None)
        if cause is None:
            return blended
        if not isinstance(cause, RuntimeError | MemoryError):
            raise cause
        self._note(cause, max(rows.length * columns.length for rows, columns in tiles))
        return None

    def _core(self, tile: _Tile) -> Core:
        """The core of a tile. At the end of an axis it contains the padding, as the whole frame does."""
        rows, columns = (each.core_within(self._multiple) for each in tile)
        return Core(rows[:2], columns[:2], (rows[2], columns[2]))


def tiled(network: Network, generator: GeneratorNetwork) -> WithinMemory:
    """`network`, which computes `generator` for frames of any size, with tiles that suit the generator.

    Make one for each stream, because it remembers what did not fit, and other files may find more free memory.
    """
    multiple = max(generator.multiple, generator.pads_to)
    return WithinMemory(network, reach=generator.reach, multiple=multiple)
