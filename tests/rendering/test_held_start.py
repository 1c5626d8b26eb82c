"""A part of a slide show or screen recording begins with the picture that is on screen."""

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from recycle.config import TranslateSettings
from recycle.errors import FootageError
from recycle.rendering.span import Span, preview_span
from recycle.translation.translator import Translator
from recycle.video.kinds import open_source
from recycle.video.source import Reading

FAST = TranslateSettings(preset="ultrafast")
SECONDS, COUNT = 3, 4


@pytest.fixture(scope="module", params=[".mkv", ".mp4", ".gif", ".apng", ".webp"])
def slides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures, 3 s each, of grey levels 40, 80, 120 and 160, with 12 s of sound where the container has some."""
    folder = tmp_path_factory.mktemp("slides")
    for number in range(COUNT):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 64, 3), 40 * (number + 1), np.uint8))
    path = folder / f"slides{request.param}"
    film = request.param in (".mkv", ".mp4")
    sound = ("-f", "lavfi", "-i", "sine=d=12") if film else ()
    codecs = {".gif": (), ".apng": ("-f", "apng"), ".webp": ("-c:v", "libwebp_anim")}
    how = codecs.get(request.param, ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "1", "-c:a", "libopus"))
    pictures = ("-framerate", f"1/{SECONDS}", "-i", str(folder / "%d.png"))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *pictures, *sound, *how, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("4", "8", [("4", 2), ("6", 3)]),
        ("4", "5", [("4", 2)]),
        ("3", "5", [("3", 2)]),
        ("2.95", "5", [("3", 2)]),  # almost a new picture: the part begins with it
        ("10", None, [("10", 4)]),
        ("0.5", "9", [("0.5", 1), ("3", 2), ("6", 3)]),
        ("0", "1", [("0", 1)]),
        ("12.5", None, []),
    ],
)
def test_the_picture_on_screen_opens_the_part(
    slides: Path, start: str, end: str | None, expected: list[tuple[str, int]]
) -> None:
    with open_source(slides) as reader:
        unit = reader.info.time_base
        first, last = (None if time is None else int(Fraction(time) / unit) for time in (start, end))
        read = [(frame.pts, frame.develop().pixels.mean() / 40) for frame in reader.read(start=first, end=last)]
        for (pts, level), (time, picture) in zip(read, expected, strict=True):
            assert pts == int(Fraction(time) / unit)
            assert level == pytest.approx(picture, abs=0.1)
        if read:
            total = 12 if last is None else min(12, Fraction(end or 0))
            assert reader.lasting is not None
            assert (read[-1][0] + reader.lasting) * unit == pytest.approx(total, abs=0.011)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_part_has_its_length_in_picture_and_sound(slides: Path, suffix: str, tmp_path: Path) -> None:
    output = tmp_path / f"out{suffix}"
    translator = Translator(None, device="cpu")
    span = Span(Fraction(4), Fraction(8))
    translator.translate_video(slides, output, to="b", settings=FAST, span=span)
    with av.open(str(output)) as file:
        kinds = {stream.type for stream in file.streams}
        assert kinds == ({"video", "audio"} if slides.suffix in (".mkv", ".mp4") else {"video"})
        times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for packet in file.demux():
            if packet.size:
                start = (packet.pts or 0) * packet.time_base
                times[packet.stream.type].append(
                    (float(start), float(start + (packet.duration or 0) * packet.time_base))
                )
    for kind, own in times.items():
        assert min(start for start, _ in own) == pytest.approx(0, abs=0.03), kind
        assert max(end for _, end in own) == pytest.approx(4, abs=0.03), kind


def test_a_preview_shows_four_seconds(slides: Path) -> None:
    with open_source(slides) as reader:
        span, unit = preview_span(reader), reader.info.time_base
        assert span.end is not None
        start, end = int((span.start or 0) / unit), int(span.end / unit)
        following = 3 if span.start is None else 6  # an APNG does not state its length
        assert [frame.pts for frame in reader.read(start=start, end=end)] == [start, int(following / unit)]


def test_a_part_behind_the_end_is_an_error(slides: Path, tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="there is no frame between --start and --end"):
        Translator(None, device="cpu").translate_video(
            slides, tmp_path / "out.mp4", to="b", settings=FAST, span=Span(Fraction(13))
        )


def test_numbered_images_at_a_low_rate_open_with_the_picture_on_screen(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(COUNT):
        cv2.imwrite(str(tmp_path / "in" / f"{number}.png"), np.full((48, 64, 3), 40 * (number + 1), np.uint8))
    output = tmp_path / "out.mp4"
    source = open_source(tmp_path / "in", Reading(fps=Fraction(1, SECONDS)))
    Translator(None, device="cpu").translate_video(
        source, output, to="b", settings=FAST, span=Span(Fraction(4), Fraction(8))
    )
    with open_source(output) as reader:
        assert [round(frame.pixels.mean() / 40) for frame in reader] == [2, 3]
