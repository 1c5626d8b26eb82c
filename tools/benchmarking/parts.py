"""The gain of individual design choices on a CPU, each compared with the obvious alternative."""

import copy
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange, VideoReformatter
from kornia import augmentation as kornia
from torch import Tensor, nn

from recycle.config import AugmentSettings, EncodeSettings, Pix2PixSettings, ResNetSettings
from recycle.dataset.augment import Augment
from recycle.networks import resample
from recycle.networks.few import FewConv2d
from recycle.networks.predictor import Pix2PixPredictor
from recycle.networks.resnet import ResNetGenerator
from recycle.street.film import Street
from recycle.training.adam import Adam
from recycle.translation.lanes import Lanes
from recycle.video.colour import EXACT, RgbConverter
from recycle.video.encode import write_video
from tools.benchmarking.ceiling import seconds
from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import Contender, Rounds, take_turns

CPU = torch.device("cpu")
HIGH = (1280, 720)
PRESETS = ("medium", "veryfast", "superfast", "ultrafast")
FRAMES = 48
"""Number of frames of the encoded video."""


def parts(*, rounds: int, say: Callable[[str], None]) -> Results:
    """Measure the choices in turn, with one thread, except for those that share a batch among cores."""
    torch.manual_seed(0)
    cores = torch.get_num_threads()
    with TemporaryDirectory() as folder, torch.random.fork_rng():
        encoding, sizes = _encoding(Path(folder))
        groups = {
            "RGB of a frame of 720 lines, 455 × 256": _conversion(Path(folder)),
            "generator, 8 frames of 256 × 256": _lanes(cores),
            "last convolution, 256 × 256": _last_convolution(),
            "the same in training, two frames of 128 × 128, forward and backward": _trained_last(torch.bfloat16),
            "… in float32": _trained_last(torch.float32),
            "predictor, 128 × 128, forward and backward": _predictor(torch.bfloat16),
            "the same in float32": _predictor(torch.float32),
            "augmentation, two clips of 3 frames of 128 × 128": _augmentation(),
            "Adam, generator of width 64": _adam(),
            "encoding a frame of 720 lines": encoding,
        }
        contenders: dict[str, Contender] = {
            f"{what}: {way}": run for what, ways in groups.items() for way, run in ways.items()
        }
        try:
            times = take_turns(contenders, rounds=rounds, say=say)
        finally:
            torch.set_num_threads(cores)
    goals = [goal for what, ways in groups.items() for goal in _goals(what, list(ways), times)]
    return Results("parts", "call", times, goals, {"bytes of x264's": sizes})


def _goals(what: str, ways: list[str], times: Rounds) -> Iterator[Goal]:
    ours, *others = ways
    for other in others:
        yield Goal(f"{what}: {ours} ÷ {other}", times.faster(f"{what}: {ours}", f"{what}: {other}"))


def _conversion(folder: Path) -> dict[str, Contender]:
    write_video(folder / "frame.mp4", Street(1, *HIGH, 24, 1).frames("day"), fps=24)
    with av.open(str(folder / "frame.mp4")) as container:
        frame = next(container.decode(video=0))
    convert = RgbConverter(threads=False)
    scaler = VideoReformatter()

    def packed() -> None:
        rgb = scaler.reformat(
            frame,
            width=455,
            height=256,
            format="rgb24",
            dst_color_range=ColorRange.JPEG,
            interpolation=EXACT,
            threads=1,
        )
        rgb.to_ndarray()

    return {
        "planes, merged": _single(lambda: convert(frame, width=455, height=256)),
        "packed": _single(packed),
    }


def _lanes(cores: int) -> dict[str, Contender]:
    generator = ResNetGenerator(ResNetSettings(blocks=6, blur=False)).for_inference(CPU, torch.bfloat16)
    frames = torch.rand(8, 3, 256, 256).mul(2).sub(1).bfloat16().contiguous(memory_format=torch.channels_last)
    torch.set_num_threads(cores)
    lanes = Lanes(CPU)

    @torch.inference_mode()
    def one(group: list[Tensor]) -> Tensor:
        return generator(torch.stack(group))

    def in_lanes() -> None:
        for _ in lanes.through(one, frames, limit=len(frames)):
            pass

    return {
        "a frame on a core": partial(_timed, in_lanes, cores),
        "a frame on all cores": partial(_timed, lambda: [one([frame]) for frame in frames], cores),
        "a batch on all cores": partial(_timed, lambda: one([*frames]), cores),
    }


def _last_convolution() -> dict[str, Contender]:
    whole = ResNetGenerator(ResNetSettings(blocks=1, blur=False)).to(torch.bfloat16).eval().requires_grad_(False)
    head = whole.model[-2].to(memory_format=torch.channels_last)
    ready = whole.for_inference(CPU, torch.bfloat16).model[-2]
    x = torch.rand(1, 64, 262, 262, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    return {"in two": _single(lambda: ready(x)), "whole": _single(lambda: head(x))}


def _trained_last(dtype: torch.dtype) -> dict[str, Contender]:
    ours = FewConv2d(64, 3, 7).to(dtype).to(memory_format=torch.channels_last)
    whole = nn.Conv2d(64, 3, 7).to(dtype).to(memory_format=torch.channels_last)
    x = torch.rand(2, 64, 134, 134, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()

    def step(layer: nn.Module) -> None:
        torch.autograd.grad(layer(x).sum(), [x, *layer.parameters()])

    return {
        name: _single(_with_gradients(partial(step, layer))) for name, layer in (("in two", ours), ("whole", whole))
    }


def _augmentation() -> dict[str, Contender]:
    clips = torch.randint(0, 256, (2, 3, 3, 142, 142), dtype=torch.uint8)
    changes = [kornia.RandomCrop((128, 128), cropping_mode="slice"), kornia.RandomHorizontalFlip(p=0.5)]
    changes.append(kornia.ColorJiggle(brightness=0.05, contrast=0.05, saturation=0.05, p=0.8))
    modules = kornia.VideoSequential(*changes, data_format="BTCHW", same_on_frame=True)
    augment = Augment(AugmentSettings())

    def at_once() -> None:
        drawn = torch.from_numpy(np.array([augment.draw([0, number]) for number in range(len(clips))]))
        augment(clips[..., :128, :128].contiguous(), drawn)

    def clip_by_clip() -> None:
        for clip in clips.split(1):
            modules(clip.float() / 255)

    return {"a batch at once": _single(at_once), "kornia's modules, clip by clip": _single(clip_by_clip)}


def _predictor(dtype: torch.dtype) -> dict[str, Contender]:
    predictor = Pix2PixPredictor(Pix2PixSettings(width=64, depth=7))
    predictor.to(memory_format=torch.channels_last)
    past = torch.rand(1, 2, 3, 128, 128) * 2 - 1

    def step() -> None:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss = predictor(past).float().abs().mean()
        loss.backward()

    def as_convolutions() -> None:
        with patch.object(resample, "_as_product", lambda *_: False):
            step()

    return {
        "matrix products": _single(_with_gradients(step)),
        "convolutions": _single(_with_gradients(as_convolutions)),
    }


def _adam() -> dict[str, Contender]:
    generator = ResNetGenerator(ResNetSettings(blocks=6)).to(memory_format=torch.channels_last)
    found: dict[str, Contender] = {}
    for name, kind in (("as weights lie", Adam), ("PyTorch's", partial(torch.optim.Adam, fused=True))):
        own = copy.deepcopy(generator)
        for parameter in own.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimiser = kind(own.parameters(), lr=1e-4)
        found[name] = _single(_with_gradients(optimiser.step))
    return found


def _encoding(folder: Path) -> tuple[dict[str, Contender], dict[str, int]]:
    loop = list(Street(1, *HIGH, 24, 1).frames("day"))
    sizes: dict[str, int] = {}

    def encode(preset: str) -> float:
        frames = list(islice(cycle(loop), FRAMES))
        start = time.perf_counter()
        write_video(folder / "out.mp4", frames, fps=24, settings=EncodeSettings(preset=preset))
        taken = (time.perf_counter() - start) / FRAMES
        sizes[preset] = (folder / "out.mp4").stat().st_size
        return taken

    return {f"x264 {preset}": partial(encode, preset) for preset in PRESETS}, sizes


def _with_gradients(work: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        with torch.inference_mode(mode=False), torch.enable_grad():
            work()

    return run


def _single(work: Callable[[], object]) -> Contender:
    return partial(_timed, work, 1)


def _timed(work: Callable[[], object], threads: int) -> float:
    torch.set_num_threads(threads)
    return seconds(work, CPU, least=0.5)
