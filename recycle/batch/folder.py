"""Selects the files of a folder to translate, and names their outputs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from itertools import count
from pathlib import Path, PurePosixPath

from recycle.config import EncodeSettings, TranslateSettings
from recycle.errors import FootageError, OutputError
from recycle.names import original, plain
from recycle.rendering.streams import OtherStreams
from recycle.video.codecs import CONTAINERS, takes_codec
from recycle.video.find import find_footage, left_out_lines, mixed_lines, relative_names
from recycle.video.masks import mask_of
from recycle.video.picture_formats import STILLS, holds_pictures, is_picture
from recycle.video.source import added_kind


@dataclass(frozen=True)
class FileJob:
    """One source of a folder and its output."""

    name: str
    """Path of the source relative to the folder, with forward slashes, as `recycle.names.plain` text."""
    source: Path
    output: Path
    target: str
    """Path of the output relative to the output folder, in the same form."""
    mask: Path | str | None = None
    """Its own mask; None if there are no masks."""

    def settings(self, shared: TranslateSettings) -> TranslateSettings:
        """The settings for this source, given those that all sources share."""
        return shared if self.mask == shared.mask else shared.model_copy(update={"mask": self.mask})


@dataclass(frozen=True)
class Survey:
    """The contents of a folder: what is translated and what is not."""

    jobs: list[FileJob]
    left_out: dict[str, str]
    """Names of entries that are left out, with reasons."""
    failed: dict[str, str]
    """Names of entries that cannot be read, with reasons."""
    mixed: list[str]
    """Names of folders that hold both numbered images and videos; all of them are translated."""

    def notices(self) -> list[str]:
        """Notices about the folder, one line each."""
        return [*mixed_lines(self.mixed), *left_out_lines(self.left_out)]

    def has_images(self) -> bool:
        """Whether there are images that are translated one by one."""
        return any(job.output.suffix.lower() in STILLS for job in self.jobs)


def survey(
    folder: Path,
    out: Path,
    settings: EncodeSettings,
    *,
    masks: Path | str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    known: Callable[[str], str] = lambda name: "",
    join_images: bool = False,
) -> Survey:
    """The videos and images in `folder` and its subfolders, in natural order, with their outputs.

    The tree of `out` mirrors that of `folder`. Each image keeps its name and its format. With `join_images`, a folder
    of numbered images is one video instead, and other images are left out. Patterns ('*.mkv', 'raw/*') are matched
    against the relative path and the file name; without `include` everything matches. An output keeps the suffix of its
    source if recycle writes such files; otherwise it is .mp4, or .mkv if .mp4 cannot hold all streams. If names of
    videos differ only in the suffix, all outputs but the first contain the suffix of their source in their names.
    `known` returns the output that a name had in an earlier run, which it keeps, or ''. Files within `out` are ignored.
    `masks` is a mask for all sources (see `TranslateSettings.mask`), or a folder that holds one for each, with the same
    relative name and any suffix.

    Raises OutputError if `out` is `folder` or a file, FootageError if nothing is found.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder for the output, because the input is a folder")
    if out.resolve() == folder.resolve():
        raise OutputError(f"{out} is the input itself; give another folder for the output")
    found = find_footage([folder], without=out, apart=not join_images)

    def wanted(name: str) -> bool:
        return not _matches(name, exclude) and (not include or _matches(name, include))

    sources = {name: path for name, path in _named(found.sources, folder) if wanted(original(name))}
    outputs = _outputs(sources, settings, known)
    jobs = [
        FileJob(name, source, out / original(outputs[name]), outputs[name], mask_of(original(name), source, masks))
        for name, source in sources.items()
    ]
    mixed = set(found.mixed)
    left_out = relative_names(found.left_out, folder)
    failed = relative_names(found.failed, folder)
    if not jobs:
        raise FootageError(f"{folder} holds no video that matches the patterns; check --include and --exclude")
    return Survey(
        jobs,
        {name: reason for name, reason in left_out.items() if wanted(original(name))},
        {name: reason for name, reason in failed.items() if not _matches(original(name), exclude)},
        [job.name for job in jobs if job.source in mixed],
    )


def _named(sources: Sequence[Path], folder: Path) -> Iterator[tuple[str, Path]]:
    """Sources with unique names. The folder itself, if it is a source, is named after itself."""
    names = {plain(source.relative_to(folder).as_posix()) for source in sources if source != folder}
    for source in sources:
        if source != folder:
            yield plain(source.relative_to(folder).as_posix()), source
        else:
            own = plain(folder.name or folder.resolve().name)
            yield (f"./{own}" if own in names else own), source


def _outputs(sources: dict[str, Path], settings: EncodeSettings, known: Callable[[str], str]) -> dict[str, str]:
    """Output of each name relative to the output folder, as plain text.

    No two videos differ only in their suffix, and no output has the name of a folder.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    folders = {str(parent) for name in sources for parent in PurePosixPath(name).parents}
    suffixes = {name: _suffix_of(source, settings) for name, source in sources.items()}

    def take(name: str, target: str) -> bool:
        picture = holds_pictures(Path(target))
        stem = target if picture else str(PurePosixPath(target).with_suffix(""))  # pictures share no folder of work
        if stem in taken or target in folders:
            return False
        taken.add(stem)
        found[name] = target
        return True

    for name in sources:
        earlier = PurePosixPath(known(name))
        # Earlier versions made videos of animations.
        kept = earlier.suffix.lower() in (suffixes[name].lower(), *CONTAINERS)
        if kept and earlier.parent == PurePosixPath(name).parent:
            take(name, str(earlier))
    for name, source in sources.items():
        if name not in found:
            next(target for target in _targets(name, source, suffixes[name]) if take(name, target))
    return found


def _targets(name: str, source: Path, suffix: str) -> Iterator[str]:
    """Candidate names for the output of a source, in order of preference."""
    path = PurePosixPath(name)
    if source.is_file():
        yield str(path.with_suffix(suffix))
    yield f"{path}{suffix}"
    for number in count(2):
        yield f"{path}-{number}{suffix}"


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) or fnmatch(PurePosixPath(name).name, pattern) for pattern in patterns)


def _suffix_of(source: Path, settings: EncodeSettings) -> str:
    """Suffix of the output, chosen without decoding. One that is kept is written as in the source's name."""
    own = source.suffix.lower()
    if is_picture(source):
        return source.suffix
    candidates = tuple(suffix for suffix, name in CONTAINERS.items() if takes_codec(name, settings))
    if own in candidates:
        return source.suffix
    if ".mp4" not in candidates:
        return candidates[0]
    try:
        facts = source.stat()
        return _mp4_or_mkv(source, facts.st_size, facts.st_mtime)
    except OSError:
        return ".mp4"  # translating the file will report the error


@lru_cache(maxsize=100_000)
def _mp4_or_mkv(source: Path, size: int, changed: float) -> str:
    """The suffix for a file of that size and time; cached, so that a watched folder's files are opened only once."""
    try:
        if source.is_dir() or added_kind(source):
            return ".mp4"
        with OtherStreams(source, "mp4") as others:
            return ".mkv" if others.notices else ".mp4"
    except FootageError:
        return ".mp4"  # translating the file will report the error
