"""Which files of a folder are translated, and into what."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from recycle.config import EncodeSettings
from recycle.errors import FootageError, OutputError
from recycle.footage.codecs import CONTAINERS, takes_codec
from recycle.footage.decode import find_sources
from recycle.translation.streams import OtherStreams


@dataclass(frozen=True)
class Job:
    """One source of a folder and its output."""

    name: str
    """Path of the source relative to the folder, with forward slashes."""
    source: Path
    output: Path
    target: str
    """Path of the output relative to the output folder, with forward slashes."""


def find_jobs(
    folder: Path,
    out: Path,
    settings: EncodeSettings,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> list[Job]:
    """The videos and folders of numbered images in `folder` and below, in natural order, with their outputs.

    The tree of `out` is that of `folder`. Patterns ('*.mkv', 'raw/*') are matched with the path and with the
    name; without `include` all are taken. A source keeps its suffix where we write such files; else it becomes
    .mp4, or .mkv if that cannot hold all of its streams. Of sources whose names differ in the suffix only, all but
    the first keep it within the name of the output. Files within `out` are not taken.

    Raises OutputError if `out` is `folder` or a file, FootageError if nothing is found.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; the output of a folder is a folder")
    if out.resolve() == folder.resolve():
        raise OutputError(f"{out} is the input itself; give another folder for the output")
    jobs: list[Job] = []
    taken: set[Path] = set()
    for source in find_sources([folder]):
        if out.resolve() in source.resolve().parents:
            continue
        name = source.relative_to(folder).as_posix() if source != folder else source.name
        if (include and not _matches(name, include)) or _matches(name, exclude):
            continue
        suffix = _suffix(source, settings)
        output = (out / name).with_suffix(suffix) if source.is_file() else out / f"{name}{suffix}"
        if output.with_suffix("") in taken:
            output = out / f"{name}{suffix}"
        taken.add(output.with_suffix(""))
        jobs.append(Job(name, source, output, output.relative_to(out).as_posix()))
    if not jobs:
        raise FootageError(f"{folder} holds no video that the patterns take")
    return jobs


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) or fnmatch(Path(name).name, pattern) for pattern in patterns)


def _suffix(source: Path, settings: EncodeSettings) -> str:
    """Suffix of the output, chosen without decoding."""
    candidates = [suffix for suffix, name in CONTAINERS.items() if takes_codec(name, settings)]
    own = source.suffix.lower()
    if own in candidates:
        return own
    if ".mp4" not in candidates:
        return candidates[0]
    try:
        with OtherStreams(source, "mp4") as others:
            return ".mkv" if others.notices else ".mp4"
    except FootageError:
        return ".mp4"  # it will fail with its own reason
