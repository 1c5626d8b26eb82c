"""Translates a stream of frames with a generator, and smooths or stabilises the results."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recycle.translation.exchange import Exchange
from recycle.translation.lanes import Lanes
from recycle.translation.scale import to_float, to_levels
from recycle.translation.stabilise import Seen, Stabiliser, Watch, look, shrink
from recycle.translation.tiles import in_halves
from recycle.video.frame import Frame, Pixels
from recycle.video.shots import CutDetector


class _Item(NamedTuple):
    """A frame in progress."""

    pixels: Pixels
    cut: bool
    """Whether a new shot begins with it; always False if cuts are not needed."""
    repeated: bool
    """Whether it equals the frame before it; always False with smoothing and stabilising, which need every frame."""
    seen: Callable[[], Seen]
    """Returns the input of the stabiliser; fails if there is no stabiliser."""


def _unseen() -> Seen:
    raise AssertionError("there is no stabiliser")


@dataclass(frozen=True)
class FrameStream:
    """Translates frames of one size. Smoothing and stabilising start anew at every cut.

    Without these, a frame that equals its predecessor is not translated again, as in recordings of a screen.
    """

    lanes: Lanes
    network: Callable[[Tensor], Tensor]
    """The generator, for (B, 3, H, W) float32 of the size `inner`."""
    smooth: Callable[[Tensor, Tensor, list[bool]], tuple[Tensor, Tensor]] | None
    """Maps frames, the frames before them and their cuts to the smoothed frames and the past of the next call; None: no
    smoothing."""
    stabilise: float
    """Strength of the flicker reduction, in [0, 1]. 0: off."""
    exchange: Exchange
    """Converts frames to the network's input, and its output to pictures."""
    inner: tuple[int, int]
    """Height and width at which the network runs."""
    limit: int
    """The `limit` of `Lanes.through`. If such a batch does not fit into memory, it is halved."""

    def through(self, frames: Iterator[Frame]) -> Iterator[Pixels]:
        """Yield one picture for each frame, in order."""
        if self.stabilise:
            yield from self._stabilised(frames)
        elif self.smooth is not None:
            yield from self._smoothed(frames)
        else:
            yield from self._each(frames)

    def _each(self, frames: Iterator[Frame]) -> Iterator[Pixels]:
        last: Pixels | None = None
        for group, pictures in self.lanes.through(self._plain, self._items(frames), limit=self.limit):
            fresh = iter(pictures())
            for item in group:
                if not item.repeated:
                    last = next(fresh)
                assert last is not None, "the first frame is not repeated"
                yield last

    def _smoothed(self, frames: Iterator[Frame]) -> Iterator[Pixels]:
        before: Callable[[], Pixels] | None = None
        for y, _ in self._in_shots(self._items(frames)):
            with torch.inference_mode():
                pictures = self._leave(y)
            if before is not None:  # yielded only now, so that a GPU has work during the wait
                yield from before()
            before = pictures
        if before is not None:
            yield from before()

    def _stabilised(self, frames: Iterator[Frame]) -> Iterator[Pixels]:
        watch = Watch(self.inner, threads=torch.get_num_threads())
        stabiliser = Stabiliser(self.stabilise)

        def steady() -> Iterator[NDArray[np.float32]]:
            for y, group in self._in_shots(self._items(frames, watch)):
                outputs = np.ascontiguousarray(y.permute(0, 2, 3, 1).cpu().numpy())
                for item, output in zip(group, outputs, strict=True):
                    yield stabiliser(item.seen(), output)

        def finished(outputs: list[NDArray[np.float32]]) -> Callable[[], Pixels]:
            with torch.inference_mode():
                return self._leave(self.lanes.upload(np.stack(outputs)).permute(0, 3, 1, 2))

        with closing(watch):
            for pictures in self.lanes.through(finished, steady(), limit=self.limit):
                yield from pictures()

    def _items(self, frames: Iterator[Frame], watch: Watch | None = None) -> Iterator[_Item]:
        cut_detector = CutDetector() if self.smooth is not None or watch is not None else None
        before: Pixels | None = None
        for frame in frames:
            cut = cut_detector is not None and cut_detector.is_cut(frame.pixels)
            repeated = cut_detector is None and before is not None and np.array_equal(frame.pixels, before)
            before = frame.pixels
            yield _Item(before, cut, repeated, _unseen if watch is None else watch(before, cut))

    def _in_shots(self, items: Iterator[_Item]) -> Iterator[tuple[Tensor, list[_Item]]]:
        """Groups of frames, translated and, if requested, smoothed: (B, 3, H, W), with their items."""
        past: Tensor | None = None
        for y, group in self.lanes.through(self._with_group, items, limit=self.limit):
            if self.smooth is not None:
                with torch.inference_mode():
                    y, past = self.smooth(y, y[:0] if past is None else past, [item.cut for item in group])
            yield y, group

    def _translated(self, group: list[_Item]) -> Tensor:
        return in_halves(self._translated_at_once, group, torch.cat)

    def _translated_at_once(self, group: list[_Item]) -> Tensor:
        return self.network(self.exchange.enter(self.lanes.upload(np.stack([item.pixels for item in group]))))

    def _leave(self, y: Tensor) -> Callable[[], Pixels]:
        return in_halves(self._leave_at_once, y, _all_of)

    def _leave_at_once(self, y: Tensor) -> Callable[[], Pixels]:
        return self.lanes.download(self.exchange.leave(y))

    def _plain(self, group: list[_Item]) -> tuple[list[_Item], Callable[[], Iterable[Pixels]]]:
        """The group, and a function that returns the pictures of its frames without the repeated ones."""
        fresh = [item for item in group if not item.repeated]
        if not fresh:
            return group, tuple
        with torch.inference_mode():
            return group, self._leave(self._translated(fresh))

    def _with_group(self, group: list[_Item]) -> tuple[Tensor, list[_Item]]:
        with torch.inference_mode():
            return self._translated(group), group


def _all_of(pictures: list[Callable[[], Pixels]]) -> Callable[[], Pixels]:
    return lambda: np.concatenate([part() for part in pictures])


def stabilised_source(frames: Iterable[Frame], strength: float) -> Iterator[Pixels]:
    """Reduce the flicker of untranslated frames, (H, W, 3) uint8 or uint16, by `strength` in (0, 1]."""
    stabiliser, cut_detector, before = Stabiliser(strength), CutDetector(), None
    for frame in frames:
        dtype = torch.uint8 if frame.pixels.dtype == np.uint8 else torch.uint16
        now = shrink(frame.pixels, frame.pixels.shape[:2])
        cut = cut_detector.is_cut(frame.pixels)
        x = to_float(torch.from_numpy(np.ascontiguousarray(frame.pixels))[None])
        y = stabiliser(look(None if cut else before, now), x[0].permute(1, 2, 0).contiguous().numpy())
        yield to_levels(torch.from_numpy(y).permute(2, 0, 1)[None], dtype)[0].numpy()
        before = now
