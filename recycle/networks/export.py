"""Exports the generator of a bundle to one file for other runtimes, and proves that the file gives the same frames."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from recycle.domains import Domain, into
from recycle.errors import ConfigError, OutputError, RecycleError
from recycle.events import Job
from recycle.networks.bundle import Bundle, digest, load_bundle, target_of
from recycle.networks.flat import keep_flat
from recycle.networks.generator import GeneratorNetwork, at_any_size, pad
from recycle.networks.onnx_file import OPSET, open_onnx, quiet, to_onnx
from recycle.networks.predictor import pad_to_multiple
from recycle.run_folder import IDENTITY
from recycle.system.atomic import atomic_path
from recycle.system.hub import find_model
from recycle.vocabulary import ExportFormat, ExportPrecision

Result = TypeVar("Result")

SUFFIXES: dict[ExportFormat, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
"""Suffix of the files of each format."""
LEAST_LIKENESS = 50.0
"""Minimum peak signal-to-noise ratio, in dB, of an exported file's frames relative to those of the model."""
_LARGEST_CHECK = 256
"""Maximum short side of the frames on which a file is checked."""
_DTYPES: dict[ExportPrecision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16}


@dataclass(frozen=True)
class Likeness:
    """How well an exported file repeats the model, on frames of one size."""

    batch: int
    height: int
    width: int
    decibels: float
    """Peak signal-to-noise ratio for the range [-1, 1]; infinite if all values are equal."""

    def __str__(self) -> str:
        return f"{self.batch}×3×{self.height}×{self.width}: {min(self.decibels, 200):.0f} dB"


@dataclass(frozen=True)
class ExportReport:
    """An exported file, and how well it repeats the model."""

    file: Path
    likeness: tuple[Likeness, ...]
    """For each of the sizes on which it was checked."""
    about: dict[str, str]
    """The metadata in the file."""


class _Exported(nn.Module):
    """A generator with float32 input and output, which leaves flat frames unchanged."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float32 in [-1, 1] → the same shape and range."""
        out: Tensor = self.generator(frames)
        return keep_flat(frames, out.float())


def export(
    model: str | PathLike[str],
    out: str | PathLike[str],
    *,
    to: str,
    format: ExportFormat | None = None,
    precision: ExportPrecision = "fp32",
    overwrite: bool = False,
    job: Job | None = None,
) -> ExportReport:
    """Write the generator that translates to the domain `to` as a file that needs no recycle.

    `model` is the folder of a run, whose best model is used, the folder of a bundle, or a name on the Hub. The format
    is "onnx" (`out` ends with .onnx) or "torch-export" (.pt2); None: by the name. It takes frames (B, 3, H, W), RGB,
    float32 in [-1, 1], and returns the same; with "fp16" only its weights and inner values are float16, and
    normalisations are float32. An ONNX file (opset 18) takes any size; one of torch.export takes the multiples in its
    metadata. Before the file gets its name, it is run on three sizes, by ONNX Runtime or torch on the CPU, and compared
    with the model in float32. Smoothing and flicker reduction are not part of the file.

    Raises ConfigError for an unknown domain or if the extra recycle[export] is missing, BundleError if there is no
    model, OutputError if the file exists or cannot be written, RecycleError if the network cannot be traced or the file
    is less alike than 50 dB, and Interrupted after `job.cancel()`. No file is written then.
    """
    job = job or Job()
    out = Path(out)
    chosen = _format_of(out, format, overwrite=overwrite)
    if fspath(model) == IDENTITY:
        raise ConfigError("the model 'identity' has no network to export; give the folder of a run or of a model")
    folder = find_model(fspath(model))
    target = target_of(folder, to)
    job.counting("loading the model")
    bundle = load_bundle(folder)
    generator = bundle.generator(into(target))
    about = _metadata(bundle, generator, target, chosen, precision)
    try:
        with atomic_path(out) as temporary:
            job.check()
            job.counting("tracing the network")
            _write(chosen, generator, temporary, about, _DTYPES[precision])
            job.check()
            likeness = check_file(bundle, target, temporary, format=chosen, precision=precision, job=job)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    return ExportReport(out, likeness, about)


def check_file(
    bundle: Bundle,
    target: Domain,
    file: Path,
    *,
    format: ExportFormat,
    precision: ExportPrecision = "fp32",
    job: Job | None = None,
) -> tuple[Likeness, ...]:
    """Compare an exported file with the model, in eager mode and float32, on three sizes with 1, 2 and 3 frames.

    Raises RecycleError if a size is less alike than LEAST_LIKENESS, or if the file cannot be run.
    """
    generator = bundle.generator(into(target))
    model = generator.for_inference(torch.device("cpu"), torch.float32)
    short = min(bundle.config.short_side, _LARGEST_CHECK)
    small = max(21, 2 * generator.least_side + 5)
    sizes = ((1, short, round(short * 16 / 9)), (2, short // 2 + 7, short // 2 + 2), (3, small, small + 17))
    count = (job or Job()).counting("comparing the file with the model", total=len(sizes), unit="sizes")
    found = []
    with torch.inference_mode():
        run = _attempt("run", format, lambda: _open(format, file, generator))
        for number, size in enumerate(sizes):
            frames = pictures(*size)
            exact = at_any_size(model, frames, multiple=generator.multiple, least=generator.least_side)
            given = _attempt("run", format, partial(run, frames))
            found.append(Likeness(*size, likeness(given, exact)))
            if not found[-1].decibels >= LEAST_LIKENESS:  # also if it is NaN
                remedy = "; export with --precision fp32" if precision == "fp16" else ""
                raise RecycleError(
                    f"the exported file differs from the model: {found[-1]}, at least {LEAST_LIKENESS:.0f} dB are "
                    f"needed, so no file was written{remedy}"
                )
            count(number + 1)
    return tuple(found)


def likeness(given: Tensor, exact: Tensor) -> float:
    """Peak signal-to-noise ratio of `given` relative to `exact`, in dB, for the range [-1, 1]; inf if they are
    equal."""
    error = float((given.double() - exact.double()).square().mean())
    return math.inf if error == 0 else 10 * math.log10(4 / error)


def _sides(generator: GeneratorNetwork) -> dict[str, int]:
    """The sizes that an exported generator takes without padding."""
    return {"multiple": max(generator.multiple, generator.pads_to), "least": generator.least_side}


def _write(
    format: ExportFormat, generator: GeneratorNetwork, file: Path, about: dict[str, str], dtype: torch.dtype
) -> None:
    ready = generator.for_inference(torch.device("cpu"), torch.float32).to(dtype)
    _simplify(ready)
    network = _Exported(ready.to(memory_format=torch.contiguous_format))
    program = _attempt("trace", format, lambda: trace(network, **_sides(generator)))
    if format == "torch-export":
        with quiet():
            torch.export.save(program, file, extra_files=about)
    else:
        reflect = generator.pads_to == 1
        _attempt("write", format, lambda: to_onnx(program, file, about=about, reflect=reflect, **_sides(generator)))


class _Clamp6(nn.Module):
    """The values of `nn.ReLU6`, which exporters take minutes to decompose."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same shape."""
        return x.clamp(0, 6)


def _simplify(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU6):
            setattr(module, name, _Clamp6())
        else:
            _simplify(child)


def trace(network: nn.Module, *, multiple: int, least: int) -> torch.export.ExportedProgram:
    """The program of `network` for any batch, and sides that are multiples of `multiple` and at least `least`."""
    fewest = -(-least // multiple)
    example = torch.zeros(2, 3, multiple * (fewest + 3), multiple * (fewest + 4))
    rows, columns = (multiple * torch.export.Dim(name, min=fewest) for name in ("rows", "columns"))
    shapes = ({0: torch.export.Dim("batch"), 2: rows, 3: columns},)
    with quiet(), torch.no_grad():
        return torch.export.export(network, (example,), dynamic_shapes=shapes, strict=False)


def _open(format: ExportFormat, file: Path, generator: GeneratorNetwork) -> Callable[[Tensor], Tensor]:
    """An exported file as a function of float32 (B, 3, H, W) of any size that `generator` takes."""
    if format == "onnx":
        return open_onnx(file)
    with quiet():
        module = torch.export.load(file).module()
    own, sides = generator.pads_to, {"multiple": generator.multiple, "least": generator.least_side}

    def run(frames: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        padded = pad_to_multiple(frames, own) if own > 1 else pad(frames, **sides)
        out: Tensor = module(padded)[..., :height, :width]
        return out

    return run


def _attempt(what: str, format: ExportFormat, work: Callable[[], Result]) -> Result:
    """The result of `work`; an exception of an exporter or runtime becomes one line."""
    try:
        return work()
    except (RecycleError, OSError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise RecycleError(f"cannot {what} this generator in the format {format}: {reason}") from error


def pictures(batch: int, height: int, width: int) -> Tensor:
    """Smooth pictures with noise, (batch, 3, height, width) in [-1, 1]; the same at every call."""
    drawn = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, 5, 7, generator=drawn) * 2 - 1
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return (smooth + 0.1 * torch.randn(batch, 3, height, width, generator=drawn)).clamp(-1, 1)


def _format_of(out: Path, format: ExportFormat | None, *, overwrite: bool) -> ExportFormat:
    """The format of the file `out`. Raises OutputError if it must not be written."""
    known = {suffix: name for name, suffix in SUFFIXES.items()}
    by_name = known.get(out.suffix.lower())
    if by_name is None or (format is not None and format != by_name):
        wanted = SUFFIXES[format] if format else " or ".join(known)
        raise OutputError(f"cannot write {out}: the name of the file must end with {wanted}")
    if out.is_dir():
        raise OutputError(f"cannot write {out}: it is a folder; give the name of a file")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists; give --overwrite to replace it")
    return by_name


def _metadata(
    bundle: Bundle, generator: GeneratorNetwork, target: Domain, format: ExportFormat, precision: ExportPrecision
) -> dict[str, str]:
    """What a user of the file must know, as text."""
    from recycle import __version__

    d, config = into(target), bundle.config
    source, goal = config.domains.of(d.source), config.domains.of(d.target)
    sides = "{multiple}, at least {least} pixels".format(**_sides(generator))
    return {
        "description": f"Translates single frames of {source} to {goal}. Smoothing and flicker reduction are not part "
        "of it.",
        "model": config.name,
        "kind": config.networks.generator.kind,
        "source_domain": source,
        "target_domain": goal,
        "short_side": str(config.short_side),
        "layout": "batch × 3 × height × width, RGB, float32",
        "range": "[-1, 1]: level / 127.5 - 1, and back",
        "sizes": f"any; padded inside to multiples of {sides}" if format == "onnx" else f"multiples of {sides}",
        "precision": precision,
        "steps": str(config.step),
        "sha256": digest(bundle),
        "recycle_version": __version__,
        **({"opset": str(OPSET)} if format == "onnx" else {"torch_version": torch.__version__}),
    }
