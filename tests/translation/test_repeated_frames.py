"""Frames that equal their predecessor are translated once, and every frame still gets its picture."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recycle.networks.bundle import Bundle
from recycle.translation.exchange import of_rgb
from recycle.translation.lanes import Lanes
from recycle.translation.stream import FrameStream
from recycle.translation.translator import Translator
from recycle.video.frame import Frame

SIZE = (6, 8)


def stream_of(lanes: Lanes, translated: list[int], limit: int) -> FrameStream:
    """A stream whose network makes negatives and lists the grey levels that it sees."""

    def negative(x: Tensor) -> Tensor:
        translated.extend(round(float((level + 1) * 127.5)) for level in x[:, 0, 0, 0])
        return -x

    return FrameStream(lanes, negative, None, 0.0, of_rgb(SIZE, SIZE, torch.uint8), SIZE, limit)


@given(levels=st.lists(st.integers(0, 3), min_size=1, max_size=12), limit=st.integers(1, 5), in_batches=st.booleans())
def test_each_run_of_equal_frames_is_translated_once(levels: list[int], limit: int, in_batches: bool) -> None:
    lanes, translated = Lanes(torch.device("cpu")), list[int]()
    if in_batches:  # as on a GPU
        lanes._pool = None
    frames = (Frame(np.full((*SIZE, 3), level, np.uint8), pts, Fraction(1, 25)) for pts, level in enumerate(levels))
    pictures = list(stream_of(lanes, translated, limit).through(frames))
    assert [int(picture[0, 0, 0]) for picture in pictures] == [255 - level for level in levels]
    assert sorted(translated) == sorted(level for level, _ in groupby(levels))


@pytest.mark.parametrize("in_batches", [False, True])
def test_a_picture_that_stands_still_for_hours_is_passed_on_as_it_comes(in_batches: bool) -> None:
    lanes, read = Lanes(torch.device("cpu")), 0
    if in_batches:
        lanes._pool = None

    def still() -> Iterator[Frame]:
        nonlocal read
        while True:
            read += 1
            yield Frame(np.zeros((*SIZE, 3), np.uint8), read, Fraction(1, 25))

    pictures = stream_of(lanes, [], 3).through(still())
    for number in range(50):
        next(pictures)
        assert read - number <= 6


def test_the_pictures_of_a_stream_are_the_callers_own(bundle: Bundle) -> None:
    translator = Translator(bundle, device="cpu", precision="fp32")
    frame = np.full((16, 16, 3), 90, np.uint8)
    first, second = translator.stream([frame, frame], to="b")
    expected = first.copy()
    first[:] = 0  # for example, the caller draws on it
    assert np.array_equal(second, expected)
