"""Video files become folders of frames with a manifest: in parallel, resumable, nothing half done."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import av
import cv2

from recycle import inputs as inputs  # makes every kind of source known
from recycle.config import ExtractSettings
from recycle.dataset.manifest import Manifest, check_untouched, folder_name, read_manifest
from recycle.dataset.one_source import extract_source
from recycle.errors import FootageError, Interrupted, OutputError, RecycleError
from recycle.events import Job
from recycle.names import plain
from recycle.system.atomic import remove_leftovers
from recycle.system.cores import capped, cores
from recycle.system.crash import unexpected
from recycle.system.disk import disk_failed, explain
from recycle.system.lock import only_one
from recycle.system.workers import run_all
from recycle.video.find import SECOND_NAME, Found, find_footage, left_out_lines, mixed_lines
from recycle.video.fingerprint import content, fingerprint, is_unchanged
from recycle.video.source import Source, add_source, added_kinds
from recycle.video.stated import estimate_frames

LOCK = ".recycle.lock"
LONG = 1.2
"""A source that has so many times a core's share of all frames is decoded by several threads."""


@dataclass(frozen=True)
class ExtractReport:
    """What became of the sources."""

    done: list[Path]
    skipped: list[Path]
    """Already complete from an earlier run with the same settings; frames deleted since stay deleted."""
    failed: list[tuple[Path, str]]
    """Each with the reason, one line."""
    folders: list[Path]
    """Where the frames of all sources are that did not fail, in order of their names."""
    frames: int
    """Frames written in this run."""
    notices: list[str]
    """What a person should know, one line each."""


@dataclass(frozen=True)
class _Task:
    source: Path
    fingerprint: str
    target: Path
    settings: ExtractSettings
    threads: bool = True
    kinds: tuple[type[Source], ...] = field(default_factory=added_kinds)
    """Kinds of source that the worker must know."""


@dataclass(frozen=True)
class _Result:
    frames: int = 0
    notices: tuple[str, ...] = ()
    failure: str | None = None


def extract(
    inputs: Sequence[Path],
    out: Path,
    settings: ExtractSettings,
    *,
    workers: int | None = None,
    job: Job | None = None,
    what: str = "extracting",
) -> ExtractReport:
    """Extract the frames of all videos and image folders among `inputs` into one folder each under `out`.

    A folder appears when it is complete. A second run skips what is complete, so an interrupted run goes on where it
    stopped. Other settings replace the source's folder, unless a person deleted, changed or added files in it: then the
    source fails and the folder stays. A source whose content changed gets a new folder beside the old one. A source
    that cannot be read is reported and the others go on; so is what a folder holds that is no footage, in the notices.
    Of several names of one file, and of equal files of one name, the first is taken. `workers` processes (default: one
    per core) take one source each; 1 works in this process. The job's progress counts
    frames decoded, under the name `what`.

    Raises FootageError if an input does not exist or holds nothing, or if every source fails; OutputError if
    `out` cannot be written, or if another process extracts into it; Interrupted where the job is cancelled: the
    frames of finished sources stay.
    """
    job = job or Job()
    found = find_footage(inputs, without=out)
    sources = _once_each(found)
    with _alone(out):
        tasks, skipped, failed, notices = _plan(sources, out, settings, found)
        results = _run(tasks, workers, what, job)
    complete = [target for _, target in skipped] + [task.target for task, result in results if result.failure is None]
    failed += [(task.source, result.failure) for task, result in results if result.failure is not None]
    sources = [source for source in sources if source not in found.left_out]
    order = {source: number for number, source in enumerate(sources)}
    failed.sort(key=lambda pair: order[pair[0]])
    if len(failed) == len(sources):
        first = failed[0][1]
        raise FootageError(first if len(failed) == 1 else f"none of {len(failed)} sources worked; {first}")
    beside = left_out_lines({plain(str(path)): reason for path, reason in found.left_out.items()})
    notices = [*mixed_lines(plain(str(path)) for path in found.mixed), *beside, *notices]
    return ExtractReport(
        done=[task.source for task, result in results if result.failure is None],
        skipped=[source for source, _ in skipped],
        failed=failed + list(found.failed.items()),
        folders=sorted(set(complete)),
        frames=sum(result.frames for _, result in results),
        notices=notices + [notice for _, result in results for notice in result.notices],
    )


def _once_each(found: Found) -> list[Path]:
    """The sources without second names of one file, which would count twice in training; these are left out."""
    known: set[tuple[int, int]] = set()
    sources = []
    for source in found.sources:
        try:
            facts = source.stat()
        except OSError:  # it fails with its own reason
            sources.append(source)
            continue
        if facts.st_ino and (facts.st_dev, facts.st_ino) in known:
            found.left_out[source] = SECOND_NAME
        else:
            sources.append(source)
        known.add((facts.st_dev, facts.st_ino))
    return sources


@dataclass
class _Targets:
    """Gives every source its folder.

    Its name comes from the source's fingerprint, which reads only samples of a file. If the folder of that name is of
    another source, the name comes from the whole content.
    """

    out: Path
    earlier: dict[Path, Manifest]
    """Of the folders that are there."""
    taken: dict[Path, Path] = field(default_factory=dict)
    """Sources of this call, by their folders."""
    _content: Callable[[Path], str] = field(default_factory=lambda: cache(content))
    _split: set[str] = field(init=False)
    """Fingerprints that several contents have: one of them has a folder named by its content."""

    def __post_init__(self) -> None:
        self._split = {
            m.fingerprint for folder, m in self.earlier.items() if not folder.name.endswith(m.fingerprint[:8])
        }

    def of(self, source: Path, mark: str) -> Path:
        """The folder of a source with the fingerprint `mark`."""
        usual = self.out / folder_name(source, mark)
        if mark in self._split:
            other = self.out / folder_name(source, self._content(source))
            if other in self.earlier:
                return other  # it stays there, even if the usual name is free now
        return usual if self._fits(usual, source, mark) else self.out / folder_name(source, self._content(source))

    def _fits(self, folder: Path, source: Path, mark: str) -> bool:
        """Whether the folder is free, or of a source with the same content."""
        if folder in self.taken:
            return self._content(self.taken[folder]) == self._content(source)
        known = self.earlier.get(folder)
        if known is None:
            return True
        if known.fingerprint != mark:
            return False
        if known.content and known.source != plain(str(source.resolve())):
            return known.content == self._content(source)
        return is_unchanged(source, known.modified, known.content)


def _plan(
    sources: list[Path], out: Path, settings: ExtractSettings, found: Found
) -> tuple[list[_Task], list[tuple[Path, Path]], list[tuple[Path, str]], list[str]]:
    """Tasks, skipped sources with their folders, failed sources with reasons, and notices.

    A source with the content of an earlier one, for the same folder, is left out in `found`.
    """
    tasks: list[_Task] = []
    skipped: list[tuple[Path, Path]] = []
    failed: list[tuple[Path, str]] = []
    notices: list[str] = []
    folders = [folder for folder in out.iterdir() if not folder.name.startswith(".")]
    earlier = {folder: manifest for folder in folders if (manifest := read_manifest(folder))}
    of_source: dict[str, list[Path]] = defaultdict(list)
    for folder, manifest in earlier.items():
        of_source[manifest.source].append(folder)
    targets = _Targets(out, earlier)
    for source in sources:
        try:
            mark = fingerprint(source)
            target = targets.of(source, mark)
            if target in targets.taken:
                found.left_out[source] = plain(f"same content as {targets.taken[target]}")
                continue
            targets.taken[target] = source
            known = earlier.get(target)
            if known and known.fingerprint == mark and known.settings == settings.record():
                skipped.append((source, target))
                continue
            if known:
                check_untouched(target, known)
            elif target.exists():
                raise FootageError(f"{target} exists and is no extracted footage; move it away")
            tasks.append(_Task(source, mark, target, settings))
        except FootageError as error:
            failed.append((source, str(error)))
            continue
        notices += [
            f"{source} changed since its frames went to {folder}; delete that folder if it is of no more use"
            for folder in of_source[plain(str(source.resolve()))]
            if folder != target
        ]
    return tasks, skipped, failed, notices


def _run(tasks: list[_Task], workers: int | None, what: str, job: Job) -> list[tuple[_Task, _Result]]:
    job.check()
    estimates = [estimate_frames(task.source) for task in tasks]
    total = None if None in estimates else sum(count or 0 for count in estimates)
    available = cores()
    workers = min(capped(workers) if workers else available, max(1, len(tasks)))
    sizes = {task.target: estimate or 0 for task, estimate in zip(tasks, estimates, strict=True)}
    share = LONG * sum(sizes.values()) / available
    # The longest first, so that none is left for the end. Threads cost a tenth more in all: they are for sources that
    # would outlast the others, and where there are not as many as cores.
    tasks = sorted(
        (replace(task, threads=workers < available or sizes[task.target] > share) for task in tasks),
        key=lambda task: -sizes[task.target],
    )
    count = job.counting(what, total=total)
    crash = _Result(failure="the process that extracted it was killed (out of memory?)")
    results = run_all(_extract_task, tasks, workers=workers, crashed=crash, report=count.add, job=job)
    count.finish()
    given = {target: number for number, target in enumerate(sizes)}
    return sorted(zip(tasks, results, strict=True), key=lambda pair: given[pair[0].target])


def _extract_task(task: _Task, count: Callable[[int], None]) -> _Result:
    """Extract one source; runs in a worker process. Whatever is wrong with the source becomes a `failure`."""
    for kind in reversed(task.kinds):
        add_source(kind)
    try:
        frames, notices = extract_source(
            task.source, task.target, task.fingerprint, task.settings, count, threads=task.threads
        )
    except Interrupted:
        raise
    except (RecycleError, av.FFmpegError, cv2.error, MemoryError, OSError) as error:
        reason = str(error) if isinstance(error, RecycleError) else f"{task.source}: {error or 'out of memory'}"
        if isinstance(error, OSError) and disk_failed(error):
            what, remedy = explain(error.errno or 0)
            reason = f"cannot write {task.target}: {what}; {remedy} and run the same command again"
        return _Result(failure=" ".join(reason.split()))
    except Exception as error:
        return _Result(failure=f"{task.source}: {unexpected(error)}")
    return _Result(frames, tuple(notices))


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Make `out`, keep other processes from extracting into it, and clear it of what killed ones left half done."""
    refusal = f"another recycle is extracting into {out}; wait for it, or stop it"
    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(only_one(out / LOCK, refusal))
            remove_leftovers(out)
        except OSError as error:
            raise OutputError(f"cannot write to {out}: {error.strerror}") from error
        yield
