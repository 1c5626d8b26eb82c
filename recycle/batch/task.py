"""Folders on the command line: describes the plan, translates all files, and watches for new ones."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

from recycle.batch.engine import BatchReport, Engine, translate_folder
from recycle.batch.folder import FileJob, Survey, survey
from recycle.batch.ledger import Entry, Ledger, open_ledger
from recycle.batch.plan import Plan, estimate, plan
from recycle.batch.threads import Threads, files_at_once
from recycle.config import TranslateSettings
from recycle.domains import Domain
from recycle.errors import FootageError, Interrupted, RecycleError
from recycle.events import Event, FileState, Job
from recycle.names import plain
from recycle.plural import counted
from recycle.rendering.prepare import foresee, opened
from recycle.rendering.span import opening_span
from recycle.safe_text import printable
from recycle.system.cores import capped, cores
from recycle.translation.finish import masks_of
from recycle.translation.translator import Translator
from recycle.video.codecs import CONTAINERS
from recycle.video.fingerprint import fingerprint
from recycle.video.numbered import images_at
from recycle.video.picture_formats import holds_pictures

_TRIAL = Fraction(2)
"""Seconds of video that are translated to measure the speed."""
_SETTLED = 3.0
"""Seconds without a change after which a file in a watched folder counts as complete."""
_POLL_SECONDS = 2.0
"""Seconds between two searches of a watched folder."""


@dataclass(frozen=True)
class Folder:
    """A folder and the settings for its translation."""

    source: Path
    out: Path
    translator: Translator
    to: Domain
    settings: TranslateSettings
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    join_images: bool = False
    """Whether a folder of numbered images is one video; otherwise each image is translated on its own."""

    def survey(self, ledger: Ledger) -> Survey:
        """The contents of the folder, with the output names that `ledger` records. Raises FootageError if it is
        empty."""
        return survey(
            self.source,
            self.out,
            self.settings,
            masks=self.settings.mask,
            include=self.include,
            exclude=self.exclude,
            known=lambda name: ledger.get(name).output,
            join_images=self.join_images,
        )

    def notices(self, found: Survey) -> list[str]:
        """Notices about the folder, one line each."""
        in_order = [name for name in ("stabilise", "smoothing") if getattr(self.settings, name)]
        if not (in_order and found.has_images()):
            return found.notices()
        apart = f"images are translated one by one, without {' and '.join(in_order)}; --join-images makes videos"
        return [*found.notices(), apart]

    def key(self) -> dict[str, object]:
        """The request of this task without its source and mask. It is the same on every machine."""
        settings = self.settings.model_copy(update={"mask": None})
        return {**self.translator.request(self.to, settings), "encoder": self.settings.encoding()}


def is_batch(source: Path, output: Path) -> bool:
    """Whether INPUT and OUTPUT on the command line are folders; a folder of images may instead become one video
    file, one animation or numbered images."""
    one = output.suffix.lower() in CONTAINERS or holds_pictures(output)
    return source.is_dir() and (not one or output.is_dir())


@dataclass(frozen=True)
class Forecast:
    """What a translation of a folder would do."""

    lines: tuple[str, ...]
    """One for each file: what would be done with it, and which parts of it would be lost or changed. The last lines are
    a summary."""
    failing: int
    """Number of files that would fail, as far as this is known without decoding all of them."""


def forecast(task: Folder, *, overwrite: bool, retry_failed: bool) -> Forecast:
    """What would be done, the problems of each file, which files would fail, and the estimated time.

    Damage within a video is found only by decoding all of it, so it is not foreseen. Raises FootageError if the folder
    holds no footage, OutputError if the record of the output folder is damaged.
    """
    ledger = Ledger(task.out)
    found = task.survey(ledger)
    plans = plan(found.jobs, ledger, task.key(), overwrite=overwrite, retry_failed=retry_failed)
    lines, counts = [], {"translate": 0, "skip": 0, "fail": 0}
    possible = []
    for one in plans:
        action, reason, notices = one.action, one.reason, []
        if action == "translate":
            try:
                notices = foresee(one.job.source, one.job.output, task.settings)
                # opening masks shows whether they can be read, are long enough, and have the shape of the source
                with masks_of(one.job.source, one.job.settings(task.settings)) as masks:
                    notices += [masks.note] if masks is not None and masks.note else []
                possible.append(one)
            except (RecycleError, OSError) as error:
                action, reason = "fail", plain(str(error))
        counts[action] += 1
        lines.append(f"{action:<9} {one.job.name} -> {plain(str(one.job.output))}{': ' if reason else ''}{reason}")
        lines += [f"          {notice}" for notice in notices]
    lines += [f"fail      {name}: {reason}" for name, reason in found.failed.items()]
    lines += task.notices(found)
    counts["fail"] += len(found.failed)
    frames, seconds = estimate(possible, lambda job: _measure(task, job))
    needed = "unknown" if seconds is None else f"about {timedelta(seconds=round(seconds))}"
    total = ", ".join(f"{count} to {action}" for action, count in counts.items())
    lines.append(f"{total}; {counted(frames, 'frame')}; time needed: {needed}")
    return Forecast(tuple(map(printable, lines)), counts["fail"])


def _measure(task: Folder, job: FileJob) -> float:
    """Frames per second of translating the first seconds of a job; the result is discarded."""
    with tempfile.TemporaryDirectory() as folder, opened(job.source, task.settings) as source:
        output = Path(folder) / f"trial{job.output.suffix}"
        for _ in range(2):  # the first pass warms up
            report = task.translator.translate_video(
                source,
                output,
                to=task.to,
                settings=job.settings(task.settings),
                span=opening_span(source, _TRIAL),
                overwrite=True,
            )
    return report.frames / report.seconds


@contextmanager
def open_engine(task: Folder, *, overwrite: bool, at_once: int | None, cluster: str | None) -> Iterator[Engine]:
    """The engine that carries out the plans: threads, or the Ray cluster at the address `cluster`. Raises
    ConfigError."""
    if cluster is None:
        files = capped(at_once) if at_once else files_at_once(cores())
        if task.translator.device.type == "mps":  # two threads crash Metal (github.com/pytorch/pytorch/issues/197805)
            files = 1
        yield Threads(task.translator, task.to, task.settings, overwrite, files)
        return
    from recycle.batch.cluster import connect  # the extra recycle[cluster]

    with connect(
        cluster,
        task.translator.bundle,
        to=task.to,
        settings=task.settings,
        out=task.out,
        overwrite=overwrite,
        at_once=at_once,
    ) as engine:
        yield engine


def translate_file(
    task: Folder, output: Path, *, cluster: str, overwrite: bool, at_once: int | None, job: Job | None = None
) -> Entry:
    """Translate the file `task.source` to `output` on a Ray cluster, in parts if it is long.

    Raises RecycleError if it fails, ConfigError without a cluster, Interrupted after Ctrl-C or if the job is cancelled.
    """
    file = FileJob(plain(task.source.name), task.source, output, plain(output.name), task.settings.mask)
    digest = hashlib.sha256(
        f"{fingerprint(task.source)}{task.key()}{output}".encode(errors="backslashreplace")
    ).hexdigest()
    one = Plan(file, "translate", "", Entry(key=digest))
    entries = [one.entry]
    job = job or Job()
    count = job.counting(f"translating {task.source.name}")

    def observe(event: Event) -> None:
        if isinstance(event, FileState):
            count(event.done, event.total)

    with open_engine(task, overwrite=overwrite, at_once=at_once, cluster=cluster) as engine:
        try:
            engine.run([one], lambda _, entry: entries.append(entry), job.observed_by(observe))
        except (KeyboardInterrupt, Interrupted) as stop:
            raise Interrupted from stop
    if entries[-1].state != "done":
        raise RecycleError(entries[-1].reason)
    count(entries[-1].frames, entries[-1].frames)
    return entries[-1]


def translate_all(
    task: Folder,
    *,
    engine: Engine,
    overwrite: bool,
    retry_failed: bool,
    ready: Callable[[Path], bool] = lambda source: True,
    ledger: Ledger | None = None,
    job: Job | None = None,
) -> BatchReport:
    """Translate the unfinished files for which `ready` returns True.

    `ledger` is the open record of the output folder; None opens it for this call. Raises the errors of
    `translate_folder` and `open_ledger`, and FootageError if the folder holds no footage.
    """
    with nullcontext(ledger) if ledger is not None else open_ledger(task.out) as record:
        found = task.survey(record)
        jobs = [one for one in found.jobs if ready(one.source)]
        rest = {**found.failed, **found.left_out}
        if jobs:
            plans = plan(jobs, record, task.key(), overwrite=overwrite, retry_failed=retry_failed)
            report = translate_folder(plans, record, engine, left_out=rest, job=job)
        else:
            record.set({}, left_out=rest)
            report = BatchReport()
        report.failed += found.failed.items()
        report.notices = task.notices(found)
        return report


def watch_folder(run: Callable[..., BatchReport], *, job: Job | None = None) -> BatchReport:
    """Call `run` (see `translate_all`) whenever new files are complete; returns the combined report.

    Ends after Ctrl-C, when the job is cancelled, or when the disk fails. Raises Interrupted if a file was being
    translated.
    """
    job = job or Job()
    total, seen = BatchReport(), _Settled()
    failed: dict[str, str] = {}
    job.say("watching for new files; press Ctrl-C to stop")
    try:
        while not job.stopping:
            try:
                report = run(job=job, ready=seen.ready)
            except FootageError:
                report = BatchReport()  # the folder is still empty
            seen.handled()
            total.done += report.done
            total.skipped += report.skipped
            total.lost += report.lost
            for name, reason in report.failed:
                if name not in failed:
                    job.say(f"failed {name}: {reason}")
                failed[name] = reason
            for name in report.done:
                failed.pop(name, None)
            total.notices, total.stopped = report.notices, report.stopped
            if report.stopped:
                break
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        pass
    total.failed = sorted(failed.items())
    return total


class _Settled:
    """Distinguishes complete files from those that are still being written: complete files do not change."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[tuple[int, int], float]] = {}
        self._given: dict[Path, tuple[int, int]] = {}
        self._handled: dict[Path, tuple[int, int]] = {}

    def handled(self) -> None:
        """Mark the files that were ready as processed: they are ready again only after they change."""
        self._handled |= self._given
        self._given = {}

    def ready(self, source: Path) -> bool:
        """Whether the source has not changed for a while and has not been processed."""
        try:
            files = images_at(source) or [source]
            facts = (sum(f.stat().st_size for f in files), max(f.stat().st_mtime_ns for f in files))
        except (OSError, ValueError):
            return False
        now = time.monotonic()
        before, since = self._seen.get(source, (None, now))
        if facts != before:
            since = now
        self._seen[source] = (facts, since)
        old = bool(facts[1]) and time.time() - facts[1] / 1e9 > 20 * _SETTLED  # written long before the watch began
        if self._handled.get(source) == facts or not (old or now - since >= _SETTLED):
            return False
        self._given[source] = facts
        return True
