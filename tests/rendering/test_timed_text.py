"""Subtitles that overlap, in containers whose samples cannot."""

import struct
from fractions import Fraction
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recycle.config import TranslateSettings
from recycle.rendering.timed_text import Sample, Screen, merged
from recycle.translation.translator import Translator
from tests.rendering.test_render import MakeVideo

FAST = TranslateSettings(preset="ultrafast")


def sample(text: str, *styles: tuple[int, int], rest: bytes = b"") -> bytes:
    data = text.encode()
    box = b""
    if styles:
        records = b"".join(struct.pack(">HH8s", *style, b"\0\1\2\x10\xff\xff\xff\xff") for style in styles)
        box = struct.pack(">I4sH", 10 + len(records), b"styl", len(styles)) + records
    return struct.pack(">H", len(data)) + data + box + rest


def text_of(data: bytes) -> str:
    (length,) = struct.unpack_from(">H", data)
    return data[2 : 2 + length].decode()


@given(
    st.lists(st.tuples(st.integers(0, 30), st.one_of(st.none(), st.integers(0, 12))), min_size=1, max_size=10).map(
        lambda lines: sorted(lines, key=itemgetter(0))
    )
)
def test_at_each_time_the_screen_shows_the_lines_of_this_time(lines: list[tuple[int, int | None]]) -> None:
    screen = Screen()
    given_lines = [
        Sample(start, None if length is None else start + length, sample(f"line {number}"))
        for number, (start, length) in enumerate(lines)
    ]
    made = [one for line in given_lines for one in screen.add(line)] + list(screen.finish())
    for before, after in pairwise(made):
        assert before.end is not None
        assert before.end <= after.start
        assert before.start < before.end
    starts = sorted({start for start, _ in lines})

    def end(line: Sample) -> int:
        """A line without an end is shown until the next one starts."""
        return line.end if line.end is not None else next(s for s in (*starts, 10**6) if s > line.start)

    for time in range(45):
        expected = [text_of(line.data) for line in given_lines if line.start <= time < end(line)]
        shown = [text_of(one.data) for one in made if one.start <= time < end(one)]
        assert shown == (["\n".join(expected)] if expected else [])


def test_styles_move_with_their_text_and_equal_lines_count_once() -> None:
    first, second = sample("Grüße", (0, 5), rest=b"\0\0\0\x0chlit\0\0\0\1"), sample("two", (1, 3))
    assert merged([first, second, first]) == sample("Grüße\ntwo", (0, 5), (7, 9), rest=b"\0\0\0\x0chlit\0\0\0\1")
    assert merged([sample("a"), sample("b")]) == sample("a\nb")
    assert merged([first]) == first
    empty = sample("")
    assert merged([empty, sample("a"), empty, sample("b")]) == sample("a\nb")
    assert merged([empty]) == empty


def test_a_text_that_does_not_fit_is_left_out() -> None:
    long = sample("x" * 40_000)
    assert merged([long, sample("y" * 40_000), sample("z")]) == sample("x" * 40_000 + "\nz")


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_overlapping_subtitles_keep_their_times(suffix: str, make_video: MakeVideo, tmp_path: Path) -> None:
    """Anna speaks from 0.2 s to 0.9 s, Bert from 0.4 s to 0.6 s, and Carl at once after Anna."""
    source, output = tmp_path / "in.mkv", tmp_path / f"out.{suffix}"
    lines = [(200, 900, b"Anna"), (400, 600, b"Bert"), (900, 950, b"Carl")]
    with av.open(str(make_video(stamps=range(0, 30 * 512, 512)))) as before, av.open(str(source), "w") as after:
        target = after.add_stream_from_template(before.streams.video[0])
        words = after.add_mux_stream("srt")
        words.time_base = Fraction(1, 1000)
        for packet in before.demux(before.streams.video[0]):
            if packet.size:
                packet.stream = target
                after.mux(packet)
        for start, end, line in lines:
            said: Any = av.Packet(line)
            said.stream, said.time_base = words, Fraction(1, 1000)
            said.pts = said.dts = start
            said.duration = end - start
            after.mux(said)
    Translator(None, device="cpu").translate_video(source, output, to="b", settings=FAST)
    shown = []
    with av.open(str(output)) as container:
        for sent in container.demux(container.streams.subtitles[0]):
            if sent.size > 2:
                start, unit = sent.pts or 0, sent.time_base * 1000
                end = start + (sent.duration or 0)
                shown.append((round(start * unit), round(end * unit), text_of(bytes(sent))))
    assert shown == [(200, 400, "Anna"), (400, 600, "Anna\nBert"), (600, 900, "Anna"), (900, 950, "Carl")]
