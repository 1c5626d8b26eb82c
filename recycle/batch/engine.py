"""Carries out the plans of a folder unattended: a bad file never stops the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from recycle.batch.ledger import Entry, Ledger
from recycle.batch.plan import Plan, of_source
from recycle.config import TranslateSettings
from recycle.domains import Domain
from recycle.errors import Interrupted, OutputError, RecycleError
from recycle.events import Event, FileState, Job, Progress
from recycle.names import plain
from recycle.plural import counted
from recycle.safe_text import redact
from recycle.system.crash import unexpected
from recycle.system.disk import disk_failed
from recycle.system.lock import Busy
from recycle.system.places import is_remote_error
from recycle.system.storage import workplace
from recycle.translation.translator import Translator
from recycle.video.fingerprint import modified
from recycle.video.stated import estimate_frames


@dataclass
class BatchReport:
    """The result of translating a folder; names of sources are in order."""

    done: list[str] = field(default_factory=list)
    """Files that this call translated."""
    skipped: list[str] = field(default_factory=list)
    """Files that an earlier call finished."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Failed files with reasons, including failures of an earlier call that were not retried."""
    notices: list[str] = field(default_factory=list)
    """Notices about the folder, such as what is left out, one line each."""
    stopped: str = ""
    """Why not all files were tried; '' if they were."""
    lost: list[tuple[str, str]] = field(default_factory=list)
    """Finished files (of this or an earlier call) that lack streams of their source, with the names of these
    streams."""


Changed = Callable[[Plan, Entry], None]
"""Called after the entry of a file has changed."""


def advanced(one: Plan, job: Job) -> Job:
    """The job of one file's translation; it reports progress to `job` as the state of the file."""

    def observe(event: Event) -> None:
        if isinstance(event, Progress):  # notices are part of the file's entry
            job.emit(FileState(one.job.name, "running", done=event.done, total=event.total))

    return job.observed_by(observe)


class Engine(Protocol):
    """Carries out plans: `recycle.batch.threads` on this machine, `recycle.batch.cluster` on many."""

    def run(self, plans: Sequence[Plan], changed: Changed, job: Job) -> None:
        """Translate the file of each plan; `changed` receives every change of its entry, and the job its progress.

        `changed` may be called from several threads. Raises KeyboardInterrupt after Ctrl-C, and Interrupted if the job
        is cancelled, once every running file has stopped in a state that can be continued.
        """


def translate_folder(
    plans: Sequence[Plan],
    ledger: Ledger,
    engine: Engine,
    *,
    left_out: Mapping[str, str] | None = None,
    job: Job | None = None,
) -> BatchReport:
    """Carry out `plans` (see `recycle.batch.plan`) with `engine`; record results, and what is `left_out`, in `ledger`.

    If the disk fails, unwritten files stay waiting and no further file is started. Raises OutputError if the record
    cannot be written at the start; Interrupted after Ctrl-C or if the job is cancelled, once every running file has
    stopped in a state that can be continued.
    """
    job = job or Job()

    def show(one: Plan, entry: Entry) -> None:
        name, notices = one.job.name, "; ".join(entry.notices)
        frames = counted(entry.frames, "frame") if entry.frames else ""
        detail = entry.reason or (f"{frames}{'; ' if notices else ''}{notices}" if frames else "")
        done = entry.frames if entry.state == "done" else 0
        total = done or (estimate_frames(one.job.source) if entry.state == "waiting" else None)
        job.emit(FileState(name, entry.state, detail, done, total))

    def changed(one: Plan, entry: Entry) -> None:
        try:
            ledger.set({one.job.name: entry})
        except OutputError as error:
            if not disk_failed(error):
                raise  # otherwise the file itself meets the same disk failure and stays waiting
        show(one, entry)

    ledger.set({one.job.name: one.entry for one in plans}, left_out=left_out)
    for one in plans:
        failed = {"state": "failed", "reason": one.reason} if one.action == "fail" else {}
        show(one, one.entry.model_copy(update=failed))
    stopped = False
    try:
        engine.run([one for one in plans if one.action == "translate"], changed, job)
    except (KeyboardInterrupt, Interrupted):
        stopped = True
    report = _report(plans, ledger)
    if stopped:
        left = counted(sum(ledger.get(one.job.name).state == "waiting" for one in plans), "file is", "files are")
        raise Interrupted(f"stopped; {left} left: run the same command again to continue")
    return report


def _report(plans: Sequence[Plan], ledger: Ledger) -> BatchReport:
    report, left = BatchReport(), 0
    for one in plans:
        name, entry = one.job.name, ledger.get(one.job.name)
        if entry.state == "done" and entry.lost:
            report.lost.append((name, ", ".join(entry.lost)))
        if one.action == "skip":
            report.skipped.append(name)
        elif one.action == "fail":
            report.failed.append((name, one.reason))
        elif entry.state == "done":
            report.done.append(name)
        elif entry.state == "failed":
            report.failed.append((name, entry.reason))
        elif awaits_disk(entry):
            left += 1
            report.failed.append((name, entry.reason))
        else:
            left += 1
    if left:
        report.stopped = (
            f"stopped because the disk is full or failed; {counted(left, 'file is', 'files are')} left: make room, "
            "then run the same command again"
        )
    return report


def awaits_disk(entry: Entry) -> bool:
    """Whether a file is unfinished because the disk failed; the next run tries it again."""
    return entry.state == "waiting" and bool(entry.reason)


def translate_one(
    one: Plan,
    translator: Translator,
    *,
    to: Domain,
    settings: TranslateSettings,
    overwrite: bool,
    job: Job | None = None,
) -> Entry:
    """Translate one file and return its new entry. Errors are recorded in the entry, not raised."""
    entry, file, settings = one.entry, one.job, one.job.settings(settings)
    source, output = file.source, file.output
    try:
        time = modified(file.source)
        with workplace(file.source, file.output, entry.key) as (source, output):
            done = translator.translate_video(
                source, output, to=to, settings=settings, overwrite=overwrite or output != file.output, job=job
            )
            size = output.stat().st_size
    except Interrupted:
        return entry.model_copy(update={"state": "waiting"})
    except Exception as error:
        if isinstance(error, RecycleError):
            reason = str(error).replace(str(source), str(file.source)).replace(str(output), str(file.output))
        else:
            reason = f"{type(error).__name__}: {error}" if is_remote_error(error) else unexpected(error)
        reason = " ".join(plain(redact(reason)).split())
        state = "waiting" if disk_failed(error) else "failed"
        key = "" if isinstance(error, Busy) else entry.key  # without a key, the next run tries again
        return entry.model_copy(update={"state": state, "reason": reason, "key": key})
    facts = {
        "output": file.target,
        "size": size,
        "frames": done.frames,
        "concealed": done.concealed,
        "seconds": round(done.seconds, 2),
        "notices": tuple(map(plain, done.notices)),
        "lost": tuple(map(plain, done.lost)),
        "replaces": "",
        **of_source(file, time),
    }
    return entry.model_copy(update={"state": "done", **facts})
