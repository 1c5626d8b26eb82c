"""Every audio codec and layout goes into every container completely, or is reported as left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.codec import Codec

from recycle.config import EncodeSettings
from recycle.rendering.segments import open_encoder, open_output
from recycle.rendering.streams import OtherStreams
from recycle.video.codecs import CONTAINERS, choose_encoder
from recycle.video.encode import Picture

LAYOUTS = ("mono", "stereo", "2.1", "5.1", "5.1(side)", "7.1", "unspecified")
KEEPING = ("mov", "avi", "matroska", "flv", "vob")
"""Formats of sources that keep a layout, for some codecs."""
LOSING = ("avi", "asf", "nut")
"""Formats that keep only the number of channels, for some codecs."""
SECONDS = Fraction(2, 5)
SIZE, RATE, FRAMES = 16, 10, 4
RATES = (44100, 48000, 16000, 8000)
MOST_PACKETS = 500
"""A source with more, some with one for each sample, only takes time."""


def encoders() -> list[str]:
    """Encoders of sound, experimental ones too."""
    found = set()
    for name in av.codecs_available:
        try:
            codec = Codec(name, "w")
        except ValueError:  # a decoder
            continue
        if codec.type == "audio" and name != "anull":
            found.add(codec.name)
    return sorted(found)


ENCODERS = encoders()


@dataclass(frozen=True)
class Sound:
    """A source: an encoder, a layout, and what it is stored in."""

    codec: str
    layout: str
    rate: int
    path: Path


def open_sound(codec: str, layout: str, output: Any = None) -> Any:
    """An encoder at the first rate that it takes; None if it does not take the layout."""
    known = Codec(codec, "w").audio_rates
    for rate, bits in product((rate for rate in RATES if not known or rate in known), (0, 64000)):
        context: Any = av.CodecContext.create(codec, "w")
        context.sample_rate, context.layout = rate, "stereo" if layout == "unspecified" else layout
        context.format = next(iter(Codec(codec, "w").audio_formats or ()))
        context.bit_rate, context.options = bits, {"strict": "-2"}
        try:
            context.open()
        except (av.FFmpegError, ValueError):
            continue
        return context
    return None


def write_source(path: Path, form: str, codec: str, context: Any) -> None:
    with av.open(str(path), "w", format=form) as file:
        video: Any = file.add_stream({"flv": "flv1", "vob": "mpeg2video"}.get(form, "mpeg4"), rate=RATE)
        video.width = video.height = SIZE
        sound: Any = file.add_stream(codec, rate=context.sample_rate, options={"strict": "-2"})
        sound.codec_context.layout, sound.bit_rate = context.layout, context.bit_rate or 0
        for index in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((SIZE, SIZE, 3), 20 * index, np.uint8), format="rgb24")
            frame.pts = index
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        time = np.arange(round(context.sample_rate * SECONDS)) / context.sample_rate
        waves = [0.3 * np.sin(2 * np.pi * (200 + 60 * n) * time) for n in range(context.layout.nb_channels)]
        samples = np.stack(waves, axis=1).astype(np.float32).reshape(1, -1)
        heard: Any = av.AudioFrame.from_ndarray(samples, format="flt", layout=context.layout.name)
        heard.sample_rate, heard.pts, heard.time_base = context.sample_rate, 0, Fraction(1, context.sample_rate)
        file.mux(sound.encode(heard))
        file.mux(sound.encode(None))


def hear(path: Path) -> tuple[av.AudioLayout, Fraction] | None:
    """Layout and length, in seconds, of the decoded sound of a file; None if it has none, or in odd pieces."""
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return None
        stream = file.streams.audio[0]
        packets = list(file.demux(stream))
        times = [packet.pts * packet.time_base for packet in packets if packet.pts is not None]
        if len(packets) > MOST_PACKETS or (times and times[-1] - times[0] > 2 * SECONDS):
            return None
        frames = [frame for packet in packets for frame in stream.decode(packet)]
        layout = frames[0].layout if frames else stream.codec_context.layout
        return layout, sum((Fraction(frame.samples, frame.sample_rate) for frame in frames), Fraction(0))


def name_of(layout: av.AudioLayout) -> str:
    return "unspecified" if {channel.name for channel in layout.channels} == {"NONE"} else layout.name


def sources(folder: Path, codecs: list[str]) -> Iterator[Sound]:
    """A source of each codec in each layout, where FFmpeg can make one."""
    for codec in codecs:
        for layout in LAYOUTS:
            context = open_sound(codec, layout)
            for form in (LOSING if layout == "unspecified" else KEEPING) if context is not None else ():
                path = folder / f"{codec} {layout}.{form}"
                try:
                    write_source(path, form, codec, context)
                    heard = hear(path)
                except (av.FFmpegError, ValueError, IndexError):
                    continue
                if heard is not None and name_of(heard[0]) == layout and abs(heard[1] - SECONDS) < Fraction(1, 10):
                    yield Sound(codec, layout, context.sample_rate, path)
                    break


@cache
def picture_of(codec: Any) -> tuple[Any, Picture]:
    settings = EncodeSettings(codec=codec, preset="8" if codec == "vp9" else "ultrafast")
    return choose_encoder(settings), Picture(SIZE, SIZE, Fraction(RATE), Fraction(1, 1000))


def write_whole(others: OtherStreams, output: Path, container: str) -> list[str]:
    """What `render` writes, with a black picture; what went wrong on the way."""
    choice, picture = picture_of("vp9" if container == "webm" else "h264")
    others.prove(choice, picture)
    with open_output(str(output), container, picture) as file:
        encoder = open_encoder(file, choice, picture)
        with others.attach(file, encoder.stream, shift=Fraction(0), first=Fraction(0)) as passage:
            for pts in range(0, 1000 * FRAMES // RATE, 1000 // RATE):
                passage.copy_until(Fraction(pts, 1000))
                encoder.write(np.zeros((SIZE, SIZE, 3), np.uint8), pts)
            encoder.close()
            passage.finish()
    return passage.late


GROUPS = 4


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_sound_is_kept_or_reported_before_the_work(tmp_path: Path, group: int) -> None:
    tried = 0
    for sound in sources(tmp_path, ENCODERS[group::GROUPS]):
        for container in sorted(set(CONTAINERS.values())):
            tried += 1
            output = tmp_path / "output"
            with OtherStreams(sound.path, container) as others:
                late = write_whole(others, output, container)
                told = " ".join(others.notices)
            heard = hear(output)
            case = (sound, container, told, heard)
            assert late == [], case
            if heard is None:
                assert "left out" in told, case
                continue
            assert abs(heard[1] - SECONDS) <= Fraction(2 * 1024, min(sound.rate, 22050)), case
            source = hear(sound.path)
            assert source is not None
            assert heard[0].nb_channels >= source[0].nb_channels or "mixed to" in told, case
    assert tried > 100, tried
