"""Default encoders beside their preset `medium`: time, and size of the files at the same quality."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from recycle.config import EncodeSettings
from recycle.inputs import open_source
from recycle.street.film import Street
from recycle.video.encode import write_video
from recycle.video.frame import Pixels
from recycle.vocabulary import Codec
from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import Spread, take_turns

RATE = 25
FOOTAGE = Path(__file__).parents[3] / "shared" / "footage"
FILMS = ("signers/orange_test/walk.mkv", "driving/highway/solidWhiteRight.mp4", "masks/cows/frames")
"""Real footage in FOOTAGE; films that are absent are left out."""
QUALITIES = (10, 14, 18, 24)
"""Values of the constant quality; 14 is the default of both codecs."""
LINES = 720
NETWORK = 256
"""Short side in pixels of a network's frames, which are enlarged to LINES."""

Clip = list[Pixels]


def encode(*, frames: int | None, rounds: int, say: Callable[[str], None]) -> Iterator[Results]:
    """Encode `frames` frames of several films, as a network's frames are written: as they are, and enlarged."""
    count = frames or 40
    films = {"street": list(islice(Street(1, 456, NETWORK, RATE, count / RATE).frames("day"), count))}
    films |= {name.split("/")[-2]: _film(FOOTAGE / name, count) for name in FILMS if (FOOTAGE / name).exists()}
    codecs: tuple[Codec, ...] = ("h264", "hevc")
    with TemporaryDirectory() as folder:
        for codec in codecs:
            for name, film in films.items():
                for lines in (NETWORK, LINES):
                    title = f"encode {codec} {name} {lines}"
                    clip = [_enlarged(picture, lines) for picture in film]
                    yield _of_clip(title, clip, codec, Path(folder), rounds, say)


def _film(path: Path, count: int) -> Clip:
    with open_source(path) as source:
        size = source.info.width, source.info.height
        factor = NETWORK / min(size)
        wanted = round(size[0] * factor), round(size[1] * factor)
        return [frame.pixels(wanted) for frame in islice(source.read(), count)]


def _enlarged(picture: Pixels, lines: int) -> Pixels:
    height, width = picture.shape[:2]
    factor = lines / min(height, width)
    size = round(width * factor) // 2 * 2, round(height * factor) // 2 * 2
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _of_clip(title: str, clip: Clip, codec: Codec, folder: Path, rounds: int, say: Callable[[str], None]) -> Results:
    curves: dict[str, list[tuple[float, int]]] = {}
    presets = {"default": None, "medium": "medium"}
    for name, preset in presets.items():
        say(f"{title}: {name}")
        curves[name] = []
        for crf in QUALITIES:
            settings = EncodeSettings(codec=codec, preset=preset, crf=crf)
            write_video(folder / "out.mp4", clip, fps=Fraction(RATE), settings=settings)
            curves[name].append((_psnr(clip, folder / "out.mp4"), _bytes(folder / "out.mp4")))
    work = {name: partial(_seconds, clip, codec, preset, folder) for name, preset in presets.items()}
    times = take_turns(work, rounds=rounds, say=lambda line: say(f"{title}: {line}"))
    goals = [
        Goal("times as fast as medium, CPU time", times.faster("default", "medium")),
        Goal("bytes at the PSNR of medium", Spread.of([_ratio(curves["default"], curves["medium"])]), most=1.1),
    ]
    at_default = {name: curve[QUALITIES.index(14)] for name, curve in curves.items()}
    facts = {f"{name} at crf 14": f"{psnr:.1f} dB, {size:,} bytes" for name, (psnr, size) in at_default.items()}
    return Results(title, "frame", times, goals, facts)


def _seconds(clip: Clip, codec: Codec, preset: str | None, folder: Path) -> float:
    """Seconds of all cores per frame, with the conversion from RGB."""
    start = process_time()
    write_video(folder / "timed.mp4", clip, fps=Fraction(RATE), settings=EncodeSettings(codec=codec, preset=preset))
    return (process_time() - start) / len(clip)


def _ratio(ours: list[tuple[float, int]], theirs: list[tuple[float, int]]) -> float:
    """Bytes of `ours` at the PSNR of `theirs` at crf 14, relative to theirs; interpolated on a logarithmic scale."""
    psnr, size = theirs[QUALITIES.index(14)]
    places, sizes = ([pair[index] for pair in sorted(ours)] for index in (0, 1))
    return float(np.exp(np.interp(psnr, places, np.log(sizes)))) / size


def _psnr(clip: Clip, file: Path) -> float:
    """PSNR of the luma, in dB."""
    errors = []
    with av.open(str(file)) as container:
        for pixels, decoded in zip(clip, container.decode(video=0), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            luma, other = (each.to_ndarray()[: frame.height].astype(np.float32) for each in (frame, decoded))
            errors.append(float(np.square(luma - other).mean()))
    return float(10 * np.log10(255**2 / max(float(np.mean(errors)), 1e-9)))


def _bytes(file: Path) -> int:
    """Bytes of the packets."""
    with av.open(str(file)) as container:
        return sum(packet.size for packet in container.demux(video=0))
