"""`recycle extract`: writes the frames of footage to disk."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from recycle.cli.options import AsJson, MaxPixels, given, numbers
from recycle.cli.output import conclude, watched


def extract(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Videos, folders of videos, or folders of numbered images.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the frames.")],
    fps: Annotated[float | None, typer.Option(help="Frames per second to keep; default: all frames.")] = None,
    short_side: Annotated[int, typer.Option(help="Length of the shorter side in pixels; 0 keeps the size.")] = 286,
    crop: Annotated[str | None, typer.Option(help="Area to keep: x,y,width,height in pixels of the source.")] = None,
    format: Annotated[Literal["jpg", "png"], typer.Option(help="Image format of the frames.")] = "jpg",
    drop_duplicates: Annotated[
        float, typer.Option(help="Drop a frame if it differs from the last kept one by at most this many grey levels.")
    ] = 0,
    mask: Annotated[
        list[Path] | None, typer.Option(help="Mask of each INPUT, in the same order; white is inside (repeatable).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of files to process at a time; default: one per core.", min=1, max=1024)
    ] = None,
    max_pixels: MaxPixels = None,
    as_json: AsJson = False,
) -> None:
    """Split footage into shots and write its frames to disk. Run again to continue.

    Example: recycle extract ~/videos/summer --out footage/a --fps 15 --short-side 286
    """
    from recycle.config import ExtractSettings, parse_settings
    from recycle.dataset.extract import extract as run

    settings = parse_settings(
        ExtractSettings,
        {
            "fps": fps,
            "short_side": short_side or None,
            "crop": numbers(crop),
            "format": format,
            "drop_duplicates": drop_duplicates,
            **given(max_pixels=max_pixels),
        },
    )
    with watched(as_json) as job:
        report = run(inputs, out, settings, masks=mask or (), workers=workers, job=job)
        for notice in report.notices:
            job.say(notice)
        conclude(job, "extracted", report.done, report.skipped, report.failures, f"{report.frames} new frames in {out}")
