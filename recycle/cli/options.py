"""Options that several commands share, and the parsing of option texts."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from recycle.run_folder import CONFIG, IDENTITY, Which, model_in
from recycle.system.hub import find_model
from recycle.vocabulary import Precision as PrecisionName
from recycle.vocabulary import TranslatePrecision


def _domains(ctx: typer.Context, incomplete: str) -> list[str]:
    """What the shell offers for a domain: the letters, and the names that the model has if it was given before."""
    import json  # only here, so that help starts faster

    offered = ["a", "b"]
    with suppress(OSError, ValueError, AttributeError):
        config = model_in(Path(ctx.params.get("model") or "")) / CONFIG
        offered += json.loads(config.read_text(encoding="utf-8")).get("domains", [])
    return [word for word in offered if word.startswith(incomplete)]


To = Annotated[
    str,
    typer.Option(
        metavar="DOMAIN",
        help="Domain to translate to: a, b, or the name that training gave it.",
        autocompletion=_domains,
    ),
]
Scale = Annotated[str, typer.Option(help="Short side for the network: trained, source, or a number such as 512.")]
Detail = Annotated[
    float,
    typer.Option(metavar="0…1", help="Share of the source's fine detail that sharpens the translation; 0 is off."),
]
Stabilise = Annotated[float, typer.Option(metavar="0…1", help="Strength of the flicker reduction; 0 is off.")]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        help="Refuse frames with more pixels than this; default: 16384x8640.", show_default=False, min=1, max=1 << 30
    ),
]
Device = Annotated[str, typer.Option(help="Device to compute on: auto, cpu, cuda or mps.")]
Precision = Annotated[
    TranslatePrecision,
    typer.Option(
        help="Precision of the networks; auto: the first of bf16, fp16, fp32 that the device computes fast; int8: "
        "8-bit integers on a CPU, for ResNets and U-Nets."
    ),
]
FootageA = Annotated[
    list[Path] | None, typer.Option(help="Footage of domain a (repeatable); replaces that of the pipeline file.")
]
FootageB = Annotated[
    list[Path] | None, typer.Option(help="Footage of domain b (repeatable); replaces that of the pipeline file.")
]
MaskA = Annotated[
    list[Path] | None, typer.Option(help="Mask of each path of --a, in order; white is what changes (repeatable).")
]
MaskB = Annotated[
    list[Path] | None, typer.Option(help="Mask of each path of --b, in order; white is what changes (repeatable).")
]
Domains = Annotated[
    str | None, typer.Option(metavar="NAME,NAME", help="Names for domains a and b, such as summer,winter.")
]
RunPath = Annotated[Path | None, typer.Option(help="Folder of the run; default: runs/NAME.")]
Steps = Annotated[int | None, typer.Option(help="Number of training steps.")]
Hours = Annotated[float | None, typer.Option(help="Duration of the training in hours, in place of --steps.")]
DeviceChange = Annotated[str | None, typer.Option("--device", help="Device to compute on: auto, cpu, cuda or mps.")]
PrecisionChange = Annotated[
    PrecisionName | None,
    typer.Option(
        "--precision", help="Precision of the networks; auto: bf16 if the device computes it fast, else fp32."
    ),
]
StartFrom = Annotated[
    Path | None,
    typer.Option(metavar="MODEL", help="Start from the networks of this run or model (fine-tuning); see the guide."),
]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="lite2|street|none|FILE",
        help="Network whose features FID and KID compare; default: lite2. FILE: weights of Inception v3.",
    ),
]
Devices = Annotated[int | None, typer.Option(help="Devices per machine to train on, with one process each.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print progress and results as JSON lines, for use by other programs.")
]
Nodes = Annotated[int | None, typer.Option(help="Number of machines to train on; see docs/guide/gpu.md.")]
Sharded = Annotated[
    bool | None,
    typer.Option("--sharded/--whole", help="Distribute the optimiser states over the processes to save memory."),
]
PipelineFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="PIPELINE",
        help="A TOML file, or the name of an included pipeline, such as demo; default: chosen for the footage.",
        show_default=False,
    ),
]
Plan = Annotated[bool, typer.Option("--plan", help="Without PIPELINE: only print the pipeline that would be chosen.")]
PlanGpu = Annotated[
    float | None,
    typer.Option("--gpu", metavar="GIB", help="With --plan: plan for a GPU with this memory in GiB, at least 1."),
]
Model = Annotated[
    str,
    typer.Option(
        help="Folder of a run or of a model bundle, org/name[@revision] on the Hugging Face Hub, or 'identity'."
    ),
]
WhichModel = Annotated[
    Which, typer.Option("--which", help="For a run: use the model with the best score, or the last one.")
]


def bundle_of(model: str, which: Which) -> str:
    """The bundle that --model and --which select: the path of its folder, or IDENTITY."""
    return model if model == IDENTITY else str(find_model(model, which))


def given(**options: Any) -> dict[str, Any]:
    """The options that are not None. Settings keep their defaults for the others."""
    return {name: value for name, value in options.items() if value is not None}


def refuse(options: Mapping[str, object], why: str) -> None:
    """Raise BadParameter if any of the `options` (name → value) was given. `why` ends the message."""
    if given := [name for name, value in options.items() if value]:
        raise typer.BadParameter(f"{', '.join(given)}: {why}")


def pairs(options: list[str] | None) -> dict[str, str]:
    """Parse options of the form NAME=VALUE. Raises BadParameter for another form."""
    found = {}
    for text in options or []:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"'{text}' is not of the form NAME=VALUE, such as tune=film")
        found[name] = value
    return found


def names(text: str | None) -> list[str] | None:
    """The names in a text such as "summer,winter"; None for None."""
    return None if text is None else [name.strip() for name in text.split(",")]


def size(text: str) -> str | int:
    """The value of --scale: a number of pixels, or the word that `text` is."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else text


def numbers(text: str | None) -> tuple[int, ...] | None:
    """The integers in a text such as "0,20,640,360"; None for None. Raises BadParameter for other texts."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"'{text}' is not of the form x,y,width,height in whole numbers, such as 0,20,640,360"
        ) from error
