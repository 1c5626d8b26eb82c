"""Translation of a video: ours from file to file, the generator alone, and the published flow."""

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch

from recycle.config import NetworkSettings, ResNetSettings, TranslatePrecision
from recycle.networks.bundle import Bundle, BundleConfig, load_bundle
from recycle.networks.generator import at_any_size
from recycle.rendering.overlap import AT_ONCE
from recycle.rendering.work import SEGMENT
from recycle.street.film import Street
from recycle.system.devices import best_precision
from recycle.translation.scale import network_size
from recycle.translation.translator import Translator
from recycle.video.encode import write_video
from recycle.video.frame import Pixels
from tools.benchmarking.ceiling import convolution, flops, seconds
from tools.benchmarking.published import as_published, translate_as_published
from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import Contender, Spread, take_turns

TRAINED = 256
REAL_TIME = 16
"""Width of the generator that should reach 25 frames per second."""
SIZES = {"256 px": (256, 256), "720 lines": (1280, 720)}
"""Width and height of the videos."""
RATE = 25
LOOP = 8
"""Number of frames of the street that are repeated."""
LEAST = {"cpu": (0.95, 10.0, 0.8), "cuda": (0.9, 30.0, 0.5)}
"""Goals for our speed relative to the generator alone and to the published flow; and for the generator's speed relative
to the best convolution."""


def translate(
    *,
    width: int,
    frames: int | None,
    rounds: int,
    device: str,
    say: Callable[[str], None],
    model: Path | None = None,
    precision: TranslatePrecision = "auto",
) -> Iterator[Results]:
    """Measure the translation of a clip of `frames` frames, one size after the other.

    `width` is that of the generator, with random weights; 64 is the published one, 16 that of `pipelines/fast.toml`.
    Random weights make noise, which takes long to encode; `model` is the folder of a trained bundle to use instead.
    `precision` is ours; the published flow computes in float32.
    """
    torch.manual_seed(0)
    networks = NetworkSettings(generator=ResNetSettings(blocks=6, width=width, blur=width != 64))
    config = BundleConfig(networks=networks, predictors=False, short_side=TRAINED)
    bundle = Bundle(config) if model is None else load_bundle(model, predictors=False)
    peer = Bundle(bundle.config)
    peer.load_state_dict(bundle.state_dict())
    translator = Translator(bundle, device=device, precision=precision)
    as_published(peer).eval().to(translator.device)
    with TemporaryDirectory() as folder:
        for name, size in SIZES.items():
            yield _at(name, size, translator, peer, Path(folder), frames=frames, rounds=rounds, say=say)


def _at(
    name: str,
    size: tuple[int, int],
    translator: Translator,
    peer: Bundle,
    folder: Path,
    *,
    frames: int | None,
    rounds: int,
    say: Callable[[str], None],
) -> Results:
    device, network = translator.device, peer.config.networks.generator
    width = network.width if isinstance(network, ResNetSettings) else None
    frames = frames or (2 * SEGMENT if device.type == "cpu" else 10 * SEGMENT)
    source = folder / f"{size[0]}.mp4"
    loop = list(Street(1, *size, RATE, LOOP / RATE).frames("day"))
    write_video(source, islice(cycle(loop), frames), fps=RATE)
    lines, columns = network_size((size[1], size[0]), scale="trained", trained=TRAINED, pixel_aspect=Fraction(1))
    many = 4 * max(AT_ONCE, torch.get_num_threads())  # many, so that lanes and batches stay full
    x = torch.rand(many, 3, lines, columns, device=device) * 2 - 1

    def from_file_to_file() -> float:
        start = time.perf_counter()
        report = translator.translate_video(source, folder / "ours.mp4", to="b", overwrite=True)
        return (time.perf_counter() - start) / report.frames

    contenders: dict[str, Contender] = {
        "ours, file to file": from_file_to_file,
        "generator alone": lambda: seconds(lambda: translator(x, to="b"), device, least=2) / many,
    }
    if size[0] == size[1]:
        few = folder / "few.mp4"
        write_video(few, islice(cycle(loop), min(frames, 6 if device.type == "cpu" else 200)), fps=RATE)
        for passes, words in ((4, "4 passes"), (1, "1 pass")):
            contenders[f"published flow, {words}"] = partial(_published, peer, few, folder, passes)
    dtype = torch.bfloat16 if best_precision(device.type, training=False) == "bf16" else torch.float32
    operations = convolution(device, dtype)
    work = flops(lambda: peer.gen_ab(x[:1]))
    contenders["generator, if all were its best convolution"] = lambda: operations() * work
    likeness = _likeness(translator, peer, [cv2.resize(frame, (columns, lines)) for frame in loop])
    times = take_turns(contenders, rounds=rounds, say=lambda line: say(f"{name}: {line}"))
    ours, alone, best = "ours, file to file", "generator alone", "generator, if all were its best convolution"
    least_alone, least_published, least_ceiling = LEAST[device.type] if width == 64 else (None, None, None)
    goals = [
        Goal("likeness to float32, eager, dB", Spread.of([likeness]), least=40.0),
        Goal("end to end ÷ generator alone", times.faster(ours, alone), least=least_alone),
        Goal("generator: FLOP/s ÷ those of the best convolution", times.faster(alone, best), least=least_ceiling),
    ]
    if size[0] == size[1]:
        goals += [
            Goal("end to end ÷ published flow", times.faster(ours, "published flow, 4 passes"), least=least_published),
            Goal("end to end ÷ published flow with 1 pass", times.faster(ours, "published flow, 1 pass")),
        ]
    if size[0] == size[1] and width == REAL_TIME:
        goals.append(Goal("frames per second, file to file", times.speed(ours), least=25.0))
    facts = {"frames": frames, "network at": f"{columns} × {lines}", "operations of a frame": f"{work / 1e9:.1f} GFLOP"}
    return Results(f"translate {name}" + (f" width {width}" if width != 64 else ""), "frame", times, goals, facts)


def _likeness(translator: Translator, peer: Bundle, frames: list[Pixels]) -> float:
    """Peak signal-to-noise ratio, in dB, of our translation of RGB frames relative to the generator in float32."""
    x = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).to(translator.device) / 127.5 - 1
    generator = peer.gen_ab
    with torch.inference_mode():
        sides = {"multiple": generator.multiple, "least": generator.least_side}
        exact = torch.cat([at_any_size(generator, each, **sides) for each in x.split(1)])
    return float(10 * torch.log10(4 / (translator(x, to="b") - exact).square().mean()))


def _published(peer: Bundle, source: Path, folder: Path, passes: int) -> float:
    with TemporaryDirectory(dir=folder) as images:
        start = time.perf_counter()
        count = translate_as_published(peer, source, folder / "published.mp4", Path(images), passes=passes)
        return (time.perf_counter() - start) / count
