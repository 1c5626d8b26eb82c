"""Checks of networks: translation and training on the device, against the CPU in float32."""

import copy
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recycle.config import GENERATORS, NetworkSettings, Pipeline, Precision, TranslateSettings, parse_pipeline
from recycle.events import Job
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.networks.initialise import initialise
from recycle.system.devices import precision_of
from recycle.training.fabric import make_fabric
from recycle.training.loop import take_step
from recycle.training.memory import Portions
from recycle.training.run import Run
from recycle.training.step import loss_scaler
from recycle.translation.lanes import Lanes
from recycle.translation.translator import Translator
from tools.benchmarking.train import open_run
from tools.gpu_checking.check import Check, Figures, Place, Unmet, expect

LEVELS: dict[Precision, tuple[float, float]] = {"fp32": (2.0, 0.2), "fp16": (6.0, 0.6), "bf16": (32.0, 3.0)}
"""Largest and mean difference from the CPU in float32 that a precision may have, in levels of 255. TF32 rounds as fp16;
bf16 has 8 times its rounding error. The generators are random, which amplifies rounding more than trained ones do."""
_SHALLOW = {"pix2pixhd": {"halvings": 2}}
"""Settings that leave enough pixels at the coarsest level: normalising few of them amplifies rounding."""
EXACT = (0.1, 0.01)
"""The same for fp32 without TF32."""
LOSSES: dict[Precision, float] = {"fp32": 2e-3, "fp16": 1e-2, "bf16": 6e-2}
"""Largest relative difference of a loss from the CPU in float32, in the first step."""


def bundle_of(place: Place, kind: str, **settings: Any) -> Bundle:
    """A model with random weights whose translations differ visibly from their input."""
    torch.manual_seed(0)
    width = 32 if place.gpu else 8
    networks = NetworkSettings.model_validate(
        {
            "generator": {"kind": kind, "width": width, **settings},
            "predictor": {"kind": "pix2pix", "width": width, "depth": 4},
        }
    )
    bundle = Bundle(BundleConfig(name=kind, networks=networks, short_side=256 if place.gpu else 48))
    initialise(bundle)
    return bundle


def clip_of(frames: int, height: int, width: int) -> Tensor:
    """Smooth random frames (T, 3, H, W) in [-1, 1]."""
    random = torch.Generator().manual_seed(1)
    coarse = torch.rand(frames, 3, max(2, height // 8), max(2, width // 8), generator=random) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)


def _difference(x: Tensor, y: Tensor) -> tuple[float, float]:
    levels = (x.cpu().float() - y.float()).abs() * 127.5
    return float(levels.max()), float(levels.mean())


def _generator(place: Place, *, kind: str) -> Figures:
    size = (250, 330) if place.gpu else (46, 66)  # not multiples: frames are padded
    bundle, clip = bundle_of(place, kind, **_SHALLOW.get(kind, {})), clip_of(4 if place.gpu else 2, *size)
    exact = Translator(copy.deepcopy(bundle), device="cpu", precision="fp32")
    wanted = exact(clip, to="b", smoothing=True)
    figures: dict[str, Any] = {}

    def compare(name: str, precision: Precision, most: tuple[float, float]) -> None:
        made = Translator(copy.deepcopy(bundle), device=place.device, precision=precision)(clip, to="b", smoothing=True)
        expect(bool(made.isfinite().all()), f"{name}: not all values are finite")
        largest, mean = _difference(made, wanted)
        figures[f"{name}: levels, largest and mean"] = f"{largest:.3f}, {mean:.4f}"
        expect(
            largest <= most[0] and mean <= most[1],
            f"{name} differs by {largest:.2f} levels, {mean:.3f} on average; at most {most[0]:g} and {most[1]:g}",
        )

    for precision in place.precisions(training=False):
        compare(precision, precision, LEVELS[precision])
    if place.device == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        compare("fp32 without TF32", "fp32", EXACT)
    return figures


def _batches(place: Place) -> Figures:
    """The composition of a batch may change low bits on a GPU; on a CPU it changes nothing."""
    bundle = bundle_of(place, "resnet")
    translator = Translator(bundle, device=place.device, precision="fp32")
    size = (256, 320) if place.gpu else (48, 64)
    pictures = ((clip_of(9, *size).permute(0, 2, 3, 1) + 1) * 127.5).to(torch.uint8).numpy()
    made = []
    for batch in (1, 4, 8):
        stream = translator.stream(list(pictures), to="b", latency=2 * batch - 1)
        made.append(np.stack(list(stream)).astype(int))
    most = max(int(np.abs(one - other).max()) for one, other in pairwise(made))
    expect(most <= (1 if place.gpu else 0), f"results of batches of 1, 4 and 8 frames differ by {most} levels")
    return {"largest difference, levels": most}


def _copies(place: Place) -> Figures:
    """Pinned memory and asynchronous copies."""
    lanes, random = Lanes(place.torch), np.random.default_rng(0)
    shape = (8, 720, 1280, 3) if place.gpu else (2, 36, 64, 3)
    total = 0
    for dtype in (np.uint8, np.uint16):
        arrays = [random.integers(0, np.iinfo(dtype).max, shape, dtype) for _ in range(3)]
        back = [lanes.download(lanes.upload(array)) for array in arrays]
        expect(all(np.array_equal(get(), array) for get, array in zip(back, arrays, strict=True)), f"{dtype} changed")
        total += sum(array.nbytes for array in arrays)
    return {"MiB there and back": round(total / 2**20, 1)}


def tiny(place: Place, precision: str, **train: Any) -> Pipeline:
    """A pipeline with the losses of the paper, on small networks."""
    width, size = (16, 128) if place.gpu else (4, 32)
    content: dict[str, Any] = {
        "networks": {
            "generator": {"blocks": 2, "width": width},
            "discriminator": {"width": width},
            "predictor": {"kind": "pix2pix", "width": width, "depth": 4},
        },
        "losses": {"weights": {"recycle": 10, "recurrent": 10}},
        "train": {"frames": 3, "size": [size, size], "pool_size": 0, "precision": precision, "device": place.device}
        | train,
    }
    return parse_pipeline(content, where="gpu_check")


def _clips(pipeline: Pipeline, device: torch.device) -> tuple[Tensor, Tensor]:
    size, count = pipeline.train.size, pipeline.train.batch_size
    clips = clip_of(2 * count * 3, *size).reshape(2, count, 3, 3, *size).to(device)
    return clips[0], clips[1]


def _losses(pipeline: Pipeline, folder: Path, steps: int) -> tuple[dict[str, float], Run]:
    run = open_run(pipeline, folder)
    a, b = _clips(pipeline, run.fabric.device)
    first: dict[str, float] = {}
    for number in range(steps):
        report = take_step(run, a, b, number)
        values = {name: float(value) for name, value in report.losses.items()}
        expect(all(np.isfinite(list(values.values()))), f"step {number + 1} has losses that are not finite: {values}")
        first = first or values
    return first, run


def _step(place: Place) -> Figures:
    wanted, _ = _losses(tiny(place, "fp32", device="cpu"), place.folder, 1)
    figures: dict[str, Any] = {}
    for precision in place.precisions(training=True):
        made, run = _losses(tiny(place, precision), place.folder, 3)
        expect(made.keys() == wanted.keys(), f"{precision}: other losses than on the CPU")
        worst = max((abs(made[name] - wanted[name]) / max(1e-3, abs(wanted[name])), name) for name in wanted)
        figures[f"{precision}: largest relative difference"] = f"{worst[0]:.2g} ({worst[1]})"
        expect(worst[0] <= LOSSES[precision], f"{precision}: the loss {worst[1]} differs by {worst[0]:.2g}")
        weights = (p for side in (run.model.translators, run.model.discriminators) for p in side.parameters())
        expect(all(bool(p.isfinite().all()) for p in weights), f"{precision}: weights are not finite after 3 steps")
    return figures


def _scaler(place: Place) -> Figures:
    if "fp16" not in place.precisions(training=True):
        raise Unmet(f"the device '{place.device}' does not train in fp16")
    pipeline = tiny(place, "fp16")
    run = open_run(pipeline, place.folder)
    a, b = _clips(pipeline, run.fabric.device)
    scaler = loss_scaler(run.fabric)
    scaler.update(2.0**24)  # overflows
    before = [p.detach().clone() for p in run.model.translators.parameters()]
    for number in range(24):
        take_step(run, a, b, number)
        if run.optimisers.overflows == 0:
            break
    else:
        raise AssertionError(f"still overflows after 24 steps, at a scale of {scaler.get_scale():g}")
    moved = [not torch.equal(old, new) for old, new in zip(before, run.model.translators.parameters(), strict=True)]
    expect(any(moved), "no weight moved after the scale fitted")
    expect(all(bool(p.isfinite().all()) for p in run.model.translators.parameters()), "weights are not finite")
    return {"steps that overflowed": number, "scale that fits": f"{scaler.get_scale():g}"}


def _halving(place: Place) -> Figures:
    """A batch that does not fit is halved until it does; a frame that does not fit is translated in tiles."""
    pipeline = tiny(place, "fp32", batch_size=8)
    portions = Portions(pipeline, make_fabric(place.device, "fp32"), Job())
    tried: list[int] = []
    if place.device == "cuda":
        free, total = torch.cuda.mem_get_info()
        allowed = min(free, 2 << 30)
        torch.cuda.set_per_process_memory_fraction(allowed / total)

    def step(parts: int) -> int:
        tried.append(parts)
        if place.device == "cuda":
            torch.empty(3 * allowed // parts, dtype=torch.uint8, device="cuda")
        elif parts < 4:
            raise MemoryError
        return parts

    expect(portions.fit(step) == 4 and tried == [1, 2, 4], f"tried {tried} portions instead of 1, 2, 4")
    figures: dict[str, Any] = {"portions of a batch": portions.parts}
    if place.device == "cuda":
        torch.cuda.empty_cache()
        large = clip_of(1, 3000, 4000)
        translator = Translator(bundle_of(place, "resnet"), device="cuda", precision="fp32")
        made = translator(large, to="b")
        peak = torch.cuda.max_memory_allocated()
        expect(bool(made.isfinite().all()), "tiles are not finite")
        figures["peak of a frame of 12 megapixels, GiB of 2 allowed"] = round(peak / 2**30, 2)
    return figures


def _precision(place: Place) -> Figures:
    """What 'auto' chooses is computed, and the key of a translation names it."""
    translator = Translator(bundle_of(place, "resnet"), device=place.device)
    key = translator.key("b", TranslateSettings())
    expect(key["device"] == place.device, f"the key names the device {key['device']}")
    expect(key["precision"] == precision_of(translator._dtype), "the key names another precision")
    return {"auto translates in": key["precision"], "may translate in": ", ".join(place.precisions(training=False))}


NETWORKS = (
    *(
        Check(
            f"generator {kind}",
            "correctness",
            f"{kind} translates and smooths as on a CPU in float32, within the tolerance of each precision",
            partial(_generator, kind=kind),
            40,
        )
        for kind in GENERATORS.classes
    ),
    Check("precision", "correctness", "auto chooses a precision that the device computes", _precision, 20),
    Check("batches", "correctness", "the batch size changes at most one level", _batches, 30),
    Check("copies", "correctness", "copies through pinned memory change nothing", _copies, 20),
    Check("training step", "correctness", "losses are those of a CPU in float32 in each precision", _step, 60),
    Check("fp16 scaler", "correctness", "training in fp16 recovers from overflow", _scaler, 40),
    Check("out of memory", "correctness", "batches are halved, and frames are tiled, until they fit", _halving, 40),
)
