"""Decides what to do with each file of a folder, so that nothing is translated twice and no other file is replaced."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from recycle.batch.folder import FileJob
from recycle.batch.ledger import Entry, Ledger
from recycle.errors import FootageError, RecycleError
from recycle.inputs import open_source
from recycle.names import plain
from recycle.system.places import is_here
from recycle.video.fingerprint import content, fingerprint, is_unchanged, modified
from recycle.video.masks import identify
from recycle.video.stated import estimate_frames

_CHANGED = "the source before it was changed"
"""Used as the key of an output whose source changed in parts that its fingerprint does not cover."""


@dataclass(frozen=True)
class Plan:
    """What to do with one job."""

    job: FileJob
    action: str
    """'translate', 'skip' or 'fail'."""
    reason: str
    """Why the file is skipped or fails; '' if it is translated."""
    entry: Entry
    """The entry to record before the plan is carried out."""


def plan(
    jobs: Sequence[FileJob],
    ledger: Ledger,
    key: dict[str, object],
    *,
    overwrite: bool = False,
    retry_failed: bool = False,
) -> list[Plan]:
    """Decide for each job, by content and settings, whether to translate it, skip it or report a failure.

    `key` is everything on which an output depends beside its source (`Translator.key` and the encoder's settings). A
    finished output with the same key is skipped; an output with another key, or of unknown origin, is replaced only
    with `overwrite`. A failed file is retried with `retry_failed`, or if its source or the settings changed. With
    `retry_failed`, an existing output with all frames counts as finished even if the record says that it failed.
    """
    return [_plan(job, ledger, key, overwrite, retry_failed) for job in jobs]


def _plan(job: FileJob, ledger: Ledger, key: dict[str, object], overwrite: bool, retry_failed: bool) -> Plan:
    try:
        masked = [] if job.mask is None else [identify(job.mask)]
        text = json.dumps([fingerprint(job.source), key, *masked], sort_keys=True, default=str)
        fresh = Entry(key=hashlib.sha256(text.encode()).hexdigest(), modified=modified(job.source))
        return _decide(job, ledger, fresh, overwrite, retry_failed)
    except RecycleError as error:
        entry, reason = ledger.get(job.name), plain(str(error))
        failed = entry.model_copy(update={"state": "failed", "reason": reason, "key": ""})
        return Plan(job, "fail", reason, entry if entry.state == "done" else failed)


def _decide(job: FileJob, ledger: Ledger, fresh: Entry, overwrite: bool, retry_failed: bool) -> Plan:
    """Decide by the recorded entry; `fresh` is the entry of an unstarted job with this source."""
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
            if entry.state != "done" or entry.modified:  # hashing all outputs of an earlier version would take long
                facts |= of_source(job, fresh.modified, entry.content if made else "")
            return Plan(job, "skip", "finished", entry.model_copy(update={**facts, "reason": "", "replaces": ""}))
        if not overwrite:
            origin = "was made from another source, model or settings" if made else "is not recorded as an output"
            reason = plain(f"{job.output} exists and {origin}; give --overwrite to replace it")
            failed = fresh.model_copy(update={"state": "failed", "reason": reason})
            return Plan(job, "fail", reason, entry if made or entry.state == "done" else failed)
        fresh = fresh.model_copy(update={"size": size, "replaces": made, "content": entry.content if made else ""})
    elif entry.state == "failed" and same and not retry_failed:
        return Plan(job, "fail", f"{entry.reason} (in an earlier run; give --retry-failed to try again)", entry)
    return Plan(job, "translate", "", fresh)


def _has_content(job: FileJob, entry: Entry) -> bool:
    """Whether the source still has the recorded content from which the finished output was made."""
    if entry.replaces:  # the recorded time belongs to the translation that was to replace the output
        return not entry.content or content(job.source) == entry.content
    return is_unchanged(job.source, entry.modified, entry.content)


def of_source(job: FileJob, time: int, digest: str = "") -> dict[str, object]:
    """What an entry records about the translated source, whose modification time was `time`.

    `digest` is the digest of its content, computed if ''. It stays '' if the file changed since `time` or was deleted.
    """
    if time and not digest:
        with suppress(FootageError):
            digest = content(job.source)
            digest = digest if modified(job.source) == time else ""
    return {"modified": time, "content": digest}


def _made(entry: Entry, size: int) -> str:
    """Key from which this folder's translation made an output of `size` bytes; '' if it did not make it."""
    if entry.size != size:
        return ""
    return entry.key if entry.state == "done" else entry.replaces


def _was_finished(job: FileJob, ledger: Ledger, retry_failed: bool) -> bool:
    """Whether an existing output was finished although the record does not say so."""
    if ledger.was_running(job.name):  # the process was killed before it recorded the result
        return True
    state = ledger.get(job.name).state
    late = state == "waiting" and not is_here(job.output)  # a remote record is uploaded with a delay
    false = state == "failed" and retry_failed  # concurrent processes of an old version recorded this wrongly
    return (late or false) and _is_whole(job)


def _is_whole(job: FileJob) -> bool:
    """Whether the output of a job has as many frames as its source, counted by packets."""
    try:
        counts = []
        for path in (job.source, job.output):
            with open_source(path) as reader:
                index = reader.index()
                counts.append(estimate_frames(path) if index is None else len(index.stamps))
    except RecycleError:
        return False
    return bool(counts[0]) and counts[0] == counts[1]


def estimate(plans: Sequence[Plan], measure: Callable[[FileJob], float]) -> tuple[int, float | None]:
    """Number of frames to translate, as stated by the files, and the estimated duration in seconds.

    `measure` returns the frames per second of a job; the first successful measurement is used for all jobs. The
    duration is None if no measurement succeeds.
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
