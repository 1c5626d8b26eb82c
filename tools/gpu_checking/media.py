"""Checks of video: encoding and decoding on the GPU, and translations that are interrupted and continued."""

import copy
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recycle.config import Codec, EncodeSettings, Precision, TranslateSettings
from recycle.errors import Interrupted
from recycle.events import Event, Job, Progress
from recycle.rendering.work import SEGMENT
from recycle.translation.exchange import of_planes
from recycle.translation.scale import to_levels
from recycle.translation.translator import Translator
from recycle.video.codecs import choose_encoder, working_hardware
from recycle.video.decode import VideoReader
from recycle.video.encode import write_video
from recycle.video.source import Reading
from tools.gpu_checking.check import Check, Figures, Place, expect
from tools.gpu_checking.networks import bundle_of, clip_of

LEAST_PSNR = 34.0
"""Decibels that an encoded film of smooth pictures keeps at the least."""


def pictures(count: int, height: int, width: int) -> list[NDArray[np.uint8]]:
    """A film of smooth random pictures that change slowly."""
    ends = ((clip_of(2, height, width).permute(0, 2, 3, 1) + 1) * 127.5).numpy()
    return [(ends[0] + (ends[1] - ends[0]) * i / count).astype(np.uint8) for i in range(count)]


def _read(path: Path, *, hardware: bool = False) -> tuple[NDArray[np.uint8], bool]:
    with VideoReader(path, Reading(hardware=hardware)) as reader:
        return np.stack([frame.pixels for frame in reader]), reader.hardware


def _encoder(place: Place, *, codec: Codec) -> Figures:
    width, height = (1281, 721) if place.gpu else (193, 129)  # odd: the encoder gets a padded frame
    settings, film = EncodeSettings(codec=codec, hardware=True), pictures(30 if place.gpu else 5, height, width)
    choice = choose_encoder(settings, size=(width, height))
    on_gpu = choice.encoder.name.endswith("_nvenc")
    expect(on_gpu == (f"{codec}_nvenc" in working_hardware()), "the trial at this size and the one by doctor disagree")
    expect(on_gpu or choice.notice is not None, "the CPU encodes, and no notice says so")
    too_large = choose_encoder(settings, size=(16000, 256))
    expect(not too_large.encoder.name.endswith("_nvenc"), "frames of 16000 columns were left to NVENC")
    file = place.folder / "film.mkv"
    write_video(file, film, fps=25, settings=settings)
    made, _ = _read(file)
    expect(len(made) == len(film), f"{len(made)} of {len(film)} frames came back")
    error = float(np.mean((made[:, :height, :width].astype(float) - np.stack(film)) ** 2))
    psnr = 10 * np.log10(255**2 / max(error, 1e-9))
    expect(psnr >= LEAST_PSNR, f"{psnr:.1f} dB are fewer than {LEAST_PSNR:g}")
    return {"encoder": choice.encoder.name, "PSNR, dB": round(float(psnr), 1)}


def _decoder(place: Place) -> Figures:
    """Also beside torch's own work on the GPU, and from several threads."""
    lines, count = (720, 60) if place.gpu else (144, 6)
    figures: dict[str, Any] = {}
    codecs: tuple[Codec, ...] = ("h264", "hevc")
    for codec in codecs:
        file = place.folder / f"{codec}.mkv"
        write_video(
            file,
            pictures(count, lines, lines * 16 // 9),
            fps=25,
            settings=EncodeSettings(codec=codec, preset="ultrafast"),
        )
        wanted, _ = _read(file)
        if place.device == "cuda":
            torch.zeros(1, device="cuda")
        before = torch.cuda.mem_get_info()[0] if place.device == "cuda" else 0
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda _, file=file: _read(file, hardware=True), range(4)))
        taken = (before - torch.cuda.mem_get_info()[0]) / 2**20 if place.device == "cuda" else 0
        difference = max(float(np.abs(own.astype(int) - wanted).mean()) for own, _ in made)
        expect(difference <= 1, f"{codec}: pictures differ by {difference:.2f} levels on average")
        figures[f"{codec} decoded by"] = " and ".join(sorted({"GPU" if gpu else "CPU" for _, gpu in made}))
        if place.device == "cuda":
            figures[f"{codec}: GPU memory kept after 4 decoders, MiB"] = round(taken)
    return figures


def _planes(place: Place) -> Figures:
    """From planes to RGB at the size of the network, and back to planes, beside swscale."""
    lines = 720 if place.gpu else 96
    source, inner = place.folder / "source.mp4", ((256, 455) if place.gpu else (32, 57))
    write_video(source, pictures(2, lines, lines * 16 // 9), fps=25)
    with VideoReader(source) as reader:
        form = reader.planes
        expect(form is not None, "the film is not read as planes")
        assert form is not None
        frame = next(reader.read())
        wanted, planes = frame.pixels(inner[::-1]).astype(int), torch.from_numpy(frame.hand_over().pixels)
    exchange = of_planes(form, inner, form, place.torch)
    rgb = exchange.enter(planes[None].to(place.torch))
    made = to_levels(rgb, torch.uint8)[0].cpu().numpy()
    there = int(np.abs(made - wanted).max())
    expect(there <= 1, f"RGB differs by {there} levels from that of swscale")
    here = of_planes(form, inner, form, torch.device("cpu")).leave(rgb.cpu())
    back = int((exchange.leave(rgb).cpu().int() - here.int()).abs().max())
    expect(back <= 1, f"planes differ by {back} levels from those of the CPU")
    return {"largest difference there, levels": there, "back, levels": back}


def _stopped_at(number: int, said: list[str]) -> Job:
    def observe(event: Event) -> None:
        if isinstance(event, Progress) and event.done == number:
            raise KeyboardInterrupt

    return Job(observe).keeping(said)


def _continued(place: Place) -> Figures:
    """Lossless, so that the networks' own differences show."""
    source = place.folder / "source.mp4"
    write_video(source, pictures(SEGMENT + 20, 48, 64), fps=25)
    settings, bundle, said = TranslateSettings(codec="ffv1", scale="source"), bundle_of(place, "resnet"), list[str]()

    def translate(name: str, precision: Precision, stop: int = -1) -> int:
        translator = Translator(copy.deepcopy(bundle), device=place.device, precision=precision)
        job, out = _stopped_at(stop, said), place.folder / name
        return translator.translate_video(source, out, to="b", settings=settings, job=job).resumed

    def stopped(name: str, precision: Precision) -> None:
        try:
            translate(name, precision, SEGMENT + 5)
        except Interrupted:
            return
        raise AssertionError("the translation was not interrupted")

    translate("whole.mkv", "fp32")
    stopped("parts.mkv", "fp32")
    expect(translate("parts.mkv", "fp32") == SEGMENT, "the finished segment was not kept")
    whole, parts = (_read(place.folder / name)[0].astype(int) for name in ("whole.mkv", "parts.mkv"))
    most = int(np.abs(whole - parts).max())
    expect(most <= (1 if place.gpu else 0), f"the continued translation differs by {most} levels")
    other = next((each for each in place.precisions(training=False) if each != "fp32"), None)
    figures: dict[str, Any] = {"largest difference, levels": most}
    if other is not None:
        stopped("mixed.mkv", "fp32")
        said.clear()
        expect(translate("mixed.mkv", other) == 0, f"fp32 was continued in {other}")
        expect(any("unfinished work was deleted" in line for line in said), "nothing says that the work began anew")
        figures["begun anew in"] = other
    return figures


MEDIA = (
    *(
        Check(
            f"encoder {codec}",
            "correctness",
            f"{codec} is encoded on the GPU if a trial at the padded size works, otherwise on the CPU with a notice",
            partial(_encoder, codec=codec),
            30,
        )
        for codec in ("h264", "hevc", "av1")
    ),
    Check("decoder", "correctness", "pictures decoded on the GPU are those of the CPU", _decoder, 40),
    Check("planes", "correctness", "frames that the GPU converts are those that swscale converts", _planes, 20),
    Check(
        "continued translation", "correctness", "parts make the same whole, and never mix precisions", _continued, 40
    ),
)
