"""`recycle live`: translates a camera, a stream or the screen."""

from typing import Annotated

import typer

from recycle.cli.options import (
    AsJson,
    Detail,
    Device,
    MaxPixels,
    Model,
    Precision,
    Scale,
    Stabilise,
    To,
    WhichModel,
    bundle_of,
    given,
    size,
)
from recycle.cli.output import watched
from recycle.plural import counted


def live(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Camera (number or device), address of a stream (rtsp, rtmp, http, udp, tcp), or screen.",
        ),
    ],
    model: Model,
    to: To,
    sink: Annotated[
        str,
        typer.Argument(metavar="SINK", help="window, virtual (a camera), a video file, or the address of a stream."),
    ] = "window",
    which: WhichModel = "best",
    scale: Scale = "trained",
    stabilise: Stabilise = 0.0,
    detail: Detail = 1.0,
    record: Annotated[str | None, typer.Option(metavar="FILE", help="Write the translation to this video too.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace existing files.")] = False,
    max_pixels: MaxPixels = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: AsJson = False,
) -> None:
    """Translate a camera, a stream or the screen as it comes. Ctrl-C ends it.

    Only the newest waiting picture is kept; older ones are dropped and counted. A lost stream is connected again. Files
    are complete when the command ends. A small model keeps up on a CPU: see recycle distill.

    Example: recycle live 0 --model runs/seasons-fast --to winter

    Example: recycle live rtsp://camera.local/stream window --record walk.mp4 --model runs/seasons-fast --to winter
    """
    look = {"scale": size(scale), "stabilise": stabilise, "detail": detail, "device": device, "precision": precision}
    with watched(as_json) as job:
        from recycle.streaming.interface import live as translate_live

        bundle = bundle_of(model, which)
        report = translate_live(
            source,
            sink,
            model=bundle,
            to=to,
            record=record,
            overwrite=overwrite,
            job=job,
            **look,
            **given(max_pixels=max_pixels),
        )
        shown = (
            f"{counted(report.frames, 'picture')}, {report.rate:.1f} a second; latency {1000 * report.latency:.0f} ms"
        )
        found = f", connected again {counted(report.reconnects, 'time')}" if report.reconnects else ""
        job.say(f"{shown}, {report.dropped} dropped{found}")
        for file in (sink, record):
            if file is not None and file not in ("window", "virtual") and "://" not in file:
                job.say(f"wrote {file}")
