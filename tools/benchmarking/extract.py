"""Frames from video: ours, the ffmpeg command that one would type, and decoding alone."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import av

from recycle.config import ExtractSettings
from recycle.errors import ConfigError
from recycle.footage.encode import write_video
from recycle.footage.extract import extract as run_extract
from recycle.footage.street import Street
from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import Contender, take_turns

SIZE = (1280, 720)
RATE, KEPT = 24, 12
"""Frames per second of the videos, and of what is kept."""
SHORT_SIDE = 286
LOOP = 24
"""Frames of street that are repeated."""


def extract(*, frames: int | None, rounds: int, say: Callable[[str], None]) -> Results:
    """Extract from as many videos as there are cores, of `frames` frames each. Raises ConfigError without ffmpeg."""
    program = find_ffmpeg()
    frames, files = frames or 480, len(os.sched_getaffinity(0))
    with TemporaryDirectory() as name:
        folder = Path(name)
        sources = [folder / f"{number}.mp4" for number in range(files)]
        loop = list(Street(1, *SIZE, RATE, LOOP / RATE).frames("day"))
        for source in sources:
            write_video(source, islice(cycle(loop), frames), fps=RATE)
        total = frames * files
        width = round(SIZE[0] * SHORT_SIDE / SIZE[1])
        scale = f"fps={KEPT},scale={width}:{SHORT_SIDE}:flags=area"
        typed = [program, "-v", "error", "-i", "{}", "-vf", scale, "-q:v", "1", "-pix_fmt", "yuvj444p", "{}.%06d.jpg"]

        def ours() -> None:
            run_extract(sources, folder / "frames", ExtractSettings(fps=KEPT, short_side=SHORT_SIDE))
            kept = len(list((folder / "frames").rglob("*.jpg")))
            shutil.rmtree(folder / "frames")
            _check(kept, total * KEPT // RATE)

        def in_turn() -> None:
            for source in sources:
                subprocess.run([part.replace("{}", str(source)) for part in typed], check=True)
            _check(_removed(folder), total * KEPT // RATE)

        def at_once() -> None:
            commands = [[part.replace("{}", str(source)) for part in typed] for source in sources]
            for process in [subprocess.Popen(command) for command in commands]:
                process.wait()
            _check(_removed(folder), total * KEPT // RATE)

        def decoding() -> None:
            for source in sources:
                with av.open(str(source)) as container:
                    container.streams.video[0].thread_type = "AUTO"
                    for _ in container.decode(video=0):
                        pass

        works = {
            "ours": ours,
            "ffmpeg, one file after the other": in_turn,
            "ffmpeg, all files at once": at_once,
            "decoding alone": decoding,
        }
        times = take_turns({name: _timed(work, total) for name, work in works.items()}, rounds=rounds, say=say)
    goals = [
        Goal("ours ÷ ffmpeg, times as fast", times.faster("ours", "ffmpeg, one file after the other"), least=1.0),
        Goal("ours ÷ ffmpeg on all files at once", times.faster("ours", "ffmpeg, all files at once")),
        Goal("ours ÷ decoding alone", times.faster("ours", "decoding alone")),
    ]
    facts = {"files": f"{files} of {frames} frames, {SIZE[0]} × {SIZE[1]}", "command": " ".join(["ffmpeg", *typed[1:]])}
    return Results("extract", "frame", times, goals, facts)


def find_ffmpeg() -> str:
    """The program: of the path, or of the package imageio-ffmpeg. Raises ConfigError where there is neither."""
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


def _removed(folder: Path) -> int:
    images = list(folder.glob("*.jpg"))
    for image in images:
        image.unlink()
    return len(images)


def _check(count: int, wanted: int) -> None:
    if count != wanted:
        raise RuntimeError(f"{count} frames were written, {wanted} should have been")
