"""Extraction of frames: ours, an ffmpeg command as a user would type it, and decoding alone."""

import compileall
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np

import recycle
from recycle.config import ExtractSettings
from recycle.dataset.extract import extract as run_extract
from recycle.errors import ConfigError
from recycle.street.film import Street
from recycle.video.encode import write_video
from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import Contender, take_turns

SIZE = (1280, 720)
RATE, KEPT = 24, 12
"""Frames per second of the videos, and of the extracted frames."""
SHORT_SIDE = 286
EXACT = "bilinear+accurate_rnd+full_chroma_int+full_chroma_inp"
LOOP = 24
"""Number of frames of the street that are repeated."""


def extract(*, frames: int | None, rounds: int, say: Callable[[str], None]) -> Results:
    """Extract from as many videos as there are cores, of `frames` frames each. Raises ConfigError without ffmpeg."""
    program = find_ffmpeg()
    # As for a user, modules are compiled once, and not by each process that starts.
    compileall.compile_dir(Path(recycle.__file__).parent, quiet=2)
    frames, files = frames or 480, len(os.sched_getaffinity(0))
    with TemporaryDirectory() as name:
        folder = Path(name)
        sources = [folder / f"{number}.mp4" for number in range(files)]
        loop = list(Street(1, *SIZE, RATE, LOOP / RATE).frames("day"))
        for source in sources:
            write_video(source, islice(cycle(loop), frames), fps=RATE)
        total = frames * files
        width = round(SIZE[0] * SHORT_SIDE / SIZE[1])
        scale = f"fps={KEPT},scale={width}:{SHORT_SIDE}"
        start, end = [program, "-v", "error", "-i", "{}", "-vf"], ["-pix_fmt", "yuvj444p", "{}.%06d.jpg"]
        typed = [*start, f"{scale}:flags=area", "-q:v", "1", *end]
        # The same output as ours: BT.601 and full range as JPEG readers expect, the same exact filter; quality 1.
        same = [*start, f"{scale}:flags={EXACT}:out_color_matrix=bt601:out_range=full", "-q:v", "1", "-qmin", "1", *end]

        def extracted() -> list[Path]:
            run_extract(sources, folder / "frames", ExtractSettings(fps=KEPT, short_side=SHORT_SIDE))
            return sorted((folder / "frames").rglob("*.jpg"))

        def by_ffmpeg(command: list[str], *, at_once: bool) -> list[Path]:
            commands = [[part.replace("{}", str(source)) for part in command] for source in sources]
            for group in [commands] if at_once else [[each] for each in commands]:
                for process in [subprocess.Popen(each) for each in group]:
                    if process.wait():
                        raise RuntimeError(f"{' '.join(command)} failed")
            return sorted(folder.glob("*.jpg"))

        def ours() -> None:
            kept = len(extracted())
            shutil.rmtree(folder / "frames")
            _check(kept, total * KEPT // RATE)

        def ffmpeg(command: list[str], *, at_once: bool = False) -> None:
            images = by_ffmpeg(command, at_once=at_once)
            for image in images:
                image.unlink()
            _check(len(images), total * KEPT // RATE)

        pictures = [[cv2.imread(str(path)) for path in extracted()[:RATE]]]
        shutil.rmtree(folder / "frames")
        for command in (typed, same):
            pictures.append([cv2.imread(str(path)) for path in by_ffmpeg(command, at_once=True)[:RATE]])
            ffmpeg(command)
        likeness = [float(np.mean([cv2.PSNR(x, y) for x, y in zip(pictures[0], p, strict=True)])) for p in pictures[1:]]

        def decoding() -> None:
            for source in sources:
                with av.open(str(source)) as container:
                    container.streams.video[0].thread_type = "AUTO"
                    for _ in container.decode(video=0):
                        pass

        works = {
            "ours": ours,
            "ffmpeg, the same pictures": lambda: ffmpeg(same),
            "ffmpeg, the same pictures, all files at once": lambda: ffmpeg(same, at_once=True),
            "ffmpeg, as typed": lambda: ffmpeg(typed),
            "ffmpeg, as typed, all files at once": lambda: ffmpeg(typed, at_once=True),
            "decoding alone": decoding,
        }
        times = take_turns({name: _timed(work, total) for name, work in works.items()}, rounds=rounds, say=say)
    goals = [
        Goal("ours ÷ ffmpeg, times as fast", times.faster("ours", "ffmpeg, the same pictures"), least=1.0),
        Goal(
            "ours ÷ ffmpeg on all files at once",
            times.faster("ours", "ffmpeg, the same pictures, all files at once"),
        ),
        Goal("ours ÷ ffmpeg as typed", times.faster("ours", "ffmpeg, as typed")),
        Goal("ours ÷ ffmpeg as typed, all files at once", times.faster("ours", "ffmpeg, as typed, all files at once")),
        Goal("ours ÷ decoding alone", times.faster("ours", "decoding alone")),
    ]
    facts = {
        "files": f"{files} of {frames} frames, {SIZE[0]} × {SIZE[1]}",
        "the same pictures": " ".join(["ffmpeg", *same[1:]]) + f" ({likeness[1]:.1f} dB beside ours)",
        "as typed": " ".join(["ffmpeg", *typed[1:]]) + f" ({likeness[0]:.1f} dB)",
    }
    return Results("extract", "frame", times, goals, facts)


def find_ffmpeg() -> str:
    """The ffmpeg program in the search path, or in the package imageio-ffmpeg. Raises ConfigError if there is
    neither."""
    if (found := shutil.which("ffmpeg")) is not None:
        return found
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ConfigError("this benchmark needs ffmpeg: install it, or pip install imageio-ffmpeg") from error
    return imageio_ffmpeg.get_ffmpeg_exe()


def _timed(work: Callable[[], None], units: int) -> Contender:
    def run() -> float:
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) / units

    return run


def _check(count: int, wanted: int) -> None:
    if count != wanted:
        raise RuntimeError(f"{count} frames were written, {wanted} should have been")
