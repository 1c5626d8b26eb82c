"""Outputs state that a model made their picture, which one, and by which version; the author's own tags are kept."""

import struct
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import cv2
import numpy as np
import pytest

from recycle import __version__, probe
from recycle.config import TranslateSettings
from recycle.networks.bundle import Bundle, digest
from recycle.translation.translator import Translator
from recycle.video.describe import describe
from recycle.video.provenance import Provenance, provenance_in
from tests.translation.conftest import MakeVideo

MADE = Provenance("seasons", "0123456789abcdef" * 4, "winter")
IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def converted(source: Path, output: Path, model: Bundle | None, **changes: Any) -> Path:
    settings = TranslateSettings(preset="ultrafast").model_copy(update=changes)
    Translator(model, device="cpu").translate_video(source, output, to="b", settings=settings)
    return output


def tags(path: Path) -> dict[str, str]:
    with av.open(str(path)) as file:
        return {key.lower(): value for key, value in file.metadata.items()}


@pytest.fixture
def source(make_video: MakeVideo) -> Path:
    return make_video(stamps=range(0, 3 * 512, 512), audio=False)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_every_container_states_the_model_and_the_version(
    suffix: str, source: Path, bundle: Bundle, tmp_path: Path
) -> None:
    changes = {"codec": "vp9", "preset": None} if suffix == ".webm" else {}
    output = converted(source, tmp_path / f"out{suffix}", bundle, **changes)
    stated = provenance_in(tags(output))
    assert stated is not None
    for part in (f"recycle {__version__}", "'tiny'", digest(bundle)[:16], "to 'b'", IPTC + "trainedAlgorithmicMedia"):
        assert part in stated
    assert tags(output)["title"] == "Käse"
    info = probe(output)
    assert info.made_by == stated
    assert f"made by   {stated}" in describe(info)
    assert info.frames == 3


def test_what_keeps_some_of_the_source_is_a_composite(source: Path, bundle: Bundle, tmp_path: Path) -> None:
    stated = provenance_in(tags(converted(source, tmp_path / "out.mkv", bundle, strength=0.5)))
    assert stated is not None
    assert stated.endswith("compositeWithTrainedAlgorithmicMedia")


def test_nothing_is_stated_if_switched_off_or_if_there_is_no_model(
    source: Path, bundle: Bundle, tmp_path: Path
) -> None:
    for name, model, how in (("off", bundle, "off"), ("same", None, "on")):
        output = converted(source, tmp_path / f"{name}.mp4", model, provenance=how)
        assert provenance_in(tags(output)) is None
        assert b"digitalsourcetype" not in output.read_bytes()
        assert probe(output).made_by is None
    assert "provenance" not in TranslateSettings().record()


def test_the_authors_tags_stay_and_an_earlier_statement_is_replaced() -> None:
    own = {"COMMENT": "my holiday", "title": "Käse"}
    MADE.tag(own)
    assert own == {"COMMENT": "my holiday", "title": "Käse", "description": MADE.sentence}
    assert provenance_in(own) == MADE.sentence
    full = {"comment": "one", "Description": "two", "synopsis": "three"}
    for _ in range(2):
        MADE.tag(full)
    assert full == {"comment": f"one {MADE.sentence}", "Description": "two", "synopsis": "three"}
    again: dict[str, str] = {}
    Provenance("other", "f" * 64, "a").tag(again)
    MADE.tag(again)
    assert again == {"comment": MADE.sentence}


def test_an_mp4_carries_a_box_with_xmp_that_other_programs_read(source: Path, bundle: Bundle, tmp_path: Path) -> None:
    data = converted(source, tmp_path / "out.mp4", bundle).read_bytes()
    boxes, at = [], 0
    while at < len(data):  # ISO 14496-12: a file is a sequence of boxes
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        boxes.append((kind, data[at + 8 : at + size]))
        at += size
    assert at == len(data)
    kind, content = boxes[-1]
    assert kind == b"uuid"
    assert content[:16].hex() == "be7acfcb97a942e89c71999491e3afac"
    found = ElementTree.fromstring(content[16:].decode().removeprefix("\ufeff"))
    kinds = [e.text for e in found.iter("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")]
    assert kinds == [IPTC + "trainedAlgorithmicMedia"]


def test_a_png_carries_the_statement_and_shows_the_same_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    plain = cv2.imencode(".png", picture)[1].tobytes()
    marked = MADE.in_png(plain)
    shown = cv2.imdecode(np.frombuffer(marked, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert np.array_equal(shown, picture)
    chunks, at = {}, 8
    while at < len(marked):  # PNG, third edition, section 5.3
        size, kind = struct.unpack(">I4s", marked[at : at + 8])
        body = marked[at + 8 : at + 8 + size]
        assert struct.unpack(">I", marked[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += size + 12
    assert next(iter(chunks)) == b"IHDR"
    assert chunks[b"tEXt"].decode("latin-1") == f"Comment\0{MADE.sentence}"
    assert chunks[b"iTXt"] == b"XML:com.adobe.xmp\0\0\0\0\0" + MADE.xmp()
    with pytest.raises(ValueError, match="PNG"):
        MADE.in_png(b"GIF8")
