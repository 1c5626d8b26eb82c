"""Encoders hold fewer frames of very large pictures, and take the options for it."""

import io
from fractions import Fraction
from typing import Any

import av
import pytest

from recycle.config import Codec, EncodeSettings
from recycle.video.codecs import choose_encoder
from recycle.video.lookahead import bounded_options

K4, K8, LARGEST = 3840 * 2160, 7680 * 4320, 16384 * 8640


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1", "prores", "ffv1"])
def test_nothing_changes_up_to_4k(codec: Codec) -> None:
    choice = choose_encoder(EncodeSettings(codec=codec))
    bounded = bounded_options(choice, K4)
    bounded.pop("threads", None)  # of a machine with very many cores
    assert bounded == choice.options


@pytest.mark.parametrize("preset", ["ultrafast", "medium", "placebo"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9"])
@pytest.mark.parametrize("pixels", [K8, LARGEST])
def test_an_encoder_takes_the_options(codec: Codec, preset: str, pixels: int) -> None:
    choice = choose_encoder(EncodeSettings(codec=codec, preset=preset if codec != "vp9" else None))
    options = bounded_options(choice, pixels)
    assert options != choice.options or preset == "ultrafast"
    with av.open(io.BytesIO(), "w", format="nut") as file:
        stream: Any = file.add_stream(choice.encoder.name, rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        packets = 0
        for pts in range(12):
            frame = av.VideoFrame(96, 96, "yuv420p")
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            packets += len(stream.encode(frame))
        assert packets + len(stream.encode(None)) == 12
        assert not set(options) & set(stream.codec_context.options)  # what it does not know is left there


def test_what_a_user_sets_stays() -> None:
    settings = EncodeSettings(options={"x264-params": "rc-lookahead=50", "threads": "2"})
    options = bounded_options(choose_encoder(settings), LARGEST)
    assert options["x264-params"].endswith("rc-lookahead=50")  # the last counts
    assert options["threads"] == "2"
    zero = bounded_options(choose_encoder(EncodeSettings(options={"tune": "zerolatency"})), K8)
    assert "lookahead" not in str(zero)
