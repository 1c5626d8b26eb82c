"""Figures of the device: how fast it translates and trains, and how much memory that takes."""

import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import repeat
from typing import Any

import av
import torch

from recycle.config import EncodeSettings, Pipeline, Precision, TranslateSettings
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.networks.initialise import initialise
from recycle.system.memory import peak_memory
from recycle.training.loop import take_step
from recycle.training.memory import reckon
from recycle.translation.translator import Translator
from recycle.video.codecs import choose_encoder
from recycle.video.decode import VideoReader
from recycle.video.encode import Picture, VideoEncoder, write_video
from recycle.video.frame import Pixels
from recycle.video.source import Reading
from tools.benchmarking.ceiling import wait_for
from tools.benchmarking.train import open_run, published_pipeline
from tools.gpu_checking.check import Check, Figures, Place
from tools.gpu_checking.media import pictures
from tools.gpu_checking.networks import _clips, bundle_of, tiny

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def _published(place: Place) -> Bundle:
    """The published generator, with random weights; on a CPU a tiny one."""
    if not place.gpu:
        return bundle_of(place, "resnet")
    bundle = Bundle(BundleConfig(name="published", networks=published_pipeline(256, precision="fp32").networks))
    initialise(bundle)
    return bundle


def _rate(translator: Translator, place: Place, lines: int, batch: int) -> float:
    """Frames per second from arrays to arrays, with copies and conversions."""
    seconds, film = (2.0, pictures(8, lines, lines * 16 // 9)) if place.gpu else (0.05, pictures(4, lines, lines))
    frames = (picture for some in repeat(film) for picture in some)
    stream = translator.stream(frames, to="b", latency=2 * batch - 1, scale="source")
    for _ in range(3 * batch):  # warms up
        next(stream)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(batch):
            next(stream)
        count += batch
    return count / (time.perf_counter() - start)


def _translation(place: Place, *, lines: int) -> Figures:
    figures: dict[str, Any] = {}
    for precision in place.precisions(training=False):
        translator = Translator(_published(place), device=place.device, precision=precision)
        _reset(place)
        rate = _rate(translator, place, lines if place.gpu else 48, 8 if place.gpu else 1)
        figures[f"{precision}: frames per second"] = round(rate, 1)
        figures |= _peak(place, f"{precision}: peak memory, GiB")
    return figures


def _batches(place: Place) -> Figures:
    translator = Translator(_published(place), device=place.device)
    sizes = (1, 2, 4, 8, 16, 32) if place.gpu else (1, 2)
    return {f"batch of {size}": round(_rate(translator, place, 256 if place.gpu else 48, size), 1) for size in sizes}


def _stages(place: Place) -> Figures:
    """Each stage alone, and all of them overlapped; with a GPU, also decoded and encoded by it."""
    count, lines = (240, 720) if place.gpu else (6, 96)
    film, rate = place.folder / "film.mp4", Fraction(25)
    whole, small = (lines * 16 // 9, lines), ((455, 256) if place.gpu else (64, 36))
    write_video(film, pictures(count, whole[1], whole[0]), fps=rate, settings=EncodeSettings(preset="ultrafast"))
    translator = Translator(_published(place), device=place.device)
    figures: dict[str, float] = {}
    for hardware in (False, True) if place.gpu else (False,):
        settings, kind = TranslateSettings(scale=small[1], hardware=hardware), " on the GPU" if hardware else ""
        seen: list[Pixels] = []

        def decoded(convert: bool, hardware: bool = hardware, seen: list[Pixels] = seen) -> None:
            with VideoReader(film, Reading(hardware=hardware)) as reader:
                seen[:] = [frame.pixels(small) for frame in reader.read() if convert]

        def encoded(settings: TranslateSettings = settings, seen: list[Pixels] = seen) -> None:
            with av.open(str(place.folder / "stage.mp4"), "w") as container:
                encoder = VideoEncoder(container, choose_encoder(settings, size=whole), Picture(*whole, rate, 1 / rate))
                for number, picture in enumerate(seen):
                    encoder.write(picture, number)
                encoder.close()

        def from_file_to_file(planes: bool, settings: TranslateSettings = settings) -> None:
            translator.takes_planes = planes and place.device == "cuda"
            translator.translate_video(film, place.folder / "out.mp4", to="b", settings=settings, overwrite=True)

        stages: dict[str, Callable[[], None]] = {
            f"decoding{kind}": partial(decoded, False),
            f"decoding{kind}, RGB at {small[1]} lines": partial(decoded, True),
            f"encoding{kind}, from {small[1]} lines": encoded,
            f"file to file{kind}": partial(from_file_to_file, True),
            f"file to file{kind}, frames converted on the CPU": partial(from_file_to_file, False),
        }
        for name, run in stages.items():
            start = time.perf_counter()
            run()
            figures[f"{name}: ms a frame"] = round((time.perf_counter() - start) / count * 1000, 2)
    return figures


def _step(place: Place) -> Figures:
    figures: dict[str, Any] = {}
    count = 8 if place.gpu else 1
    for precision in place.precisions(training=True):
        pipeline = _pipeline(place, precision)
        _reset(place)
        run = open_run(pipeline, place.folder)
        a, b = _clips(pipeline, run.fabric.device)
        for number in range(count // 2 + 1):
            take_step(run, a, b, number)
        wait_for(run.fabric.device)
        start = time.perf_counter()
        for number in range(count):
            take_step(run, a, b, number)
        wait_for(run.fabric.device)
        figures[f"{precision}: seconds of a step"] = round((time.perf_counter() - start) / count, 4)
        needs = reckon(pipeline, _DTYPES[precision])
        figures[f"{precision}: estimated memory, GiB"] = round((needs.networks + needs.clip) / 2**30, 2)
        figures |= _peak(place, f"{precision}: peak memory, GiB")
        del run, a, b
    return figures


def _pipeline(place: Place, precision: Precision) -> Pipeline:
    return published_pipeline(256, precision=precision, device=place.device) if place.gpu else tiny(place, precision)


def _reset(place: Place) -> None:
    if place.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak(place: Place, name: str) -> dict[str, float]:
    peak = peak_memory(place.torch) if place.device == "cuda" else None  # a CPU reports that of the whole process
    return {} if peak is None else {name: round(peak / 2**30, 2)}


FIGURES = (
    *(
        Check(
            f"translation, {lines} lines",
            "figures",
            f"frames of {lines * 16 // 9} × {lines} through the published generator, from arrays to arrays",
            partial(_translation, lines=lines),
            45,
        )
        for lines in (256, 720)
    ),
    Check("batch sizes", "figures", "frames per second of 256 lines, by the size of a batch", _batches, 45),
    Check(
        "stages of a translation",
        "figures",
        "a film of 1280 × 720 through the published generator at 256 lines: decoding, encoding, and all at once",
        _stages,
        60,
    ),
    Check("speed of training", "figures", "a step of the published networks at 256 × 256, and its memory", _step, 75),
)
