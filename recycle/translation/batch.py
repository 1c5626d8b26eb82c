"""A folder of videos, unattended: one bad file never stops the rest, and nothing is done twice."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from recycle.config import Domain, TranslateSettings
from recycle.errors import Interrupted, RecycleError
from recycle.footage.decode import estimate_frames
from recycle.footage.manifest import fingerprint
from recycle.progress import Progress, silent
from recycle.storage import workplace
from recycle.translation.folder import Job
from recycle.translation.ledger import Entry, Ledger
from recycle.translation.translator import Translator


class Watcher(Protocol):
    """Is told of the state of files while a folder is translated; called from several threads."""

    def state(self, name: str, entry: Entry) -> None:
        """The file's entry changed."""

    def progress(self, name: str, done: int, total: int | None) -> None:
        """So many of its frames are done."""


class Unwatched:
    """Tells nobody."""

    def state(self, name: str, entry: Entry) -> None:
        """Nothing."""

    def progress(self, name: str, done: int, total: int | None) -> None:
        """Nothing."""


@dataclass
class BatchReport:
    """What became of a folder; names of sources, in order."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Finished by an earlier call."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """With the reason; those that failed in an earlier call and were not tried again included."""
    lost: list[tuple[str, str]] = field(default_factory=list)
    """Those that are done, now or before, but for streams that were lost, with these."""


@dataclass(frozen=True)
class Plan:
    """What is to be done with one job."""

    job: Job
    action: str
    """'translate', 'skip' or 'fail'."""
    reason: str
    entry: Entry


def plan(
    jobs: Sequence[Job],
    ledger: Ledger,
    key: dict[str, object],
    *,
    overwrite: bool = False,
    retry_failed: bool = False,
) -> list[Plan]:
    """Decide, by content and settings, what is to be done.

    `key` is all that an output depends on beside its source (`Translator.key` and the encoder's settings). A
    finished output of the same key is skipped; an output of another key, or of unknown origin, is replaced only
    with `overwrite`; what failed is tried again with `retry_failed`, or if source or settings changed.
    """
    return [_plan(job, ledger.get(job.name), key, overwrite, retry_failed) for job in jobs]


def _plan(job: Job, entry: Entry, key: dict[str, object], overwrite: bool, retry_failed: bool) -> Plan:
    try:
        text = json.dumps([fingerprint(job.source), key], sort_keys=True, default=str)
    except RecycleError as error:
        return Plan(job, "fail", str(error), Entry(state="failed", reason=str(error)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    same = entry.key == digest
    fresh = Entry(key=digest)
    if job.output.exists():
        size = job.output.stat().st_size
        if entry.state == "done" and same and entry.size == size:
            return Plan(job, "skip", "finished", entry)
        if entry.state == "waiting" and same and entry.size != size:  # complete, and killed before that was recorded
            facts = {"state": "done", "size": size, "output": job.target, "frames": estimate_frames(job.output) or 0}
            return Plan(job, "skip", "finished", entry.model_copy(update=facts))
        if not overwrite:
            ours = entry.state == "done" and entry.size == size
            origin = "of another source, model or settings" if ours else "not of this folder's translation"
            reason = f"{job.output} exists and is {origin}; give --overwrite to replace it"
            failed = fresh.model_copy(update={"state": "failed", "reason": reason})
            return Plan(job, "fail", reason, entry if ours else failed)
        fresh = fresh.model_copy(update={"size": size})  # of what is to be replaced
    elif entry.state == "failed" and same and not retry_failed:
        return Plan(job, "fail", f"{entry.reason} (in an earlier run; --retry-failed tries again)", entry)
    return Plan(job, "translate", "", fresh)


Changed = Callable[[Plan, Entry], None]
"""Called when the entry of a file has changed."""

Advanced = Callable[[Plan, int, int | None], None]
"""Called with the number of frames of a file that are done, and of all; None: unknown."""


class Engine(Protocol):
    """Carries out plans: `recycle.translation.threads` on this machine, `recycle.translation.cluster` on many."""

    def run(self, plans: Sequence[Plan], changed: Changed, progress: Advanced) -> None:
        """Translate the file of each plan; `changed` is told every change of its entry, `progress` its frames.

        Both may be called from several threads. Raises KeyboardInterrupt after Ctrl-C, when every running file
        has stopped in a state that can be continued.
        """


def translate_folder(
    plans: Sequence[Plan], ledger: Ledger, engine: Engine, *, watcher: Watcher | None = None
) -> BatchReport:
    """Carry out `plans` (see `plan`) by `engine`, and record each in `ledger`.

    Raises Interrupted after Ctrl-C, when every running file has stopped in a state that can be continued.
    """
    watcher = watcher or Unwatched()

    def changed(one: Plan, entry: Entry) -> None:
        ledger.set({one.job.name: entry})
        watcher.state(one.job.name, entry)

    ledger.set({one.job.name: one.entry for one in plans})
    for one in plans:
        failed = {"state": "failed", "reason": one.reason} if one.action == "fail" else {}
        watcher.state(one.job.name, one.entry.model_copy(update=failed))
    stopped = False
    try:
        engine.run(
            [one for one in plans if one.action == "translate"],
            changed,
            lambda one, done, total: watcher.progress(one.job.name, done, total),
        )
    except KeyboardInterrupt:
        stopped = True
    report = BatchReport()
    for one in plans:
        entry = ledger.get(one.job.name)
        if entry.state == "done" and entry.lost:
            report.lost.append((one.job.name, ", ".join(entry.lost)))
        if one.action == "skip":
            report.skipped.append(one.job.name)
        elif one.action == "fail":
            report.failed.append((one.job.name, one.reason))
        elif entry.state == "done":
            report.done.append(one.job.name)
        elif entry.state == "failed":
            report.failed.append((one.job.name, entry.reason))
    if stopped:
        left = sum(ledger.get(one.job.name).state == "waiting" for one in plans)
        raise Interrupted(f"stopped; {left} files are left: run the same command again to continue")
    return report


def translate_one(
    one: Plan,
    translator: Translator,
    *,
    to: Domain,
    settings: TranslateSettings,
    overwrite: bool,
    progress: Progress = silent,
) -> Entry:
    """Translate one file; what became of it. Whatever is wrong with it is in the entry and not raised."""
    entry, job = one.entry, one.job
    source, output = job.source, job.output
    try:
        with workplace(job.source, job.output, entry.key) as (source, output):
            done = translator.translate_video(
                source, output, to=to, settings=settings, overwrite=overwrite or output != job.output, progress=progress
            )
            size = output.stat().st_size
    except Interrupted:
        return entry.model_copy(update={"state": "waiting"})
    except RecycleError as error:
        reason = str(error).replace(str(source), str(job.source)).replace(str(output), str(job.output))
        return entry.model_copy(update={"state": "failed", "reason": reason})
    except Exception as error:
        reason = f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
        return entry.model_copy(update={"state": "failed", "reason": reason})
    facts = {
        "output": job.target,
        "size": size,
        "frames": done.frames,
        "concealed": done.concealed,
        "seconds": round(done.seconds, 2),
        "notices": done.notices,
        "lost": done.lost,
    }
    return entry.model_copy(update={"state": "done", **facts})


def estimate(plans: Sequence[Plan], measure: Callable[[Job], float]) -> tuple[int, float | None]:
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
