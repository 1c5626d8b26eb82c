"""`recycle export`: writes a trained generator as a file for other runtimes."""

from pathlib import Path
from typing import Annotated

import typer

from recycle.cli.options import AsJson, To, WhichModel
from recycle.cli.output import watched
from recycle.vocabulary import ExportFormat, ExportPrecision


def export(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder of a run or model, or org/name on the Hugging Face Hub.")
    ],
    to: To,
    out: Annotated[Path, typer.Option(help="File to write: .onnx or, for torch-export, .pt2.")],
    which: WhichModel = "best",
    format: Annotated[
        ExportFormat | None, typer.Option(help="Format of the file; default: by its name.", show_default=False)
    ] = None,
    precision: Annotated[
        ExportPrecision, typer.Option(help="Precision of the weights; fp16: half the size, faster on GPUs.")
    ] = "fp32",
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Export a generator to ONNX or torch.export.

    An ONNX file accepts any number of frames and any frame size; its metadata describe the input. The file is checked
    against the model before it is saved. Smoothing and flicker reduction are not part of it. ONNX needs the extra
    recycle[export].

    Example: recycle export runs/demo --to night --out night.onnx
    """
    with watched(as_json) as job:
        from recycle.networks.export import export as write
        from recycle.system.hub import find_model

        chosen = find_model(model, which)
        report = write(chosen, out, to=to, format=format, precision=precision, overwrite=overwrite, job=job)
        job.say(f"compared with the model: {', '.join(map(str, report.likeness))}")
        job.say(f"wrote {out}: frames {report.about['range']}, sizes {report.about['sizes']}")
