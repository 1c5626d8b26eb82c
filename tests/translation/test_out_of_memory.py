"""A batch that does not fit into memory is halved, wherever memory runs out between upload and download."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from recycle.translation import lanes as module
from recycle.translation.exchange import of_rgb
from recycle.translation.lanes import Lanes
from recycle.translation.stream import FrameStream
from recycle.translation.tiles import in_halves
from recycle.video.frame import Frame

SIZE = (6, 8)
CPU = torch.device("cpu")


class Batches(Lanes):
    """Batches as on a GPU, which runs out of memory if more than `most` frames are uploaded, or downloaded."""

    def __init__(self, most_up: int, most_down: int) -> None:
        super().__init__(CPU)
        self._pool = None
        self._most_up, self._most_down = most_up, most_down

    def upload(self, pixels: NDArray[Any]) -> Tensor:
        if len(pixels) > self._most_up:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().upload(pixels)

    def download(self, tensor: Tensor) -> Callable[[], NDArray[Any]]:
        if len(tensor) > self._most_down:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().download(tensor)


@given(count=st.integers(1, 20), limit=st.integers(1, 8), up=st.integers(1, 8), down=st.integers(1, 8))
def test_every_frame_is_translated_whatever_fits(count: int, limit: int, up: int, down: int) -> None:
    stream = FrameStream(Batches(up, down), torch.neg, None, 0.0, of_rgb(SIZE, SIZE, torch.uint8), SIZE, limit)
    frames = (Frame(np.full((*SIZE, 3), 10 * pts, np.uint8), pts, Fraction(1, 25)) for pts in range(count))
    assert [int(picture[0, 0, 0]) for picture in stream.through(frames)] == [255 - 10 * pts for pts in range(count)]


def test_a_single_frame_that_does_not_fit_is_an_error() -> None:
    stream = FrameStream(Batches(0, 8), torch.neg, None, 0.0, of_rgb(SIZE, SIZE, torch.uint8), SIZE, 8)
    with pytest.raises(torch.OutOfMemoryError):
        list(stream.through(iter([Frame(np.zeros((*SIZE, 3), np.uint8), 0, Fraction(1, 25))])))


def test_other_errors_are_not_retried() -> None:
    calls = []

    def fail(items: list[Any]) -> int:
        calls.append(items)
        raise RuntimeError("another fault")

    with pytest.raises(RuntimeError, match="another fault"):
        in_halves(fail, [1, 2, 3], max)
    assert calls == [[1, 2, 3]]


@pytest.mark.parametrize(("free", "limit"), [(None, 8), (1 << 40, 8), (2 * 5 * (100 + 16 * 10), 5), (0, 1)])
def test_the_batch_of_a_gpu_follows_from_its_free_memory(
    free: int | None, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "free_memory", lambda device: free)
    assert Batches(8, 8).limit(100, 10) == limit
