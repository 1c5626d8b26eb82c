"""`recycle translate`: translates a video, an image, or a folder of these."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    pairs,
    refuse,
    size,
)
from recycle.cli.output import conclude, print_error, tell_lost, watched
from recycle.system.imports import uncollected
from recycle.system.places import is_here, place
from recycle.vocabulary import Codec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recycle.config import TranslateSettings
    from recycle.domains import Domain
    from recycle.events import Job
    from recycle.translation.translator import Translator

Alpha = Annotated[Literal["drop", "keep"], typer.Option(help="keep: preserve transparency, with prores, ffv1 and vp9.")]
Fps = Annotated[
    str | None, typer.Option(help="Frames per second of raw streams and folders of images, such as 30000/1001.")
]
Provenance = Annotated[
    Literal["on", "off"], typer.Option(help="on: state in the output's metadata that a model made its picture.")
]
Mask = Annotated[
    str | None,
    typer.Option(metavar="PATH|motion", help="Translate only the white part of this video, image or folder of images."),
]
Strength = Annotated[float, typer.Option(metavar="0…1", help="Share of the translation; the rest is the source.")]
Timestamps = Annotated[
    Literal["zero", "source"],
    typer.Option(help="zero: if the source starts at 10 s or later, shift all streams to start at 0."),
]
AtOnce = Annotated[
    int | None,
    typer.Option(
        help="Number of files to translate at a time, on all machines together; default: by the number of cores.",
        show_default=False,
        min=1,
        max=1024,
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="[ADDRESS]", help="Use the Ray cluster at host:port; without ADDRESS, the one of this machine."
    ),
]
Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT", parser=place, help="Video, image, folder of these, or pattern (frame_%05d.png); may be a URL."
    ),
]
Output = Annotated[
    Path, typer.Argument(metavar="OUTPUT", parser=place, help="Video, image, folder or pattern to write; may be a URL.")
]
Crf = Annotated[int | None, typer.Option(help="Constant quality; 0 is the best. Default: looks like the source.")]
PixelFormat = Annotated[str | None, typer.Option(help="FFmpeg's name of the pixel format, such as yuv444p.")]
Option = Annotated[list[str] | None, typer.Option(help="Further option of the encoder, as NAME=VALUE (repeatable).")]
JoinImages = Annotated[
    bool,
    typer.Option(help="For a folder: make one video of each folder of numbered images."),
]
Hardware = Annotated[bool, typer.Option(help="Decode and encode on the GPU if a trial shows that it works.")]
Include = Annotated[
    list[str] | None, typer.Option(help="For a folder: only files that match, such as '*.mkv' (repeatable).")
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="For a folder: not files that match, such as 'raw/*' (repeatable).")
]
DryRun = Annotated[bool, typer.Option(help="For a folder: only show what would be done, and what would fail.")]


_OF_A_FILE = ("start", "end", "preview", "compare")
_OF_A_FOLDER = ("include", "exclude", "retry_failed", "dry_run", "watch", "join_images")
"""Options that apply only to a single file, or only to a folder."""


def translate(
    ctx: typer.Context,
    source: Input,
    output: Output,
    model: Model,
    to: To,
    which: WhichModel = "best",
    scale: Scale = "trained",
    smoothing: Annotated[bool, typer.Option(help="Average each frame with its prediction, as in the paper.")] = False,
    stabilise: Stabilise = 0.0,
    detail: Detail = 1.0,
    strength: Strength = 1.0,
    keep_colour: Annotated[bool, typer.Option(help="Colours of the source, lightness of the translation.")] = False,
    mask: Mask = None,
    feather: Annotated[int | None, typer.Option(help="Width of the soft edge of the mask in pixels.")] = None,
    start: Annotated[str | None, typer.Option(help="Start at this time: seconds, or h:mm:ss.")] = None,
    end: Annotated[str | None, typer.Option(help="End before this time: seconds, or h:mm:ss.")] = None,
    preview: Annotated[bool, typer.Option(help="Translate only 4 seconds from the middle; implies --compare.")] = False,
    compare: Annotated[bool, typer.Option(help="Show the source to the left of the translation.")] = False,
    codec: Annotated[Codec, typer.Option(help="Video codec; h264 plays everywhere.")] = "h264",
    crf: Crf = None,
    bitrate: Annotated[int | None, typer.Option(help="Bits per second, in place of --crf.")] = None,
    preset: Annotated[str | None, typer.Option(help="Encoder preset, which trades speed for file size.")] = None,
    depth: Annotated[int, typer.Option(help="Bits per sample: 8 or 10.")] = 8,
    pixel_format: PixelFormat = None,
    alpha: Alpha = "drop",
    option: Option = None,
    hardware: Hardware = False,
    fps: Fps = None,
    max_pixels: MaxPixels = None,
    timestamps: Timestamps = "zero",
    provenance: Provenance = "on",
    overwrite: Annotated[bool, typer.Option(help="Replace existing outputs.")] = False,
    include: Include = None,
    exclude: Exclude = None,
    retry_failed: Annotated[bool, typer.Option(help="For a folder: retry files that failed earlier.")] = False,
    dry_run: DryRun = False,
    join_images: JoinImages = False,
    watch: Annotated[bool, typer.Option(help="For a folder: keep running, and translate files that arrive.")] = False,
    at_once: AtOnce = None,
    cluster: Cluster = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: AsJson = False,
) -> None:
    """Translate a video, an image, or all of a folder. Run again to continue.

    Every frame keeps its timestamp. Sound and other streams are carried over. Finished work is not repeated. In a
    folder, outputs keep the structure, a bad file never stops the others, and translate.json records each result. The
    exit code is 1 if a file failed (with --dry-run: would fail), and 3 if only sound, subtitles or data were lost.

    Example: recycle translate walk.mkv walk-b.mp4 --model runs/signers --to b

    Example: recycle translate holiday/ holiday-winter/ --model runs/summer-winter --to winter
    """
    settings, bundle = _settings(ctx.params), bundle_of(model, which)
    task = _Task(source, output, bundle, _target(bundle, to), settings, overwrite, at_once, cluster)
    part, folder = ({_flag(name): ctx.params[name] for name in names} for names in (_OF_A_FILE, _OF_A_FOLDER))
    with watched(as_json) as job:
        _begin(task, part, folder, job)


@dataclass(frozen=True)
class _Task:
    """The options that a folder and a single file share."""

    source: Path
    output: Path
    model: str
    to: "Domain"
    settings: "TranslateSettings"
    overwrite: bool
    at_once: int | None
    cluster: str | None

    def translator(self) -> "Translator":
        from recycle.translation.translator import Translator

        chosen = self.settings
        device, precision = chosen.device, chosen.precision
        if self.cluster:  # the workers choose
            device, precision = "cpu", "auto"
        return Translator.from_pretrained(self.model, device=device, precision=precision, smoothing=chosen.smoothing)


def _begin(task: _Task, part: dict[str, Any], folder: dict[str, Any], job: "Job") -> None:
    """Translate a file or a folder. `part` and `folder` hold the options (name → value) that only one of them takes."""
    from recycle.batch.task import is_batch

    if is_batch(task.source, task.output):
        refuse(part, "only for a single file, not for a folder")
        _folder(task, folder, job)
    else:
        refuse(folder | {"--at-once": task.at_once and not task.cluster}, "only for a folder of videos")
        _file(task, part, job)


def _folder(task: _Task, given: dict[str, Any], job: "Job") -> None:
    from recycle.batch.ledger import LEDGER, open_ledger
    from recycle.batch.task import Folder, forecast, open_engine, translate_all, watch_folder

    include, exclude = (tuple(given[name] or ()) for name in ("--include", "--exclude"))
    translator = task.translator()
    folder = Folder(
        task.source, task.output, translator, task.to, task.settings, include, exclude, given["--join-images"]
    )
    again = {"overwrite": task.overwrite, "retry_failed": given["--retry-failed"]}
    if given["--dry-run"]:
        foreseen = forecast(folder, **again)
        for line in foreseen.lines:
            job.say(line)
        if foreseen.failing:
            raise typer.Exit(1)
        return
    with (
        open_ledger(task.output) as ledger,
        open_engine(folder, overwrite=task.overwrite, at_once=task.at_once, cluster=task.cluster) as engine,
    ):
        run = partial(translate_all, folder, engine=engine, ledger=ledger, **again)
        report = watch_folder(run, job=job) if given["--watch"] else run(job=job)
    for notice in report.notices:
        job.say(notice)
    if report.stopped:
        print_error(report.stopped)
    failed = [f"{name}: {reason}" for name, reason in report.failed]
    lost = [f"{name}: {streams}" for name, streams in report.lost]
    conclude(job, "translated", report.done, report.skipped, failed, str(task.output / LEDGER), lost)


def _file(task: _Task, part: dict[str, Any], job: "Job") -> None:
    from recycle.rendering.pictures import check_settings
    from recycle.rendering.prepare import check_output
    from recycle.video.find import beside_images

    check_output(task.source, task.output, overwrite=task.overwrite)
    check_settings(task.output, task.settings)
    for line in beside_images(task.source) if task.source.is_dir() else []:
        job.say(line)
    if task.cluster:
        _by_cluster(task, task.cluster, part, job)
    else:
        _here(task, part, job)


def _by_cluster(task: _Task, cluster: str, part: dict[str, Any], job: "Job") -> None:
    from recycle.batch.task import Folder, translate_file
    from recycle.rendering.prepare import check_rate, opened

    if task.settings.fps is not None:
        with opened(task.source, task.settings) as opened_source:
            check_rate(opened_source)
    translator = task.translator()
    refuse(part, "not supported on a cluster")
    folder = Folder(task.source, task.output.parent, translator, task.to, task.settings)
    done = translate_file(folder, task.output, cluster=cluster, overwrite=task.overwrite, at_once=task.at_once, job=job)
    for notice in done.notices:
        job.say(notice)
    job.say(f"wrote {task.output}: {done.frames} frames in {done.seconds:.1f} s")
    tell_lost(done.lost)


def _here(task: _Task, part: dict[str, Any], job: "Job") -> None:
    from recycle.rendering.prepare import check_rate, opened
    from recycle.rendering.span import parse_span, preview_span
    from recycle.system.storage import workplace
    from recycle.video.fingerprint import fingerprint

    translator, source, output = task.translator(), task.source, task.output
    preview = part["--preview"]
    span = parse_span(part["--start"], part["--end"])
    work = workplace(source, output, "" if is_here(source) else fingerprint(source))
    with work as (source_here, output_here), opened(source_here, task.settings) as opened_source:
        check_rate(opened_source)
        result = translator.translate_video(
            opened_source,
            output_here,
            to=task.to,
            settings=task.settings,
            span=preview_span(opened_source) if preview else span,
            compare=part["--compare"] or preview,
            overwrite=task.overwrite or output_here != output,
            job=job,
        )
    before = f", {result.resumed} of them in an earlier run" if result.resumed else ""
    job.say(f"wrote {output}: {result.frames} frames in {result.seconds:.1f} s{before}")
    tell_lost(result.lost)


def _target(bundle: str, word: str) -> "Domain":
    """The domain that --to names. It is looked up in the model's description, before any other work."""
    with uncollected():  # also what the translation itself needs
        import recycle.batch.task
        import recycle.translation.translator  # noqa: F401
        from recycle.networks.bundle import target_of

    return target_of(bundle, word)


def _settings(params: "Mapping[str, Any]") -> "TranslateSettings":
    """The settings among all parameters of the command (name → value). Those that are None keep their defaults."""
    from recycle.config import TranslateSettings, parse_settings

    chosen = {name: params[name] for name in TranslateSettings.model_fields if params.get(name) is not None}
    return parse_settings(
        TranslateSettings, chosen | {"scale": size(params["scale"]), "options": pairs(params["option"])}
    )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
