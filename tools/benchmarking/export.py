"""Exported generators: how well files repeat the model, and how fast other runtimes are, on one thread."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import torch
from torch import Tensor, nn

from recycle.config import (
    CutSettings,
    GeneratorSettings,
    NetworkSettings,
    Pix2PixHDSettings,
    ResNetSettings,
    UNetSettings,
)
from recycle.domains import AB
from recycle.networks.bundle import Bundle, BundleConfig, save_bundle
from recycle.networks.export import export as write
from recycle.networks.export import likeness
from recycle.networks.generator import at_any_size
from recycle.networks.initialise import initialise
from recycle.networks.onnx_file import open_onnx
from recycle.vocabulary import ExportPrecision
from tools.benchmarking.ceiling import seconds
from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import Contender, Spread, take_turns

SIDE = 256
Network = Callable[[Tensor], Tensor]


def kinds(width: int) -> dict[str, GeneratorSettings]:
    """Every kind of generator, with its variants."""
    return {
        "resnet": ResNetSettings(width=width),
        "resnet, skip": ResNetSettings(width=width, skip=True),
        "resnet, no blur": ResNetSettings(width=width, blur=False),
        "unet": UNetSettings(width=width // 2),
        "unet, skip": UNetSettings(width=width // 2, skip=True),
        "cut": CutSettings(width=width, blocks=6),
        "pix2pixhd": Pix2PixHDSettings(width=max(4, width // 4), blocks=2, local_blocks=1),
    }


def export(*, width: int, rounds: int, say: Callable[[str], None]) -> Iterator[Results]:
    """Measure each kind on frames of 256 × 256 pixels, with random weights; `width` is that of a ResNet."""
    torch.set_num_threads(1)
    for name, settings in kinds(width).items():
        with TemporaryDirectory() as folder:
            yield _of_kind(name, settings, Path(folder), rounds=rounds, say=say)


def _of_kind(
    name: str, settings: GeneratorSettings, folder: Path, *, rounds: int, say: Callable[[str], None]
) -> Results:
    bundle = _random(settings)
    save_bundle(bundle, folder / "model")
    generator = bundle.generator(AB).eval()
    x = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    eager = generator.for_inference(torch.device("cpu"), torch.float32)
    reduced = generator.for_inference(torch.device("cpu"), torch.bfloat16)
    networks: dict[str, Network] = {
        "eager": eager,
        "eager, bf16": lambda x: reduced(x.contiguous(memory_format=torch.channels_last)).float(),
    }
    facts: dict[str, str] = {}
    for precision in get_args(ExportPrecision):
        say(f"{name}: exporting in {precision}")
        file = folder / f"{precision}.onnx"
        report = write(folder / "model", file, to="b", precision=precision)
        facts[f"likeness at export, {precision}"] = ", ".join(map(str, report.likeness))
        networks[f"ONNX Runtime, {precision}"] = open_onnx(file)
        networks[f"OpenVINO, {precision}"] = _openvino(file)
    with torch.inference_mode():
        exact = at_any_size(eager, x, multiple=generator.multiple, least=generator.least_side)
        alike = {each: likeness(network(x), exact) for each, network in networks.items() if each != "eager"}
        contenders: dict[str, Contender] = {
            each: lambda network=network: seconds(lambda: network(x), x.device, least=1)  # type: ignore[misc]
            for each, network in networks.items()
        }
        times = take_turns(contenders, rounds=rounds, say=lambda line: say(f"{name}: {line}"))
    goals = [Goal(f"{each}: dB", Spread.of([min(db, 200.0)])) for each, db in alike.items()]
    goals += [Goal(f"{each} ÷ eager", times.faster(each, "eager")) for each in alike]
    return Results(f"export {name.replace(',', '')}", "frame", times, goals, facts)


def _random(settings: GeneratorSettings) -> Bundle:
    """A model whose frames differ from their source."""
    torch.manual_seed(0)
    bundle = Bundle(BundleConfig(networks=NetworkSettings(generator=settings), predictors=False, short_side=SIDE))
    for module in bundle.modules():
        if isinstance(settings, UNetSettings):
            if hasattr(module, "segmentation_head"):
                nn.init.normal_(module.segmentation_head[0].weight, std=0.1)  # type: ignore[union-attr, index]
        elif isinstance(module, nn.Conv2d) and module.out_channels == 3:
            initialise(module, std=0.05)
    return bundle


def _openvino(file: Path) -> Network:
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(core.read_model(file), "CPU", options)
    return lambda frames: torch.from_numpy(compiled(frames.numpy())[0])
