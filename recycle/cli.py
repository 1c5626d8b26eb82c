"""The command line: each command parses, calls one function and prints.

Nothing heavy is imported until a command runs, so that help is instant.
"""

from recycle.system import interrupt

# isort: split
import errno
import os
import re
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.exceptions import TyperException

from recycle.errors import Interrupted, OutputError, RecycleError
from recycle.safe_text import printable_json, shown
from recycle.system.places import is_here, is_remote_error, place

if TYPE_CHECKING:
    from recycle.config import Pipeline
    from recycle.events import Job
    from recycle.runs.choice import Wishes

app = typer.Typer(
    name="recycle",
    help="Translate video between two domains, learned from footage never filmed together (ReCycle-GAN).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INTERRUPTED = 128 + signal.SIGINT
_AGAIN = "interrupted; run the same command again to continue"
_LONGEST = 3000
"""Characters of an error's line."""

DomainName = Literal["a", "b"]
CodecName = Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"]
LookName = Literal["day", "sunset", "rain", "snow", "night", "thermal", "labels"]
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        help="Refuse pictures of more pixels; default: those of 16384x8640.", show_default=False, min=1, max=1 << 30
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Precision = Annotated[PrecisionName, typer.Option(help="auto: bf16 where the device is fast at it, else fp32.")]
FootageA = Annotated[list[Path] | None, typer.Option(help="Footage of domain a (repeatable), not the file's.")]
FootageB = Annotated[list[Path] | None, typer.Option(help="Footage of domain b (repeatable), not the file's.")]
RunPath = Annotated[Path | None, typer.Option(help="Folder of the run; default: runs/NAME.")]
Steps = Annotated[int | None, typer.Option(help="Training steps, instead of the file's.")]
Hours = Annotated[float | None, typer.Option(help="Train for so long by the clock, instead of in steps.")]
DeviceChange = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps.")]
PrecisionChange = Annotated[PrecisionName | None, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="lite2|street|none|FILE",
        help="Whose features FID and KID compare; default: lite2. A FILE holds weights of Inception v3.",
    ),
]
Devices = Annotated[int | None, typer.Option(help="Devices of each node to train on, one process each.")]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print what happens as JSON lines on standard output, for programs.")
]
Nodes = Annotated[int | None, typer.Option(help="Machines to train on: docs/training.md.")]
Sharded = Annotated[
    bool | None, typer.Option("--sharded/--whole", help="Share the optimisers' memory out over the processes.")
]
PipelineFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="PIPELINE",
        help="A TOML file, or the name of a pipeline that ships: demo, signers …; default: chosen for the footage.",
        show_default=False,
    ),
]
Plan = Annotated[bool, typer.Option("--plan", help="Without PIPELINE: print what would be chosen, and end.")]
PlanGpu = Annotated[
    float | None,
    typer.Option("--gpu", metavar="GIB", help="With --plan: for a GPU of so much memory, from 1."),
]


LOST_STREAM = 3
"""Exit code where all pictures are written and sound, subtitles or data of some video are lost."""


def main() -> None:
    """Entry point: every error becomes one line and a non-zero exit code, with a log where nobody foresaw it."""
    from recycle.system.crash import watching_threads

    interrupt.allow()
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which nohup sets
        signal.signal(signal.SIGHUP, _stop)
    _open_streams()
    try:
        with watching_threads():
            _main()
    except KeyboardInterrupt:  # again, while an error was being handled
        os._exit(_INTERRUPTED)


def _main() -> None:
    try:
        code = app(_with_addresses(sys.argv[1:]) or ["--help"], standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        _fail(f"{error.format_message()} (see 'recycle --help')", 2)
    except RecycleError as error:
        _fail(str(error), _INTERRUPTED if isinstance(error, Interrupted) else 1)
    except SystemExit as stop:  # typer takes every broken pipe for that of standard output
        if isinstance(stop.__context__, BrokenPipeError):
            _fail_of_system(stop.__context__)
        raise
    except OSError as error:  # a disk, or a place elsewhere, that cannot be reached
        _fail_of_system(error)
    except (typer.Abort, KeyboardInterrupt):
        _fail(_AGAIN, _INTERRUPTED)
    except MemoryError:
        _fail("there is not enough memory; free some, or make the work smaller", 1)
    except Exception as error:
        if is_remote_error(error):
            _fail(f"{type(error).__name__}: {error}", 1)
        _fail_unforeseen(error)
    if code == _INTERRUPTED:  # typer's answer to Ctrl-C
        _fail(_AGAIN, code)
    _end(code if isinstance(code, int) else 0)


def _fail_unforeseen(error: Exception) -> None:
    """Print one line with the path of a log, and complete the log, which takes seconds."""
    from recycle.system.crash import add_findings, describe, record

    path = record(error)
    _print_error(describe(error, path))
    if path is not None:
        add_findings(path)
    _end(os.EX_SOFTWARE)


def _fail_of_system(error: OSError) -> None:
    """One line on what the system refused; none where nobody reads the output any more."""
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        _end(128 + signal.SIGPIPE)
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        _fail(f"cannot write the output: {error.strerror}", 1)
    if isinstance(error.filename, str) and error.strerror:
        _fail(f"cannot use {error.filename}: {error.strerror}", 1)
    _fail(f"{type(error).__name__}: {error}", 1)


def _open_streams() -> None:
    """Let every text be printed: as an escape what the terminal's encoding lacks, into nothing where it is closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _reader_is_gone() -> bool:
    """Whether standard output or error is a pipe that nobody reads any more."""
    watch = select.poll()
    for descriptor in (1, 2):
        watch.register(descriptor, select.POLLOUT)
    return any(event & select.POLLERR for _, event in watch.poll(0))


def _end(code: int) -> None:
    """Exit; what cannot be printed any more is left out, and Python does not complain of it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _with_addresses(words: list[str]) -> list[str]:
    """The command line with an address behind each --cluster that has none."""
    complete = []
    for word, following in zip(words, [*words[1:], ""], strict=False):
        complete.append(word)
        if word == "--cluster" and not re.fullmatch(r"auto|local|\S+:\d+", following):
            complete.append("auto")
    return complete


def _fail(message: str, code: int) -> None:
    _print_error(message)
    _end(code)


def _print_error(message: str) -> None:
    """One line on standard error, without secrets and control characters."""
    line = shown(" ".join(message.split()))
    with suppress(OSError, ValueError):
        sys.stderr.write(f"error: {line[:_LONGEST]}{'…' if len(line) > _LONGEST else ''}\n")


@contextmanager
def _watched(as_json: bool) -> "Iterator[Job]":
    """A job that is shown to a person or, as JSON lines, to a program."""
    from recycle.events import Job
    from recycle.terminal import JsonLines, Terminal

    with JsonLines() if as_json else Terminal() as observe:
        yield Job(observe)


def _print(text: str, *, lines: bool = False) -> None:
    """Print a line; control characters and secrets in it are not sent. With `lines`, its line breaks are."""
    typer.echo(shown(text, lines=lines))


@app.command()
def probe(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Video files.")],
    cuts: Annotated[bool, typer.Option(help="Decode the whole file to find its cuts.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file.")] = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Tell what videos hold, and what of it needs care.

    Example: recycle probe holiday.mp4
    """
    from recycle.video.describe import describe
    from recycle.video.probe import probe as look

    failed = 0
    for file in files:
        try:
            info = look(file, cuts=cuts, **_given(max_pixels=max_pixels))
        except RecycleError as error:
            failed += 1
            _print_error(str(error))
            continue
        if as_json:
            typer.echo(printable_json(info.model_dump_json()))
        else:
            _print(describe(info), lines=True)
    if failed:
        raise typer.Exit(1)


@app.command()
def extract(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Videos, folders of videos or of images.")],
    out: Annotated[Path, typer.Option(help="Folder for the frames.")],
    fps: Annotated[float | None, typer.Option(help="Frames per second to keep; default: all.")] = None,
    short_side: Annotated[int, typer.Option(help="Pixels of the shorter side; 0 keeps the size.")] = 286,
    crop: Annotated[str | None, typer.Option(help="x,y,width,height to keep, in source pixels.")] = None,
    format: Annotated[Literal["jpg", "png"], typer.Option(help="Image format.")] = "jpg",
    drop_duplicates: Annotated[
        float, typer.Option(help="Drop frames that differ by at most this many grey levels.")
    ] = 0,
    workers: Annotated[
        int | None, typer.Option(help="Files at a time; default: one per core.", min=1, max=1024)
    ] = None,
    max_pixels: MaxPixels = None,
    as_json: JsonLines = False,
) -> None:
    """Cut footage into shots and write its frames to disk; run again to continue.

    Example: recycle extract ~/videos/summer --out footage/a --fps 15 --short-side 286
    """
    from recycle.config import ExtractSettings, parse_settings
    from recycle.dataset.extract import extract as run

    settings = parse_settings(
        ExtractSettings,
        {
            "fps": fps,
            "short_side": short_side or None,
            "crop": _numbers(crop),
            "format": format,
            "drop_duplicates": drop_duplicates,
            **_given(max_pixels=max_pixels),
        },
    )
    with _watched(as_json) as job:
        report = run(inputs, out, settings, workers=workers, job=job)
        for notice in report.notices:
            job.say(notice)
        failed = [f"skipped {path}: {reason}" for path, reason in report.failed]
        _conclude(job, "extracted", report.done, report.skipped, failed, f"{report.frames} frames in {out}")


@app.command()
def street(
    out: Annotated[Path, typer.Argument(metavar="VIDEO", help="Video file to write, such as street.mp4.")],
    look: Annotated[LookName, typer.Option(help="Appearance of the same scenes.")] = "day",
    seed: Annotated[int, typer.Option(help="Another seed is another street.")] = 0,
    seconds: Annotated[float, typer.Option(help="Length.")] = 10,
    width: Annotated[int, typer.Option(help="Pixels.")] = 640,
    height: Annotated[int, typer.Option(help="Pixels.")] = 384,
    fps: Annotated[int, typer.Option(help="Frames per second.")] = 24,
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it exists.")] = False,
    as_json: JsonLines = False,
) -> None:
    """Film a procedural street, in one of five conditions or as label map: footage to learn and test with.

    Example: recycle street night.mp4 --look night --seed 7
    """
    from recycle.config import StreetSettings, parse_settings
    from recycle.street.film import Street

    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists; give --overwrite to replace it")
    checked = parse_settings(
        StreetSettings, {"seed": seed, "width": width, "height": height, "fps": fps, "seconds": seconds}
    )
    film = Street(checked.seed, checked.width, checked.height, checked.fps, checked.seconds)
    with _watched(as_json) as job:
        film.write(out, look, job=job)
        job.say(f"wrote {out}")


@app.command()
def train(
    pipeline: PipelineFile = None,
    a: FootageA = None,
    b: FootageB = None,
    out: RunPath = None,
    steps: Steps = None,
    hours: Hours = None,
    plan: Plan = False,
    gpu: PlanGpu = None,
    device: DeviceChange = None,
    devices: Devices = None,
    nodes: Nodes = None,
    sharded: Sharded = None,
    precision: PrecisionChange = None,
    as_json: JsonLines = False,
) -> None:
    """Learn the translation from two sets of footage; run again to continue.

    Without a pipeline file, size, networks, losses and schedule are chosen for the footage, this machine and --hours (4
    where nothing is said), and written with the reasons to pipeline.toml in the run's folder. Change that file as you
    like: the same command goes on with it.

    Example: recycle train --a footage/anna --b footage/ben --hours 8

    Example: recycle train signers --a footage/anna --b footage/ben --out runs/anna-ben
    """
    from recycle.run_folder import RunFolder
    from recycle.runs.choice import Wishes
    from recycle.runs.pipeline import learn

    footage = {"a": a, "b": b}
    machine = {"device": device, "devices": devices, "nodes": nodes, "sharded": sharded, "precision": precision}
    wishes = Wishes(footage, out, hours, steps, device, precision)
    if _planned(pipeline, wishes, plan, gpu):
        return
    with _watched(as_json) as job:
        task, folder = _task(pipeline, wishes, job, footage=footage, train={"steps": steps, "hours": hours, **machine})
        where = RunFolder(folder)
        report = learn(task, where, job=job)
        job.say(
            f"trained {report.step} steps; the model is in {where.model}, the best by its score in {where.best}, "
            f"previews in {where.previews}"
        )


@app.command()
def distill(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of the bundle to learn from.")],
    a: Annotated[list[Path], typer.Option(help="Footage of domain a (repeatable).")],
    b: Annotated[list[Path], typer.Option(help="Footage of domain b (repeatable).")],
    out: RunPath = None,
    width: Annotated[int, typer.Option(help="Channels of the smaller generators.")] = 16,
    blocks: Annotated[int, typer.Option(help="Their residual blocks.")] = 6,
    steps: Steps = None,
    hours: Hours = None,
    device: DeviceChange = None,
    precision: PrecisionChange = None,
    as_json: JsonLines = False,
) -> None:
    """Train a small, fast model to translate as a large one does; run again to continue.

    A generator of width 16 translates a frame in about a seventh of the time of one of width 64. The footage need not
    be what the large model learned from.

    Example: recycle distill runs/signers/model --a footage/anna --b footage/ben --out runs/signers-fast
    """
    from recycle.run_folder import RunFolder
    from recycle.runs.pipeline import distillation, learn

    task = distillation(
        model,
        width=width,
        blocks=blocks,
        footage={"a": [path.absolute() for path in a], "b": [path.absolute() for path in b]},
        train={"steps": steps, "hours": hours, "device": device, "precision": precision},
    )
    where = RunFolder(out or Path("runs") / task.name)
    with _watched(as_json) as job:
        report = learn(task, where, job=job)
        job.say(f"trained {report.step} steps; the model is in {where.model}")


@app.command()
def translate(
    source: Annotated[Path, typer.Argument(metavar="INPUT", parser=place, help="Video file or folder; a URL too.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", parser=place, help="The same, to write.")],
    model: Annotated[str, typer.Option(help="Folder of a model bundle, or 'identity'.")],
    to: Annotated[DomainName, typer.Option(help="Domain to translate to.")],
    scale: Annotated[
        str, typer.Option(help="Short side the network works at: trained, source, or pixels.")
    ] = "trained",
    smoothing: Annotated[bool, typer.Option(help="Average with the predictor, as in the paper.")] = False,
    stabilise: Annotated[float, typer.Option(metavar="0…1", help="Against flicker, by this strength.")] = 0.0,
    start: Annotated[str | None, typer.Option(help="Begin here: seconds, or h:mm:ss.")] = None,
    end: Annotated[str | None, typer.Option(help="End before this: seconds, or h:mm:ss.")] = None,
    preview: Annotated[bool, typer.Option(help="Only 4 seconds from the middle, beside the source.")] = False,
    compare: Annotated[bool, typer.Option(help="Show the source at the left of the translation.")] = False,
    codec: Annotated[CodecName, typer.Option(help="h264 plays everywhere.")] = "h264",
    crf: Annotated[int | None, typer.Option(help="Quality: 0 best; default: like the source.")] = None,
    bitrate: Annotated[int | None, typer.Option(help="Bits per second, instead of --crf.")] = None,
    preset: Annotated[str | None, typer.Option(help="Speed against size, as the encoder names it.")] = None,
    depth: Annotated[int, typer.Option(help="Bits per sample: 8 or 10.")] = 8,
    pixel_format: Annotated[str | None, typer.Option(help="FFmpeg's name, such as yuv444p.")] = None,
    alpha: Annotated[
        Literal["drop", "keep"], typer.Option(help="keep: transparency stays, in prores, ffv1 and vp9.")
    ] = "drop",
    option: Annotated[list[str] | None, typer.Option(help="Further encoder option NAME=VALUE (repeatable).")] = None,
    hardware: Annotated[bool, typer.Option(help="Decode and encode on the GPU where that works.")] = False,
    fps: Annotated[
        str | None, typer.Option(help="Frames per second of raw streams and folders of images, such as 30000/1001.")
    ] = None,
    max_pixels: MaxPixels = None,
    timestamps: Annotated[
        Literal["zero", "source"], typer.Option(help="zero: a clock that starts at 10 s or later is moved to 0.")
    ] = "zero",
    overwrite: Annotated[bool, typer.Option(help="Replace outputs that exist.")] = False,
    include: Annotated[list[str] | None, typer.Option(help="Folder: take only these, such as '*.mkv'.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Folder: leave these out, such as 'raw/*'.")] = None,
    retry_failed: Annotated[bool, typer.Option(help="Folder: try again what failed before.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Folder: only tell what would be done.")] = False,
    watch: Annotated[bool, typer.Option(help="Folder: keep translating what arrives.")] = False,
    at_once: Annotated[
        int | None, typer.Option(help="Files, or workers of a cluster, at a time.", min=1, max=1024)
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="[ADDRESS]", help="On this Ray cluster (host:port), or the one here.")
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: JsonLines = False,
) -> None:
    """Translate a video, or all videos of a folder; nothing is lost, nothing is done twice.

    Every frame keeps its timestamp, sound and other streams are carried over. Run again after any interruption to
    continue. A folder keeps its tree, one bad file never stops the rest, and translate.json tells what became of
    each. The exit code is 1 if anything failed, and 3 if all is written but sound, subtitles or data were lost.

    Example: recycle translate walk.mkv walk-b.mp4 --model runs/signers/model --to b

    Example: recycle translate holiday/ holiday-b/ --model runs/signers/model --to b
    """
    from recycle.batch.ledger import LEDGER, open_ledger
    from recycle.batch.task import (
        Folder,
        describe_plan,
        is_batch,
        open_engine,
        translate_all,
        translate_file,
        watch_folder,
    )
    from recycle.config import TranslateSettings, parse_settings
    from recycle.rendering.render import check_output
    from recycle.rendering.span import parse_span, preview_span
    from recycle.system.storage import workplace
    from recycle.translation.translator import Translator
    from recycle.video.decode import check_rate
    from recycle.video.find import beside_images
    from recycle.video.fingerprint import fingerprint

    settings = parse_settings(
        TranslateSettings,
        {
            "scale": int(scale) if re.fullmatch("[0-9]{1,9}", scale) else scale,
            "smoothing": smoothing,
            "stabilise": stabilise,
            "codec": codec,
            "crf": crf,
            "bitrate": bitrate,
            "preset": preset,
            "depth": depth,
            "pixel_format": pixel_format,
            "options": _pairs(option),
            "hardware": hardware,
            "fps": fps,
            **_given(max_pixels=max_pixels),
            "timestamps": timestamps,
            "alpha": alpha,
            "device": device,
            "precision": precision,
        },
    )
    part = {"--start": start, "--end": end, "--preview": preview, "--compare": compare}
    given = [name for name, value in part.items() if value]
    if cluster:  # the workers choose
        device, precision = "cpu", "auto"
    if is_batch(source, output):
        _refuse(given, "are for one file, not for a folder")
        translator = Translator.from_pretrained(model, device=device, precision=precision)
        task = Folder(source, output, translator, to, settings, tuple(include or ()), tuple(exclude or ()))
        if dry_run:
            _print(describe_plan(task, overwrite=overwrite, retry_failed=retry_failed), lines=True)
            return
        with _watched(as_json) as job:
            with (
                open_ledger(output) as ledger,
                open_engine(task, overwrite=overwrite, at_once=at_once, cluster=cluster) as engine,
            ):
                run = partial(
                    translate_all, task, engine=engine, overwrite=overwrite, retry_failed=retry_failed, ledger=ledger
                )
                report = watch_folder(run, job=job) if watch else run(job=job)
            for notice in report.notices:
                job.say(notice)
            if report.stopped:
                _print_error(report.stopped)
            failed = [f"{name}: {reason}" for name, reason in report.failed]
            lost = [f"{name}: {streams}" for name, streams in report.lost]
            _conclude(job, "translated", report.done, report.skipped, failed, str(output / LEDGER), lost)
        return
    whole_folder: dict[str, object] = {
        "--include": include,
        "--exclude": exclude,
        "--retry-failed": retry_failed,
        "--dry-run": dry_run,
    }
    whole_folder |= {"--watch": watch, "--at-once": at_once and not cluster}
    _refuse([name for name, value in whole_folder.items() if value], "are for a folder")
    check_output(source, output, overwrite=overwrite)
    check_rate(source, settings.fps)
    with _watched(as_json) as job:
        for line in beside_images(source) if source.is_dir() else []:
            job.say(line)
        translator = Translator.from_pretrained(model, device=device, precision=precision)
        if cluster:
            _refuse(given, "are not for a cluster")
            task = Folder(source, output.parent, translator, to, settings)
            done = translate_file(task, output, cluster=cluster, overwrite=overwrite, at_once=at_once, job=job)
            for notice in done.notices:
                job.say(notice)
            job.say(f"wrote {output}: {done.frames} frames in {done.seconds:.1f} s")
            _tell_lost(done.lost)
            return
        span = preview_span(source, settings) if preview else parse_span(start, end)
        work = workplace(source, output, "" if is_here(source) else fingerprint(source))
        with work as (source_here, output_here):
            result = translator.translate_video(
                source_here,
                output_here,
                to=to,
                settings=settings,
                span=span,
                compare=compare or preview,
                overwrite=overwrite or output_here != output,
                job=job,
            )
        before = f", {result.resumed} of them in an earlier run" if result.resumed else ""
        job.say(f"wrote {output}: {result.frames} frames in {result.seconds:.1f} s{before}")
        _tell_lost(result.lost)


@app.command()
def evaluate(
    model: Annotated[str, typer.Option(help="Folder of a model bundle, or 'identity'.")],
    out: Annotated[Path, typer.Option(help="Folder for the translated clips and metrics.json.")],
    a: Annotated[list[Path] | None, typer.Option(help="Unseen videos of domain a (repeatable).")] = None,
    b: Annotated[list[Path] | None, typer.Option(help="Unseen videos of domain b (repeatable).")] = None,
    truth_ab: Annotated[list[Path] | None, typer.Option(help="True counterparts in b of --a, in order.")] = None,
    truth_ba: Annotated[list[Path] | None, typer.Option(help="True counterparts in a of --b, in order.")] = None,
    labels: Annotated[DomainName | None, typer.Option(help="The domain that holds street label maps.")] = None,
    features: Features = None,
    trained_a: Annotated[
        list[Path] | None, typer.Option(help="Extracted frames of a that it learned from: are they copied?")
    ] = None,
    trained_b: Annotated[list[Path] | None, typer.Option(help="The same of b, such as runs/demo/frames/b.")] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    as_json: JsonLines = False,
) -> None:
    """Score a model on unseen clips, with or without their true counterparts.

    Example: recycle evaluate --model runs/demo/model --a day.mp4 --truth-ab night.mp4 --out scores
    """
    from recycle.config import parse_pipeline
    from recycle.run_folder import RunFolder
    from recycle.runs.scoring import score_model

    footage = {"a": trained_a, "b": trained_b, "test_a": a, "test_b": b, "truth_ab": truth_ab, "truth_ba": truth_ba}
    task = parse_pipeline(
        {
            "footage": {key: tuple(paths) for key, paths in footage.items() if paths},
            "evaluate": {
                "label_domain": labels,
                "palette": "street" if labels else None,
                "device": device,
            }
            | ({} if features is None else {"features": features}),
            "translate": {"device": device, "precision": precision},
        },
        where="evaluate",
    )
    with _watched(as_json) as job:
        scores = score_model(task, model, out, job=job)
        width = max(map(len, scores))
        for name, value in scores.items():
            job.say(f"{name:<{width}}  {value:.4f}")
        job.say(f"wrote {RunFolder(out).metrics}")


@app.command()
def run(
    pipeline: PipelineFile = None,
    a: FootageA = None,
    b: FootageB = None,
    test_a: Annotated[list[Path] | None, typer.Option(help="Unseen videos of a to translate and score.")] = None,
    test_b: Annotated[list[Path] | None, typer.Option(help="Unseen videos of b to translate and score.")] = None,
    out: RunPath = None,
    steps: Steps = None,
    hours: Hours = None,
    plan: Plan = False,
    gpu: PlanGpu = None,
    device: DeviceChange = None,
    devices: Devices = None,
    nodes: Nodes = None,
    sharded: Sharded = None,
    precision: PrecisionChange = None,
    features: Features = None,
    as_json: JsonLines = False,
) -> None:
    """Do a whole pipeline: extract, train, translate, evaluate, report; run again to continue.

    Without a pipeline file one is chosen for the footage, as by 'recycle train'.

    Example: recycle run --a summer --b winter --test-a walk.mp4

    Example: recycle run my-task.toml --out runs/my-task
    """
    from recycle.runs.choice import Wishes
    from recycle.runs.pipeline import run as run_pipeline

    footage = {"a": a, "b": b, "test_a": test_a, "test_b": test_b}
    machine = {"device": device, "precision": precision}
    many = {"devices": devices, "nodes": nodes, "sharded": sharded}
    wishes = Wishes(footage, out, hours, steps, device, precision)
    if _planned(pipeline, wishes, plan, gpu):
        return
    with _watched(as_json) as job:
        task, folder = _task(
            pipeline,
            wishes,
            job,
            footage=footage,
            train={"steps": steps, "hours": hours, **many, **machine},
            translate=machine,
            evaluate={"features": features, "device": device},
        )
        where = run_pipeline(task, folder, job=job)
        job.say(f"model       {where.model}")
        job.say(f"translated  {where.translated}")
        job.say(f"scores      {where.metrics}")
        job.say(f"report      {where.report}   <- open this in a browser")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/demo"),
    device: DeviceChange = None,
    as_json: JsonLines = False,
) -> None:
    """Film a street, learn day ↔ night from it, translate an unseen clip both ways, and show the result.

    Example: recycle demo
    """
    run(Path("demo"), out=out, device=device, as_json=as_json)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of training runs, finished or not.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("compare.html"),
    a: Annotated[list[Path] | None, typer.Option(help="Video of domain a to show (repeatable).")] = None,
    b: Annotated[
        list[Path] | None, typer.Option(help="Video of domain b; default: shared test clips, or held-out frames.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a file that this command did not write.")] = False,
    as_json: JsonLines = False,
) -> None:
    """Put runs side by side on one page: settings that differ, the same clips, scores, curves.

    Without --a and --b it shows the test clips that all runs share, or else the frames that all held out.

    Example: recycle compare runs/recycle runs/cycle --out compare.html
    """
    from recycle.runs.compare import compare as compare_runs

    with _watched(as_json) as job:
        compare_runs(runs, out, a=a or (), b=b or (), overwrite=overwrite, job=job)
        job.say(f"wrote {out}   <- open this in a browser")


@app.command()
def doctor() -> None:
    """Tell what this machine can do: devices, precisions, codecs, encoders that really work, versions.

    Example: recycle doctor
    """
    from recycle.doctor import examine

    for name, finding in examine():
        _print(f"{name:<28} {finding}")


@app.command()
def pipelines(
    name: Annotated[str | None, typer.Argument(help="Print this one; without: list all.")] = None,
) -> None:
    """List the pipelines that ship, or print one to copy and change.

    Example: recycle pipelines signers > my-task.toml
    """
    from recycle.config import find_pipeline, shipped_pipelines

    if name is None:
        for path in shipped_pipelines():
            first = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
            typer.echo(f"{path.stem:<12} {first}")
    else:
        typer.echo(find_pipeline(Path(name)).read_text(encoding="utf-8"), nl=False)


def _planned(pipeline: Path | None, wishes: "Wishes", plan: bool, gpu: float | None) -> bool:
    """Print what would be chosen, where that is asked for."""
    from recycle.runs.choice import describe_plan

    if gpu is not None and not plan:
        raise typer.BadParameter("--gpu is for --plan: training uses the device that is here")
    if not plan:
        return False
    if pipeline is not None:
        raise typer.BadParameter(f"--plan is for a choice from footage alone; the plan of {pipeline} is that file")
    _print(describe_plan(wishes, gpu=gpu).rstrip("\n"), lines=True)
    return True


def _task(pipeline: Path | None, wishes: "Wishes", job: "Job", **changes: dict[str, Any]) -> "tuple[Pipeline, Path]":
    """The pipeline of a file, or the chosen one, with the command line's changes; and the run's folder."""
    from recycle.runs.choice import open_chosen
    from recycle.runs.pipeline import open_pipeline

    if pipeline is None:
        return open_chosen(wishes, job=job, **changes), wishes.folder
    task = open_pipeline(pipeline, **changes)
    return task, wishes.out or Path("runs") / task.name


def _conclude(
    job: "Job",
    verb: str,
    done: Sequence[object],
    skipped: Sequence[object],
    failed: list[str],
    result: str,
    lost: Sequence[str] = (),
) -> None:
    """Tell what became of many files; the exit code is 1 if any failed, else LOST_STREAM if any has `lost` streams."""
    for reason in failed:
        _print_error(reason)
    job.say(f"{len(done)} {verb}, {len(skipped)} already there, {len(failed)} failed: {result}")
    _tell_lost(lost, 1 if failed else LOST_STREAM)
    if failed:
        raise typer.Exit(1)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given; the others keep the defaults of the settings."""
    return {name: value for name, value in options.items() if value is not None}


def _tell_lost(streams: Sequence[str], code: int = LOST_STREAM) -> None:
    """Exit with `code` if there are streams that were lost."""
    for stream in streams:
        sys.stderr.write(f"lost: {shown(stream)}\n")
    if streams:
        raise typer.Exit(code)


def _refuse(given: list[str], why: str) -> None:
    if given:
        raise typer.BadParameter(f"{', '.join(given)} {why}")


def _pairs(options: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in options or []:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"'{text}' is not NAME=VALUE; write for example tune=film")
        pairs[name] = value
    return pairs


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not x,y,width,height; write for example 0,20,640,360") from error
