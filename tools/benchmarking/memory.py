"""Peak memory of translating a clip, and one ten times as long, each in a separate process."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from recycle.config import NetworkSettings, ResNetSettings
from recycle.networks.bundle import Bundle, BundleConfig, save_bundle
from recycle.rendering.work import SEGMENT
from recycle.run_folder import IDENTITY
from recycle.street.film import Street
from recycle.system.memory import peak_memory
from recycle.translation.translator import Translator
from recycle.video.encode import write_video
from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import Contender, Spread, take_turns

SIZE = (640, 384)
RATE = 24
LOOP = 48
"""Number of frames of the street that are repeated."""
TIMES = 10


def memory(*, width: int, frames: int | None, rounds: int, device: str, say: Callable[[str], None]) -> Results:
    """Translate clips of `frames` and of ten times as many frames, with the identity and with a generator of
    `width`."""
    frames = frames or 5 * SEGMENT // 2
    peaks: dict[tuple[str, int, str], list[float]] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        networks = NetworkSettings(generator=ResNetSettings(blocks=6, width=width))
        torch.manual_seed(0)
        save_bundle(Bundle(BundleConfig(networks=networks, predictors=False, short_side=256)), folder / "model")
        loop = list(Street(1, *SIZE, RATE, LOOP / RATE).frames("day"))
        for times in (1, TIMES):
            write_video(folder / f"{times}.mp4", islice(cycle(loop), frames * times), fps=RATE)

        def measured(label: str, model: str, times: int) -> float:
            seconds, peak = translate_apart(model, folder / f"{times}.mp4", folder / "out.mp4", device)
            for place, size in peak.items():
                peaks.setdefault((label, times, place), []).append(size)
            return seconds / (frames * times)

        models = {"identity": IDENTITY, f"generator of width {width}": str(folder / "model")}
        contenders: dict[str, Contender] = {
            f"{label}, {times} ×": partial(measured, label, model, times)
            for label, model in models.items()
            for times in (1, TIMES)
        }
        turns = take_turns(contenders, rounds=rounds, say=say)
    goals, facts = [], {}
    for (label, times, place), short in peaks.items():
        if times == 1:
            pairs = list(zip(short, peaks[label, TIMES, place], strict=True))[1:]  # the first was the warm-up
            ratio = Spread.of([long / once for once, long in pairs])
            goals.append(Goal(f"{label}: peak of {place}, {TIMES} × longer ÷ once", ratio, most=1.05))
            medians = [statistics.median(own) / 2**20 for own in zip(*pairs, strict=True)]
            facts[f"{label}, {place}"] = "{:.1f} and {:.1f} MiB".format(*medians)
    facts["clips"] = f"{frames} and {frames * TIMES} frames, {SIZE[0]} × {SIZE[1]}"
    return Results("memory", "frame", turns, goals, facts)


def translate_apart(model: str, source: Path, output: Path, device: str) -> tuple[float, dict[str, float]]:
    """Seconds of one translation in a new process, and its peak memory in bytes, by place of the memory.

    Raises RuntimeError if the translation fails.
    """
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_translate, args=(model, source, output, device, there))
    process.start()
    there.close()
    try:
        found: tuple[float, dict[str, float]] = here.recv()
    except EOFError:
        raise RuntimeError("the process that translates has ended") from None
    finally:
        process.join()
    return found


def _translate(model: str, source: Path, output: Path, device: str, pipe: Connection) -> None:
    translator = Translator.from_pretrained(model, device=device)
    start = time.perf_counter()
    translator.translate_video(source, output, to="b", overwrite=True)
    seconds = time.perf_counter() - start
    peaks = {"memory": peak_memory(torch.device("cpu"))}
    if translator.device.type == "cuda":
        peaks["GPU memory"] = peak_memory(translator.device)
    pipe.send((seconds, {place: size for place, size in peaks.items() if size}))
