"""Segments are encoded at the same time, reported in order, and abandoned without a trace of a deadlock."""

import threading
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recycle.config import EncodeSettings, TranslateSettings
from recycle.rendering import prepare
from recycle.rendering.encoders import encode_segments, encoders_at_once
from recycle.rendering.render import render
from recycle.rendering.stretch import Transform
from recycle.video.codecs import choose_encoder
from recycle.video.encode import write_video

DOUBLE = 1 << 29
"""Bytes of which one encoder cannot hold two."""


@given(lengths=st.lists(st.integers(1, 6), max_size=6), at_once=st.integers(1, 4), size=st.sampled_from([0, 1, DOUBLE]))
def test_all_items_arrive_in_order(lengths: list[int], at_once: int, size: int) -> None:
    entries = [(segment, item) for segment, length in enumerate(lengths) for item in range(length)]
    seen: dict[int, list[int]] = {}

    def encode(segment: int, items: Iterator[int]) -> None:
        seen[segment] = list(items)

    finished = list(encode_segments(iter(entries), encode, at_once=at_once, size=lambda item: size))
    assert finished == list(range(len(lengths)))
    assert seen == {segment: [item for _, item in group] for segment, group in groupby(entries, lambda entry: entry[0])}


def test_as_many_segments_as_allowed_are_encoded_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)

    def encode(segment: int, items: Iterator[int]) -> None:
        list(items)
        together.wait()  # passes only if three segments are here

    entries = ((segment, 0) for segment in range(6))
    assert list(encode_segments(entries, encode, at_once=3, size=lambda item: 1)) == list(range(6))


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_error_of_an_encoder_is_raised_and_ends_the_others(at_once: int, after: int) -> None:
    ended = []

    def encode(segment: int, items: Iterator[int]) -> None:
        try:
            for number, _ in enumerate(items):
                if segment == 1 and number == after:
                    raise OSError("no space left")
            if segment == 1:
                raise OSError("no space left")
        finally:
            ended.append(segment)

    entries = ((segment, 0) for segment in range(9) for _ in range(4))
    with pytest.raises(OSError, match="no space left"):
        list(encode_segments(entries, encode, at_once=at_once, size=lambda item: DOUBLE))
    assert 1 in ended
    assert threading.active_count() == 1 or not any("encoder" in thread.name for thread in threading.enumerate())


def test_an_error_of_the_items_abandons_the_segment() -> None:
    completed = []

    def encode(segment: int, items: Iterator[int]) -> None:
        list(items)
        completed.append(segment)

    def entries() -> Iterator[tuple[int, int]]:
        yield from ((0, 0), (0, 1), (1, 0))
        raise ValueError("damaged")

    with (
        pytest.raises(ValueError, match="damaged"),
        closing(encode_segments(entries(), encode, at_once=1, size=lambda item: 1)) as finished,
    ):
        list(finished)
    assert completed == [0]


@pytest.mark.parametrize(
    ("count", "pixels", "at_once"), [(2, 100, 1), (7, 100, 1), (8, 100, 2), (64, 100, 4), (64, 7680 * 4320, 1)]
)
def test_the_number_of_encoders_follows_from_cores_and_size(
    count: int, pixels: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recycle.rendering.encoders.cores", lambda: count)
    assert encoders_at_once(choose_encoder(EncodeSettings()), pixels) == at_once


def test_a_video_is_the_same_whether_segments_are_encoded_at_once_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    frames = (random.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(310))  # three segments
    write_video(tmp_path / "in.mp4", frames, fps=Fraction(25))
    identity = Transform(lambda frames, info: (frame.pixels for frame in frames))
    for at_once in (1, 3):
        monkeypatch.setattr(prepare, "encoders_at_once", lambda choice, pixels, count=at_once: count)
        render(tmp_path / "in.mp4", tmp_path / f"{at_once}.mp4", identity, settings=TranslateSettings())
    assert (tmp_path / "1.mp4").read_bytes() == (tmp_path / "3.mp4").read_bytes()
