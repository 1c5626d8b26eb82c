"""Folders on the command line: what would be done, all of it, and again whenever files arrive."""

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
from recycle.rendering.prepare import foresee, opened
from recycle.rendering.span import opening_span
from recycle.safe_text import printable
from recycle.system.cores import capped, cores
from recycle.translation.translator import Translator
from recycle.video.codecs import CONTAINERS
from recycle.video.fingerprint import fingerprint
from recycle.video.numbered import numbered_images

_TRIAL = Fraction(2)
"""Seconds of a video by which the speed of a translation is measured."""
_SETTLED = 3.0
"""Seconds that a file in a watched folder must not have changed before it is taken for complete."""


@dataclass(frozen=True)
class Folder:
    """A folder and how it is to be translated."""

    source: Path
    out: Path
    translator: Translator
    to: Domain
    settings: TranslateSettings
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def survey(self, ledger: Ledger) -> Survey:
        """What is in the folder, with the names of outputs that `ledger` knows. Raises FootageError for nothing."""
        return survey(
            self.source,
            self.out,
            self.settings,
            include=self.include,
            exclude=self.exclude,
            known=lambda name: ledger.get(name).output,
        )

    def key(self) -> dict[str, object]:
        """All that an output depends on beside its source."""
        return {**self.translator.key(self.to, self.settings), "encoder": self.settings.encoding()}


def is_batch(source: Path, output: Path) -> bool:
    """Whether INPUT OUTPUT of the command line are folders; a folder of images can be made one video file."""
    return source.is_dir() and (output.suffix.lower() not in CONTAINERS or output.is_dir())


@dataclass(frozen=True)
class Forecast:
    """What a translation of a folder would do."""

    lines: tuple[str, ...]
    """Of each file what would be done with it, and what of it will be lost or changed; last, the sums."""
    failing: int
    """Files that would fail, as far as one can tell without decoding all of them."""


def forecast(task: Folder, *, overwrite: bool, retry_failed: bool) -> Forecast:
    """What would be done, what is risky about each file, what will fail, and how long it will take.

    Damage within a video shows only when all of it is decoded, and is not foreseen. Raises FootageError if the folder
    holds nothing, OutputError if the record of the output folder is damaged.
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
                possible.append(one)
            except (RecycleError, OSError) as error:
                action, reason = "fail", plain(str(error))
        counts[action] += 1
        lines.append(f"{action:<9} {one.job.name} -> {plain(str(one.job.output))}{': ' if reason else ''}{reason}")
        lines += [f"          {notice}" for notice in notices]
    lines += [f"fail      {name}: {reason}" for name, reason in found.failed.items()]
    lines += found.notices()
    counts["fail"] += len(found.failed)
    frames, seconds = estimate(possible, lambda job: _measure(task, job))
    needed = "unknown" if seconds is None else f"about {timedelta(seconds=round(seconds))}"
    total = ", ".join(f"{count} to {action}" for action, count in counts.items())
    lines.append(f"{total}; {frames} frames; time needed: {needed}")
    return Forecast(tuple(map(printable, lines)), counts["fail"])


def _measure(task: Folder, job: FileJob) -> float:
    """Frames per second of the first seconds of a job, translated for nothing."""
    with tempfile.TemporaryDirectory() as folder, opened(job.source, task.settings) as source:
        output = Path(folder) / f"trial{job.output.suffix}"
        for _ in range(2):  # the first one warms up
            report = task.translator.translate_video(
                source, output, to=task.to, settings=task.settings, span=opening_span(source, _TRIAL), overwrite=True
            )
    return report.frames / report.seconds


@contextmanager
def open_engine(task: Folder, *, overwrite: bool, at_once: int | None, cluster: str | None) -> Iterator[Engine]:
    """What carries out the plans: threads here, or the Ray cluster at the address `cluster`. Raises ConfigError."""
    if cluster is None:
        files = capped(at_once) if at_once else files_at_once(cores())
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

    Raises RecycleError if it fails, ConfigError without a cluster, Interrupted after Ctrl-C and where the job is
    cancelled.
    """
    file = FileJob(plain(task.source.name), task.source, output, plain(output.name))
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
            raise Interrupted("stopped; run the same command again to continue") from stop
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
    """Translate what is not yet finished of the `ready` files.

    `ledger` is the open one of the output folder; None: it is opened for this call. Raises as `translate_folder` and
    `open_ledger`, and FootageError if the folder holds nothing.
    """
    with nullcontext(ledger) if ledger is not None else open_ledger(task.out) as record:
        found = task.survey(record)
        jobs = [job for job in found.jobs if ready(job.source)]
        rest = {**found.failed, **found.left_out}
        if jobs:
            plans = plan(jobs, record, task.key(), overwrite=overwrite, retry_failed=retry_failed)
            report = translate_folder(plans, record, engine, left_out=rest, job=job)
        else:
            record.set({}, left_out=rest)
            report = BatchReport()
        report.failed += found.failed.items()
        report.notices = found.notices()
        return report


def watch_folder(run: Callable[..., BatchReport], *, job: Job | None = None, poll: float = 2.0) -> BatchReport:
    """Call `run` (see `translate_all`) whenever files arrive that are complete; the sum of all calls.

    Ends after Ctrl-C, where the job is cancelled, and when the disk fails. Raises Interrupted where a file was at work.
    """
    job = job or Job()
    total, seen = BatchReport(), _Settled()
    failed: dict[str, str] = {}
    job.say("watching; Ctrl-C ends")
    try:
        while not job.stopping:
            try:
                report = run(job=job, ready=seen.ready)
            except FootageError:
                report = BatchReport()  # nothing there yet
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
            time.sleep(poll)
    except KeyboardInterrupt:
        pass
    total.failed = sorted(failed.items())
    return total


class _Settled:
    """Tells files that are complete from those that are still being written, by their not changing."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[tuple[int, int], float]] = {}
        self._given: dict[Path, tuple[int, int]] = {}
        self._handled: dict[Path, tuple[int, int]] = {}

    def handled(self) -> None:
        """What was ready has been dealt with: it is ready again only when it changes."""
        self._handled |= self._given
        self._given = {}

    def ready(self, source: Path) -> bool:
        """Whether the source has been the same for a while, and is new."""
        try:
            files = numbered_images(source) if source.is_dir() else [source]
            facts = (sum(f.stat().st_size for f in files), max(f.stat().st_mtime_ns for f in files))
        except (OSError, ValueError):
            return False
        now = time.monotonic()
        before, since = self._seen.get(source, (None, now))
        if facts != before:
            since = now
        self._seen[source] = (facts, since)
        old = bool(facts[1]) and time.time() - facts[1] / 1e9 > 20 * _SETTLED  # has been there long before we looked
        if self._handled.get(source) == facts or not (old or now - since >= _SETTLED):
            return False
        self._given[source] = facts
        return True
