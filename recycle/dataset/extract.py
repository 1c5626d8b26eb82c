"""Extracts video files into folders of frames with a manifest: in parallel, resumable and atomic."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from recycle.errors import ConfigError, FootageError, Interrupted, OutputError, RecycleError
from recycle.events import Job
from recycle.names import plain
from recycle.system.atomic import remove_leftovers
from recycle.system.cores import capped, cores
from recycle.system.crash import unexpected
from recycle.system.disk import disk_failed, explain
from recycle.system.lock import LOCK, only_one
from recycle.system.workers import run_all
from recycle.video.find import SECOND_NAME, Found, find_footage, left_out_lines, mixed_lines
from recycle.video.fingerprint import content, fingerprint, is_unchanged
from recycle.video.masks import identify, mask_of
from recycle.video.source import Source, add_source, added_kinds
from recycle.video.stated import estimate_frames

LONG = 1.2
"""A source with more than this many times one core's share of all frames is decoded by several threads."""


@dataclass(frozen=True)
class ExtractReport:
    """The result of an extraction."""

    done: list[Path]
    """Sources that this call extracted."""
    skipped: list[Path]
    """Sources that an earlier call extracted with the same settings; frames deleted since then stay deleted."""
    failed: list[tuple[Path, str]]
    """Sources that failed, each with a one-line reason."""
    folders: list[Path]
    """Folders of the frames of all sources that did not fail, sorted by name."""
    frames: int
    """Number of frames that this call wrote."""
    notices: list[str]
    """Notices for the user, one line each."""

    @property
    def failures(self) -> list[str]:
        """One line for each source in `failed`."""
        return [f"skipped {path}: {reason.removeprefix(f'{path}: ')}" for path, reason in self.failed]


@dataclass(frozen=True)
class _Task:
    source: Path
    fingerprint: str
    target: Path
    settings: ExtractSettings
    threads: bool = True
    mask: Path | None = None
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
    masks: Sequence[Path] = (),
    workers: int | None = None,
    job: Job | None = None,
    what: str = "extracting",
) -> ExtractReport:
    """Extract the frames of all videos and image folders among `inputs` into one folder each under `out`.

    A folder appears when it is complete. Another call skips complete folders, so it continues an interrupted one. If
    the settings changed, the folder of a source is replaced, unless a person deleted, changed or added files in it:
    then the source fails and the folder stays. If the content of a source changed, it gets a new folder beside the old
    one. A source that cannot be read is reported, and the others continue. Entries of input folders that are not
    footage are listed in the notices. Of several links to one file, and of equal files with the same name, only the
    first is extracted. `masks` has a mask for each input, or is empty; see `FootageSettings.mask_a`. They are written
    beside the frames. `workers` processes (default: one per core) extract one source each; 1 works in this process.
    The job receives the number of decoded frames as the progress of the task `what`.

    Raises ConfigError if the number of masks differs; FootageError if an input does not exist or holds no footage, or
    if every source fails; OutputError if `out` is an input or cannot be written, or if another process extracts into
    it; Interrupted if the job is cancelled, after which finished folders remain.
    """
    job = job or Job()
    if masks and len(masks) != len(inputs):
        raise ConfigError(
            f"there are {len(masks)} masks for {len(inputs)} inputs; give one for each, in the same order"
        )
    for each in inputs:
        if each.is_dir() and each.resolve() == out.resolve():
            raise OutputError(f"{out} is the input itself; give another folder for the frames")
    found = find_footage(inputs, without=out)
    sources = _once_each(found)
    with _alone(out):
        own = _masks_of(sources, dict(zip(inputs, masks, strict=True)) if masks else {})
        tasks, skipped, failed, notices = _plan(sources, out, settings, found, own)
        results = _run(tasks, workers, what, job)
    complete = [target for _, target in skipped] + [task.target for task, result in results if result.failure is None]
    failed += [(task.source, result.failure) for task, result in results if result.failure is not None]
    sources = [source for source in sources if source not in found.left_out]
    order = {source: number for number, source in enumerate(sources)}
    failed.sort(key=lambda pair: order[pair[0]])
    if len(failed) == len(sources):
        first = failed[0][1]
        raise FootageError(
            first if len(failed) == 1 else f"none of {len(failed)} sources could be extracted; the first error: {first}"
        )
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
    """The sources without further names of the same file, which would count twice in training; these are left out."""
    known: set[tuple[int, int]] = set()
    sources = []
    for source in found.sources:
        try:
            facts = source.stat()
        except OSError:  # extracting the source will report the error
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
    """Assigns a folder to every source.

    The folder's name contains the source's fingerprint, which covers only samples of a file. If another source already
    has that folder, the name contains a digest of the whole content instead.
    """

    out: Path
    earlier: dict[Path, Manifest]
    """Manifests of the existing folders."""
    taken: dict[Path, Path] = field(default_factory=dict)
    """Sources of this call, by their folders."""
    _content: Callable[[Path], str] = field(default_factory=lambda: cache(content))
    _split: set[str] = field(init=False)
    """Fingerprints shared by several contents, one of which has a folder named by its content."""

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
                return other  # it keeps that folder, even if the usual name is free now
        return usual if self._fits(usual, source, mark) else self.out / folder_name(source, self._content(source))

    def _fits(self, folder: Path, source: Path, mark: str) -> bool:
        """Whether the folder is free, or belongs to a source with the same content."""
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


def _masks_of(sources: list[Path], masks: Mapping[Path, Path]) -> dict[Path, Path]:
    """The mask of each source, given those of the inputs."""
    found: dict[Path, Path] = {}
    for source in sources:
        for top, mask in masks.items():
            if source == top:
                found[source] = mask
            elif top in source.parents:
                found[source] = Path(mask_of(str(source.relative_to(top)), source, mask) or mask)
    return found


def _plan(
    sources: list[Path], out: Path, settings: ExtractSettings, found: Found, masks: Mapping[Path, Path]
) -> tuple[list[_Task], list[tuple[Path, Path]], list[tuple[Path, str]], list[str]]:
    """Tasks, skipped sources with their folders, failed sources with reasons, and notices.

    A source whose content and folder equal those of an earlier one is added to `found.left_out`.
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
            mask = masks.get(source)
            marked = "" if mask is None else identify(mask)
            if known and (known.fingerprint, known.settings, known.masks) == (mark, settings.record(), marked):
                skipped.append((source, target))
                continue
            if known:
                check_untouched(target, known)
            elif target.exists():
                raise FootageError(f"{target} exists and is not extracted footage; move it away")
            tasks.append(_Task(source, mark, target, settings, mask=mask))
        except FootageError as error:
            failed.append((source, str(error)))
            continue
        notices += [
            f"{source} changed after its frames were extracted to {folder}; delete that folder if you no longer need it"
            for folder in of_source[plain(str(source.resolve()))]
            if folder != target
        ]
    return tasks, skipped, failed, notices


def _run(tasks: list[_Task], workers: int | None, what: str, job: Job) -> list[tuple[_Task, _Result]]:
    job.check()
    if not tasks:
        return []
    estimates = [estimate_frames(task.source) for task in tasks]
    total = None if None in estimates else sum(count or 0 for count in estimates)
    available = cores()
    workers = min(capped(workers) if workers else available, max(1, len(tasks)))
    sizes = {task.target: estimate or 0 for task, estimate in zip(tasks, estimates, strict=True)}
    share = LONG * sum(sizes.values()) / available
    # The longest sources start first, so that none of them runs alone at the end. Threads cost a tenth more time in
    # total: only sources that would outlast the others use them, and all sources if there are fewer than cores.
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
    """Extract one source in a worker process. Any error of the source becomes a `failure`."""
    for kind in reversed(task.kinds):
        add_source(kind)
    try:
        frames, notices = extract_source(
            task.source, task.target, task.fingerprint, task.settings, count, threads=task.threads, mask=task.mask
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
    """Create `out`, lock it against other processes, and delete leftovers of killed ones."""
    refusal = f"another recycle process is extracting into {out}; wait for it, or stop it"
    with ExitStack() as stack:
        try:
            if out.exists() and not out.is_dir():
                raise OutputError(f"{out} is a file; give a folder for the frames")
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(only_one(out / LOCK, refusal))
            remove_leftovers(out)
        except OSError as error:
            raise OutputError(f"cannot write to {out}: {error.strerror}") from error
        yield
