"""A codec from outside, one row and one entry, is written like those that ship."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from recycle.config import EncodeSettings, TranslateSettings, encoder_options, parse_pipeline, parse_settings
from recycle.errors import ConfigError, Interrupted, OutputError
from recycle.networks.bundle import Bundle
from recycle.rendering.work import SEGMENT
from recycle.translation.translator import Translator
from recycle.video import codecs
from recycle.video.codecs import Encoder, add_codec, takes_codec
from recycle.video.kinds import open_source
from tests.jobs import interrupted_at
from tests.translation.conftest import MakeVideo

STILLS = Encoder("png", {8: "rgb24"}, None, options=(("pred", "paeth"),))
"""Lossless RGB, each frame a PNG."""


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each test alone."""
    monkeypatch.setattr(codecs, "ENCODERS", dict(codecs.ENCODERS))
    for table in ("_ENCODERS", "_OPTIONS"):
        monkeypatch.setattr(encoder_options, table, dict(getattr(encoder_options, table)))
    add_codec("stills", STILLS, options=["pred", "dpi"])


def settings(**given: object) -> TranslateSettings:
    return parse_settings(TranslateSettings, {"batch_size": 4, **given})


def frames_of(path: Path) -> list[tuple[Fraction, bytes]]:
    with open_source(path) as reader:
        return [(frame.seconds, frame.pixels.tobytes()) for frame in reader]


def test_a_codec_from_outside_is_translated_to_and_resumed(
    make_video: MakeVideo, bundle: Bundle, tmp_path: Path
) -> None:
    source = make_video(stamps=range(0, (SEGMENT + 20) * 512, 512))
    translator, output = Translator(bundle, device="cpu"), tmp_path / "out.mov"
    with pytest.raises(Interrupted, match=f"{SEGMENT} frames are kept"):
        translator.translate_video(
            source, output, to="b", settings=settings(codec="stills"), job=interrupted_at(SEGMENT + 10)
        )
    report = translator.translate_video(source, output, to="b", settings=settings(codec="stills"))
    assert (report.frames, report.resumed) == (SEGMENT + 20, SEGMENT)
    with av.open(str(output)) as file:
        assert file.streams.video[0].codec_context.name == "png"
        assert len(file.streams.audio) == 2
    known = tmp_path / "known.mp4"
    translator.translate_video(source, known, to="b", settings=settings(codec="ffv1"))
    assert frames_of(output) == frames_of(known)


def test_a_pipeline_file_may_name_it_and_its_options() -> None:
    pipeline = parse_pipeline({"translate": {"codec": "stills", "options": {"pred": "up"}}}, where="test")
    assert str(pipeline.translate.codec) == "stills"
    with pytest.raises(ConfigError, match="'passlogfile' is not allowed for png"):
        parse_settings(EncodeSettings, {"codec": "stills", "options": {"passlogfile": "victim"}})
    with pytest.raises(ConfigError, match="the codec stills cannot preserve transparency"):
        parse_settings(EncodeSettings, {"codec": "stills", "alpha": "keep"})
    with pytest.raises(ConfigError, match="the codec stills has no 'crf'"):
        codecs.choose_encoder(settings(codec="stills", crf=3))


def test_what_holds_it_is_found_by_a_trial(make_video: MakeVideo, tmp_path: Path) -> None:
    assert takes_codec("mov", settings(codec="stills"))
    translator = Translator.from_pretrained("identity", device="cpu")
    with pytest.raises(OutputError, match=r"matroska does not hold stills; .*\.mov does"):
        translator.translate_video(make_video(), tmp_path / "out.mkv", to="b", settings=settings(codec="stills"))


def test_an_unknown_codec_is_told_with_all_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'codec': Input should be 'h264', .* 'ffv1' or 'stills', got 'stils'"):
        settings(codec="stils")
    with pytest.raises(ConfigError, match=r"'codec': Input should be 'h264', .*, got 3"):
        settings(codec=3)


def test_a_name_is_taken_once() -> None:
    for name in ("stills", "h264"):
        with pytest.raises(ValueError, match=f"there is a codec '{name}' already"):
            add_codec(name, STILLS)
