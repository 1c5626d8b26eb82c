"""A folder of videos, unattended: one bad file never stops the rest, and nothing is done twice."""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from recycle.config import Domain, TranslateSettings
from recycle.errors import Interrupted, RecycleError
from recycle.footage.decode import estimate_frames
from recycle.footage.manifest import fingerprint
from recycle.translation.folder import Job
from recycle.translation.ledger import Entry, Ledger
from recycle.translation.translator import Translator

_POLL_SECONDS = 0.2


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
        if not overwrite:
            ours = entry.state == "done" and entry.size == size
            origin = "of another source, model or settings" if ours else "not of this folder's translation"
            reason = f"{job.output} exists and is {origin}; give --overwrite to replace it"
            return Plan(job, "fail", reason, fresh.model_copy(update={"state": "failed", "reason": reason}))
    elif entry.state == "failed" and same and not retry_failed:
        return Plan(job, "fail", f"{entry.reason} (in an earlier run; --retry-failed tries again)", entry)
    return Plan(job, "translate", "", fresh)


def translate_folder(
    plans: Sequence[Plan],
    ledger: Ledger,
    translator: Translator,
    *,
    to: Domain,
    settings: TranslateSettings,
    overwrite: bool = False,
    at_once: int = 1,
    watcher: Watcher | None = None,
) -> BatchReport:
    """Carry out `plans` (see `plan`), `at_once` files at a time, and record each in `ledger`.

    Raises Interrupted after Ctrl-C, when every running file has stopped in a state that can be continued.
    """
    watcher = watcher or Unwatched()
    report, stop = BatchReport(), Event()
    futures: dict[Future[Entry], Plan] = {}
    with ThreadPoolExecutor(at_once) as pool:
        for one in plans:
            if one.action == "translate":
                arguments = (one, ledger, translator, to, settings, overwrite, watcher, stop)
                futures[pool.submit(_translate, *arguments)] = one
            elif one.entry != ledger.get(one.job.name):
                ledger.set(one.job.name, one.entry)
            watcher.state(one.job.name, one.entry)
        try:
            pending = set(futures)
            while pending:
                pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED).not_done
        except KeyboardInterrupt:
            stop.set()
            pool.shutdown(cancel_futures=True)
    for one in plans:
        entry = ledger.get(one.job.name)
        if one.action == "skip":
            report.skipped.append(one.job.name)
        elif one.action == "fail":
            report.failed.append((one.job.name, one.reason))
        elif entry.state == "done":
            report.done.append(one.job.name)
        elif entry.state == "failed":
            report.failed.append((one.job.name, entry.reason))
    if stop.is_set():
        left = sum(ledger.get(one.job.name).state == "waiting" for one in plans)
        raise Interrupted(f"stopped; {left} files are left: run the same command again to continue")
    for future in futures:
        future.result()  # an error of ours, not of a file
    return report


def _translate(
    one: Plan,
    ledger: Ledger,
    translator: Translator,
    to: Domain,
    settings: TranslateSettings,
    overwrite: bool,
    watcher: Watcher,
    stop: Event,
) -> Entry:
    name = one.job.name

    def set_entry(**changes: object) -> Entry:
        entry = one.entry.model_copy(update=changes)
        ledger.set(name, entry)
        watcher.state(name, entry)
        return entry

    def progress(done: int, total: int | None) -> None:
        watcher.progress(name, done, total)
        if stop.is_set():
            raise KeyboardInterrupt

    if stop.is_set():
        return set_entry(state="waiting")
    set_entry(state="running")
    try:
        done = translator.translate_video(
            one.job.source, one.job.output, to=to, settings=settings, overwrite=overwrite, progress=progress
        )
    except Interrupted:
        return set_entry(state="waiting")
    except RecycleError as error:
        return set_entry(state="failed", reason=str(error))
    except Exception as error:
        return set_entry(state="failed", reason=f"unexpected {type(error).__name__}: {' '.join(str(error).split())}")
    return set_entry(
        state="done",
        output=str(one.job.output.relative_to(ledger.path.parent)),
        size=one.job.output.stat().st_size,
        frames=done.frames,
        concealed=done.concealed,
        seconds=round(done.seconds, 2),
        notices=done.notices,
    )


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
