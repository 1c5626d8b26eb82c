"""Clips of extracted footage: windows of T frames that never cross a cut or a gap."""

import copy
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from recycle.dataset.shots import Shot
from recycle.errors import FootageError
from recycle.plural import counted
from recycle.system.cores import capped, cores
from recycle.system.workers import end_with_parent, without_main

LOADERS = 4
"""Default maximum number of processes that load clips for a GPU."""
FEW_CLIPS = 200
"""A domain with fewer clips than this counts as small."""


class Windows(Sequence[tuple[int, int]]):
    """All windows of `span` frames in shots of the given lengths, as (shot, first frame), in order.

    Stores one number per shot.
    """

    def __init__(self, lengths: Iterable[int], span: int) -> None:
        counts = np.array([max(0, length - span + 1) for length in lengths], dtype=np.int64)
        self._starts = np.concatenate(([0], np.cumsum(counts)))

    def __len__(self) -> int:
        return int(self._starts[-1])

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, int]]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, int] | list[tuple[int, int]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        shot = int(np.searchsorted(self._starts, index, side="right")) - 1
        return shot, index - int(self._starts[shot])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Windows) and np.array_equal(self._starts, other._starts)

    def __hash__(self) -> int:
        return hash(len(self))

    def used(self) -> list[int]:
        """Indices of the shots that hold at least one window."""
        return np.flatnonzero(np.diff(self._starts)).tolist()


class DomainClips:
    """The clips of one domain, in a random order that depends only on the seed."""

    def __init__(
        self,
        shots: Sequence[Shot],
        *,
        name: str,
        frames: int,
        strides: tuple[int, int] = (1, 1),
        seed: int,
        size: tuple[int, int] | None = None,
        called: str = "",
        masked: bool = False,
    ) -> None:
        """Create the clips of `frames` frames each.

        `name` is the letter of the domain; `called` is its name in messages, by default the letter. `strides` is the
        range of the temporal stride, which is drawn for each clip. `size` is the (height, width) to which clips are
        cropped, by default that of the smallest frames. `masked` adds the masks to the clips, as a fourth channel.
        Raises FootageError if no shot is long enough for a clip with the smallest stride.
        """
        self.shots, self.frames, self.strides, self.masked = tuple(shots), frames, strides, masked
        span = (frames - 1) * strides[0] + 1
        self.windows = Windows((len(shot.files) for shot in shots), span)
        if not self.windows:
            longest = max((len(shot.files) for shot in shots), default=0)
            raise FootageError(
                f"domain {called or name} has too little footage: its longest shot has {counted(longest, 'frame')} for "
                f"training, a clip needs {span}; add footage or extract it at a higher frame rate"
            )
        used = [shots[s] for s in self.windows.used()]
        self.canvas = min(shot.height for shot in used), min(shot.width for shot in used)
        self._size = size or self.canvas
        self.name, self.called, self._seed = name, called or name, [seed, ord(name[0])]
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def clip(self, number: int) -> Tensor:
        """Clip `number` (0, 1, …): uint8 (T, 3, H, W). Each epoch visits every window once, in a new random order."""
        window, random = self.draw(number)
        return self.read(*window, random)

    def draw(self, number: int) -> tuple[tuple[int, int, int], np.random.Generator]:
        """Shot, first frame and stride of clip `number`, and the random generator for its crop."""
        epoch, position = divmod(number, len(self.windows))
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([*self._seed, epoch]).permutation(len(self.windows))
        shot, start = self.windows[int(self._order[1][position])]
        random = np.random.default_rng([*self._seed, epoch, position])
        return (shot, start, self.stride(shot, start, random)), random

    def stride(self, shot: int, start: int, random: np.random.Generator) -> int:
        """Random temporal stride of a clip that starts at frame `start` of a shot, limited so that the clip fits."""
        low, high = self.strides
        if self.frames == 1 or high == low:
            return low
        fitting = (len(self.shots[shot].files) - 1 - start) // (self.frames - 1)
        return int(random.integers(low, min(high, fitting) + 1))

    def read(self, shot: int, start: int, stride: int, random: np.random.Generator) -> Tensor:
        """The clip that starts at frame `start` of a shot, as `cut` returns it, cropped at a random position."""
        return self.cut(shot, start, stride, self.place(shot, self._size, random), self._size)

    def place(self, shot: int, size: tuple[int, int], random: np.random.Generator) -> tuple[int, int]:
        """Random top and left of a crop of `size` (height, width) in the frames of a shot."""
        height, width = size
        top = int(random.integers(self.shots[shot].height - height + 1))
        return top, int(random.integers(self.shots[shot].width - width + 1))

    def cut(self, shot: int, start: int, stride: int, place: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """The clip that starts at frame `start` of a shot: uint8 (T, 3, *size), cropped with its top left corner at
        `place`. With masks it has 4 channels."""
        own, numbers = self.shots[shot], range(start, start + self.frames * stride, stride)
        frames = (own.read_masked(n) if self.masked else own.read(n) for n in numbers)
        rows, columns = (slice(first, first + side) for first, side in zip(place, size, strict=True))
        return torch.stack([frame[:, rows, columns] for frame in frames])


class UnpairedClips(Dataset[tuple[Tensor, Tensor]]):
    """Sample i is the i-th clip of a and the i-th clip of b, drawn independently; uint8 (T, 3, H, W) each.

    A sample depends only on the seed and i: any number of loading processes gives the same samples, and a resumed run
    continues at its step.
    """

    def __init__(self, a: DomainClips, b: DomainClips, length: int) -> None:
        self.a, self.b, self.length = a, b, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        return self.a.clip(number), self.b.clip(number)


class PairedClips(Dataset[tuple[Tensor, Tensor]]):
    """Sample i is a clip of a and its counterpart in b: the same frames of the same shot, cropped at the same position.

    Raises FootageError if the frames of both domains differ in size.
    """

    def __init__(self, a: DomainClips, b: DomainClips, length: int) -> None:
        if a.windows != b.windows or any((x.width, x.height) != (y.width, y.height) for x, y in _pairs(a, b)):
            raise FootageError(
                "paired footage needs frames of the same size in both domains; extract both with the same settings"
            )
        self.a, self.b, self.length = a, b, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        window, random = self.a.draw(number)
        return self.a.read(*window, copy.deepcopy(random)), self.b.read(*window, random)


def _pairs(a: DomainClips, b: DomainClips) -> Iterator[tuple[Shot, Shot]]:
    return zip(a.shots, b.shots, strict=True)


def loading_processes(workers: int | None, device: torch.device, *, beside: int = 1) -> int:
    """Number of processes that load clips for one device: `workers`, limited by the cores, or the default if None.

    `beside` is the number of training processes on this machine, which share its cores.
    """
    if workers is not None:
        return capped(workers)
    return 0 if device.type == "cpu" else min(LOADERS, max(1, cores() // max(1, beside) - 1))


def load_clips(
    clips: UnpairedClips | PairedClips,
    *,
    first: int,
    batch_size: int,
    every: int | None = None,
    workers: int,
    pin_memory: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of the samples first, first + 1, …: two uint8 tensors (B, T, 3, H, W). Can be iterated once.

    `every` is the distance between the first samples of consecutive batches; if it exceeds `batch_size`, other
    processes load the samples between.
    """
    starts = range(first, len(clips), every or batch_size)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        clips,
        batch_sampler=(list(range(start, start + batch_size)) for start in starts),
        num_workers=workers,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        multiprocessing_context="forkserver" if workers else None,
        worker_init_fn=_start_loading,
        generator=torch.Generator(),  # drawing the seed from the global state would change a resumed run
    )
    with without_main():
        batches = iter(loader)
    yield from batches


def _start_loading(worker: int) -> None:
    """Ignore Ctrl-C and a closing terminal in this loading process, and end when the training process ends.

    These signals reach all processes; only the training process handles them: it finishes its step and saves. When the
    loading processes end, so do the fork server and the resource tracker, whose pipes they hold open.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()
