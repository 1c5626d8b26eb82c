"""Checks of whole runs: training that is continued or distributed, a cluster, an export, the doctor."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch.export.passes import move_to_device_pass

from recycle.batch.task import Folder, open_engine, translate_all
from recycle.config import Pipeline, TranslateSettings
from recycle.doctor import examine
from recycle.errors import Interrupted
from recycle.events import Event, Job, Step
from recycle.networks.bundle import save_bundle
from recycle.networks.export import export
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.encode import write_video
from tools.gpu_checking.check import Check, Figures, Place, Unmet, expect
from tools.gpu_checking.media import pictures
from tools.gpu_checking.networks import bundle_of, clip_of
from tools.gpu_checking.training import footage, learn, task

ROOT = Path(__file__).parents[2]
STEPS = 4
FAR = 0.1
"""Largest mean difference of two trainings on GPUs, in learning rates per step; sums are not in a fixed order there."""


def _apart(one: Path, other: Path, pipeline: Pipeline) -> float:
    """Mean difference of the weights of two models, as a share of learning rate × steps, by which Adam moves them."""
    x, y = load_file(one), load_file(other)
    differences = torch.cat([(x[name] - y[name]).abs().flatten() for name in x if x[name].is_floating_point()])
    return float(differences.mean()) / (pipeline.train.learning_rate * STEPS)


def _cancelled_at(step: int) -> Job:
    def observe(event: Event) -> None:
        if isinstance(event, Step) and event.step == step:
            job.cancel()

    job = Job(observe)
    return job


def _continued(place: Place) -> Figures:
    footage(place.folder)
    pipeline = task(place.device, gpu=place.gpu, steps=STEPS)
    whole = learn(place.folder, place.folder / "whole", pipeline)
    try:
        learn(place.folder, place.folder / "parts", pipeline, _cancelled_at(STEPS // 2))
        raise AssertionError("the training was not interrupted")
    except Interrupted:
        parts = learn(place.folder, place.folder / "parts", pipeline)
    apart = _apart(whole, parts, pipeline)
    expect(apart <= (FAR if place.gpu else 0), f"the weights of the continued training differ by {apart:.3g} steps")
    return {"mean difference of weights, steps": round(apart, 5)}


def _processes(place: Place) -> Figures:
    if place.device == "cuda" and torch.cuda.device_count() < 2:
        raise Unmet("needs two CUDA devices")
    footage(place.folder)
    pipeline = task(place.device, gpu=place.gpu, steps=STEPS, batch=2)
    whole = learn(place.folder, place.folder / "one", pipeline)
    program = [sys.executable, "-m", "tools.gpu_checking.training", str(place.folder), str(place.folder / "two")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | ({} if place.gpu else {"OMP_NUM_THREADS": "1"})
    subprocess.run([*program, place.device, str(STEPS), "2"], check=True, env=environment, stdin=subprocess.DEVNULL)
    apart = _apart(whole, place.folder / "two" / "model" / "model.safetensors", pipeline)
    expect(apart <= FAR, f"the weights of two processes differ by {apart:.3g} steps from one with twice the batch")
    return {"mean difference of weights, steps": round(apart, 5)}


def _cluster(place: Place) -> Figures:
    if find_spec("ray") is None:
        raise Unmet("needs Ray: pip install 'recycle[cluster]'")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    source = place.folder / "in"
    write_video(source / "1.mp4", pictures(30, 64, 96), fps=25)
    shutil.copy(source / "1.mp4", source / "2.mp4")
    settings = TranslateSettings(device=place.device, codec="ffv1", scale="source", precision="fp32")
    driver = Translator(bundle_of(place, "resnet"), device="cpu")
    folder = Folder(source, place.folder / "out", driver, "b", settings)
    with open_engine(folder, overwrite=False, at_once=2, cluster="local") as engine:
        report = translate_all(folder, engine=engine, overwrite=False, retry_failed=False)
    expect(report.failed == [] and len(report.done) == 2, f"done {report.done}, failed {report.failed}")
    here = place.folder / "here.mkv"
    Translator(bundle_of(place, "resnet"), device=place.device, precision="fp32").translate_video(
        source / "1.mp4", here, to="b", settings=settings
    )
    there = next((place.folder / "out").glob("1.*"))
    with VideoReader(here) as one, VideoReader(there) as other:
        most = max(int(np.abs(x.pixels.astype(int) - y.pixels).max()) for x, y in zip(one, other, strict=True))
    expect(most <= (1 if place.gpu else 0), f"the workers' frames differ by {most} levels")
    return {"files": len(report.done), "largest difference, levels": most}


def _export(place: Place) -> Figures:
    """The file is compared with the model on the CPU; on a GPU it is then run there."""
    bundle = bundle_of(place, "resnet")
    save_bundle(bundle, place.folder / "model")
    report = export(place.folder / "model", place.folder / "model.pt2", to="b")
    figures: dict[str, Any] = {
        "least likeness on the CPU, dB": min(round(each.decibels, 1) for each in report.likeness)
    }
    if place.device == "cuda":
        frames = clip_of(1, 256, 256)
        moved = move_to_device_pass(torch.export.load(place.folder / "model.pt2"), "cuda")
        with torch.inference_mode():
            made = moved.module()(frames.cuda()).cpu()
        wanted = Translator(bundle, device="cpu", precision="fp32")(frames, to="b")
        most = float((made - wanted).abs().max()) * 127.5
        expect(most <= 1, f"the exported file differs by {most:.2f} levels on the GPU")
        figures["largest difference on the GPU, levels"] = round(most, 3)
    return figures


def _doctor(place: Place) -> Figures:
    lines = dict(examine())
    expect(place.device == "cpu" or place.device in lines["device"], f"doctor names the device {lines['device']}")
    return lines


RUNS = (
    Check("doctor", "correctness", "recycle doctor names the device and what it can do", _doctor, 40),
    Check("export", "correctness", "an exported generator computes what the model does", _export, 60),
    Check(
        "continued training",
        "correctness",
        "a run that was interrupted gives the same weights as an uninterrupted one",
        _continued,
        60,
    ),
    Check("two processes", "correctness", "two devices train as one with twice the batch", _processes, 90),
    Check("cluster", "correctness", "workers of a cluster translate as this process does", _cluster, 90),
)
