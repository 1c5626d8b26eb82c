"""A folder of videos, unattended: one bad file never stops the rest, and nothing is done twice."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from recycle.batch.folder import FileJob
from recycle.batch.ledger import Entry, Ledger
from recycle.config import Domain, TranslateSettings
from recycle.errors import FootageError, Interrupted, OutputError, RecycleError
from recycle.events import Event, FileState, Job, Progress
from recycle.names import plain
from recycle.safe_text import redact
from recycle.system.crash import unexpected
from recycle.system.disk import disk_failed
from recycle.system.lock import Busy
from recycle.system.places import is_here, is_remote_error
from recycle.system.storage import workplace
from recycle.translation.translator import Translator
from recycle.video.decode import open_frames
from recycle.video.fingerprint import content, fingerprint, is_unchanged, modified
from recycle.video.stated import estimate_frames

_CHANGED = "the source before it was changed"
"""Stands for the key of an output whose source changed in parts that its fingerprint does not read."""


@dataclass
class BatchReport:
    """What became of a folder; names of sources, in order."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Finished by an earlier call."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """With the reason; those that failed in an earlier call and were not tried again included."""
    notices: list[str] = field(default_factory=list)
    """What a person should know of the folder, such as what is left out, one line each."""
    stopped: str = ""
    """Why not all files were tried; empty if they were."""
    lost: list[tuple[str, str]] = field(default_factory=list)
    """Those that are done, now or before, but for streams that were lost, with these."""


@dataclass(frozen=True)
class Plan:
    """What is to be done with one job."""

    job: FileJob
    action: str
    """'translate', 'skip' or 'fail'."""
    reason: str
    entry: Entry


def plan(
    jobs: Sequence[FileJob],
    ledger: Ledger,
    key: dict[str, object],
    *,
    overwrite: bool = False,
    retry_failed: bool = False,
) -> list[Plan]:
    """Decide, by content and settings, what is to be done.

    `key` is all that an output depends on beside its source (`Translator.key` and the encoder's settings). A
    finished output of the same key is skipped; an output of another key, or of unknown origin, is replaced only
    with `overwrite`; what failed is tried again with `retry_failed`, or if source or settings changed. `retry_failed`
    also takes an output for finished that is there with all frames, although the record says that it failed.
    """
    return [_plan(job, ledger, key, overwrite, retry_failed) for job in jobs]


def _plan(job: FileJob, ledger: Ledger, key: dict[str, object], overwrite: bool, retry_failed: bool) -> Plan:
    try:
        text = json.dumps([fingerprint(job.source), key], sort_keys=True, default=str)
        fresh = Entry(key=hashlib.sha256(text.encode()).hexdigest(), modified=modified(job.source))
        return _decide(job, ledger, fresh, overwrite, retry_failed)
    except RecycleError as error:
        entry, reason = ledger.get(job.name), plain(str(error))
        failed = entry.model_copy(update={"state": "failed", "reason": reason, "key": ""})
        return Plan(job, "fail", reason, entry if entry.state == "done" else failed)


def _decide(job: FileJob, ledger: Ledger, fresh: Entry, overwrite: bool, retry_failed: bool) -> Plan:
    """Decide by what is recorded; `fresh` is the entry of a job with this source that is not begun."""
    entry = ledger.get(job.name)
    same = entry.key == fresh.key and is_unchanged(job.source, entry.modified, "")
    if job.output.exists():
        size = job.output.stat().st_size
        made = _made(entry, size)
        if made == fresh.key and not _has_content(job, entry):
            made = _CHANGED
        if made == fresh.key or (same and entry.size != size and _was_finished(job, ledger, retry_failed)):
            frames = entry.frames if entry.state == "done" else estimate_frames(job.output) or 0
            facts = {"state": "done", "size": size, "output": job.target, "frames": frames, "key": fresh.key}
            if entry.state != "done" or entry.modified:  # hashing all that an earlier version made would take long
                facts |= _of_source(job, fresh.modified, entry.content if made else "")
            return Plan(job, "skip", "finished", entry.model_copy(update={**facts, "reason": "", "replaces": ""}))
        if not overwrite:
            origin = "of another source, model or settings" if made else "not of this folder's translation"
            reason = plain(f"{job.output} exists and is {origin}; give --overwrite to replace it")
            failed = fresh.model_copy(update={"state": "failed", "reason": reason})
            return Plan(job, "fail", reason, entry if made or entry.state == "done" else failed)
        fresh = fresh.model_copy(update={"size": size, "replaces": made, "content": entry.content if made else ""})
    elif entry.state == "failed" and same and not retry_failed:
        return Plan(job, "fail", f"{entry.reason} (in an earlier run; --retry-failed tries again)", entry)
    return Plan(job, "translate", "", fresh)


def _has_content(job: FileJob, entry: Entry) -> bool:
    """Whether the source has the content of which a finished output was made, as far as that is recorded."""
    if entry.replaces:  # the recorded time belongs to the translation that was to replace the output
        return not entry.content or content(job.source) == entry.content
    return is_unchanged(job.source, entry.modified, entry.content)


def _of_source(job: FileJob, time: int, digest: str = "") -> dict[str, object]:
    """What an entry records of the source that was translated, which was last changed at `time`.

    `digest` is its content, where that is known. It stays unknown if the file was changed since, or is gone.
    """
    if time and not digest:
        with suppress(FootageError):
            digest = content(job.source)
            digest = digest if modified(job.source) == time else ""
    return {"modified": time, "content": digest}


def _made(entry: Entry, size: int) -> str:
    """Key from which an output of `size` bytes was made by this folder's translation; '' if it was not."""
    if entry.size != size:
        return ""
    return entry.key if entry.state == "done" else entry.replaces


def _was_finished(job: FileJob, ledger: Ledger, retry_failed: bool) -> bool:
    """Whether an output that is there was finished, and the record does not say so."""
    if ledger.was_running(job.name):  # and the process was killed before it was recorded
        return True
    state = ledger.get(job.name).state
    late = state == "waiting" and not is_here(job.output)  # such a record is uploaded later
    false = state == "failed" and retry_failed  # two processes of an old version wrote it
    return (late or false) and _is_whole(job)


def _is_whole(job: FileJob) -> bool:
    """Whether the output of a job has as many frames as its source, by their packets."""
    try:
        counts = []
        for path in (job.source, job.output):
            with open_frames(path) as reader:
                index = reader.index()
                counts.append(estimate_frames(path) if index is None else len(index.stamps))
    except RecycleError:
        return False
    return bool(counts[0]) and counts[0] == counts[1]


Changed = Callable[[Plan, Entry], None]
"""Called when the entry of a file has changed."""


def advanced(one: Plan, job: Job) -> Job:
    """The job of one file's translation: its progress becomes the state of the file in `job`."""

    def observe(event: Event) -> None:
        if isinstance(event, Progress):  # notices are in the report of the file
            job.emit(FileState(one.job.name, "running", done=event.done, total=event.total))

    return job.observed_by(observe)


class Engine(Protocol):
    """Carries out plans: `recycle.batch.threads` on this machine, `recycle.batch.cluster` on many."""

    def run(self, plans: Sequence[Plan], changed: Changed, job: Job) -> None:
        """Translate the file of each plan; `changed` is told every change of its entry, the job its frames.

        `changed` may be called from several threads. Raises KeyboardInterrupt after Ctrl-C and Interrupted where the
        job is cancelled, when every running file has stopped in a state that can be continued.
        """


def translate_folder(
    plans: Sequence[Plan],
    ledger: Ledger,
    engine: Engine,
    *,
    left_out: Mapping[str, str] | None = None,
    job: Job | None = None,
) -> BatchReport:
    """Carry out `plans` (see `plan`) by `engine`, and record each, and what is `left_out`, in `ledger`.

    When the disk fails, what it did not take stays waiting and no more files are begun. Raises OutputError if the
    record cannot be written at the beginning, Interrupted after Ctrl-C and where the job is cancelled, when every
    running file has stopped in a state that can be continued.
    """
    job = job or Job()

    def show(one: Plan, entry: Entry) -> None:
        name, notices = one.job.name, "; ".join(entry.notices)
        detail = entry.reason or (f"{entry.frames} frames{'; ' if notices else ''}{notices}" if entry.frames else "")
        done = entry.frames if entry.state == "done" else 0
        total = done or (estimate_frames(one.job.source) if entry.state == "waiting" else None)
        job.emit(FileState(name, entry.state, detail, done, total))

    def changed(one: Plan, entry: Entry) -> None:
        try:
            ledger.set({one.job.name: entry})
        except OutputError as error:
            if not disk_failed(error):
                raise  # else the file itself meets the same fault, and is waiting
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
        left = sum(ledger.get(one.job.name).state == "waiting" for one in plans)
        raise Interrupted(f"stopped; {left} files are left: run the same command again to continue")
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
        report.stopped = f"stopped by the disk; {left} files are left: make room, then run the same command again"
    return report


def awaits_disk(entry: Entry) -> bool:
    """Whether a file was not finished because the disk failed: another run tries it again."""
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
    """Translate one file; what became of it. Whatever is wrong with it is in the entry and not raised."""
    entry, file = one.entry, one.job
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
        key = "" if isinstance(error, Busy) else entry.key  # the next run tries again
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
        **_of_source(file, time),
    }
    return entry.model_copy(update={"state": "done", **facts})


def estimate(plans: Sequence[Plan], measure: Callable[[FileJob], float]) -> tuple[int, float | None]:
    """Frames that are to be translated, as the files claim, and the seconds that this will take.

    `measure` gives the frames per second of a job; the first that works is taken for all. None: unknown.
    """
    frames, rate = 0, None
    for one in plans:
        if one.action == "translate":
            frames += estimate_frames(one.job.source) or 0
            if rate is None:
                try:
                    rate = measure(one.job)
                except RecycleError:
                    continue
    return frames, frames / rate if rate else None
