"""What is to be done with each file of a folder: nothing is done twice, and nothing of others is replaced."""

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
from recycle.video.stated import estimate_frames

_CHANGED = "the source before it was changed"
"""Stands for the key of an output whose source changed in parts that its fingerprint does not read."""


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
                facts |= of_source(job, fresh.modified, entry.content if made else "")
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


def of_source(job: FileJob, time: int, digest: str = "") -> dict[str, object]:
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
            with open_source(path) as reader:
                index = reader.index()
                counts.append(estimate_frames(path) if index is None else len(index.stamps))
    except RecycleError:
        return False
    return bool(counts[0]) and counts[0] == counts[1]


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
