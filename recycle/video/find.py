"""Finds footage in folders and reports what is left out and why."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recycle.errors import FootageError
from recycle.names import original, plain
from recycle.plural import counted
from recycle.system.entries import GONE, examine, refuse_special
from recycle.system.places import is_here
from recycle.video.numbered import IMAGE_SUFFIXES, is_pattern, listed, natural_key, numbered_images
from recycle.video.sniff import IMAGE, WEBP, sniff
from recycle.video.source import added_kind

VIDEO_SUFFIXES = frozenset(
    {".264", ".265", ".360", ".3g2", ".3gp", ".apng", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif"}
    | {".gxf", ".h264", ".h265", ".hevc", ".insv", ".ivf", ".lrv", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg"}
    | {".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv"}
    | {".qt", ".rm", ".rmvb", ".tod", ".trp", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m"}
)
"""Suffixes of files that count as videos regardless of their content. Other files are recognised by their content."""

UNFINISHED = frozenset(
    {".aria2", ".crdownload", ".download", ".filepart", ".opdownload", ".part", ".partial", ".temp", ".tmp"}
)
"""Suffixes that programs give to unfinished files."""

HIDDEN = "hidden file"
INCOMPLETE = "an unfinished file, by its name"
UNNUMBERED = "an image without a number at the end of its name"
LONE_IMAGE = "a single image beside videos"
THUMBNAIL = "an image with the same name as a video"
SECOND_NAME = "another name of a file that is included"
TRANSLATIONS = "translate.json"
"""Name of the record in a folder of translations."""
TRANSLATED = f"a translation by recycle, by its {TRANSLATIONS}"
BESIDE = "not one of the folder's numbered images"
_SHOWN = 5
"""Maximum number of reasons why a folder holds no footage."""


@dataclass
class Found:
    """The result of a search for footage."""

    sources: list[Path] = field(default_factory=list)
    """Videos and folders of numbered images, in natural order within each input."""
    left_out: dict[Path, str] = field(default_factory=dict)
    """Skipped files, folders and links, with a short reason."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Unreadable files and folders, with the reason."""
    mixed: list[Path] = field(default_factory=list)
    """Folders whose numbered images and videos are both taken."""

    def messages(self) -> list[str]:
        """What is not taken, and why, as `left_out_lines`; and what is taken although it may not be meant."""
        rest = {plain(str(path)): reason for path, reason in {**self.left_out, **self.failed}.items()}
        return [*mixed_lines(plain(str(path)) for path in self.mixed), *left_out_lines(rest)]


def find_footage(inputs: Sequence[Path], *, without: Path | None = None, apart: bool = False) -> Found:
    """Find the videos and folders of numbered images in `inputs`; record everything else.

    An input that is a file is taken regardless of its name. An input that is a folder is searched with its subfolders,
    except `without`. Translations that recycle made in a subfolder are left out. Files are recognised by their suffix
    (VIDEO_SUFFIXES) or by their content; a folder that holds numbered images is also a source. Hidden names, other
    files and links to folders are left out; links to files are taken. With `apart`, each image is a source of its own,
    whether its name ends in a number or not, unless it is a thumbnail or the only image beside videos. Unreadable files
    and subfolders are recorded in `failed` and do not stop the search.

    Raises FootageError for an input that does not exist, cannot be read, is neither a file nor a folder, or contains no
    footage.
    """
    found = Found()
    sources: dict[Path, Path] = {}
    for path in inputs:
        refuse_special(path)
        if path.is_dir():
            taken = _search(path, found, without, apart)
            if not taken:
                raise FootageError(_nothing_in(path, found))
        elif path.is_file() or (is_here(path) and is_pattern(path)):
            taken = [path]
        elif kind := added_kind(path):
            raise FootageError(
                f"{path} ({kind.kind}) is not a file; it can be translated, but not used in any other way"
            )
        else:
            raise FootageError(_absent(path))
        for source in taken:
            sources.setdefault(_entry(source), source)
    found.sources = list(sources.values())
    return found


def find_sources(inputs: Sequence[Path]) -> list[Path]:
    """The sources that `find_footage` finds; raises the same errors."""
    return find_footage(inputs).sources


def images_in(folder: Path) -> list[Path]:
    """The numbered images that form the video of a folder, in numeric order.

    This is the only definition of a folder of numbered images. Raises FootageError, in one line, if the folder cannot
    be read, holds no numbered images, or if these are not frames: each is an animation, they have the names of videos
    in the folder, or there is a single one beside videos.
    """
    found = Found()
    try:
        images = numbered_images(folder)
        numbered = _unless_animations(folder, images)
        others = [path for path in folder.iterdir() if path not in numbered and not path.name.startswith(".")]
    except OSError as error:
        raise FootageError(f"cannot read {folder}: {error.strerror}") from error
    videos = [path for path in others if examine(path)[0] == "file" and _is_video(path, found)]
    if not numbered:
        advice = "; to translate its videos, give a folder as output" if videos else ""
        raise FootageError(f"{folder} holds no numbered images (png, jpg, bmp, webp, tif){advice}")
    if reason := _why_no_video(numbered, videos):
        raise FootageError(
            f"{folder} is a folder of videos, not of numbered images: {listed(sorted(path.name for path in numbered))} "
            f"({reason}); to translate the videos, give a folder as output"
        )
    return images


def beside_images(folder: Path) -> list[str]:
    """Everything else in a folder of numbered images, as `left_out_lines`; empty if the folder cannot be read."""
    try:
        found = find_footage([folder])
        images = numbered_images(folder)
    except (FootageError, OSError):
        return []  # the error is raised when the images are read
    rest = dict.fromkeys(found.sources, BESIDE) | found.left_out | found.failed
    for path in (folder, *images):
        rest.pop(path, None)
    return left_out_lines(relative_names(rest, folder))


def mixed_lines(names: Iterable[str]) -> list[str]:
    """One message for each folder whose images and videos are both taken."""
    return [
        f"{name} holds numbered images and videos: the images count as one video, and the videos are included too"
        for name in names
    ]


def left_out_lines(left_out: Mapping[str, str]) -> list[str]:
    """One message for each reason in `left_out` (name → reason), with the first names and the number of others."""
    groups: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        groups.setdefault(reason, []).append(name)
    lines = []
    for reason, names in groups.items():
        if reason == HIDDEN:
            lines.append(f"left out: {counted(len(names), HIDDEN)}")
            continue
        lines.append(f"left out: {listed(names)} ({reason})")
    return lines


def relative_names(paths: Mapping[Path, str], folder: Path) -> dict[str, str]:
    """`paths` with names relative to `folder` (as `recycle.names.plain`) as keys, in natural order."""
    names = {plain(path.relative_to(folder).as_posix()): reason for path, reason in paths.items()}
    return dict(sorted(names.items(), key=lambda item: natural_key(item[0])))


def _entry(path: Path) -> Path:
    """Normalise a path so that all spellings of it are equal; a link stays different from its target."""
    if not is_here(path):
        return path
    return path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()


def _absent(path: Path) -> str:
    kind, what = examine(path)
    if kind == "unreadable":
        return f"{path} {what}"
    return f"{path} is {what}" if path.is_symlink() else f"there is no file or folder {path}"


def _nothing_in(folder: Path, found: Found) -> str:
    reasons = [f"{path}: {reason}" for path, reason in found.failed.items()]
    reasons += left_out_lines(relative_names({p: r for p, r in found.left_out.items() if folder in p.parents}, folder))
    rest = f"; {'; '.join(reasons[:_SHOWN])}" if reasons else ""
    return f"{folder} holds no video and no numbered images (png, jpg, bmp, webp, tif){rest}"


def _search(top: Path, found: Found, without: Path | None, apart: bool) -> list[Path]:
    """The sources in `top` and its subfolders; everything else is added to `found`."""
    barred = None if without is None else without.resolve()
    sources: list[Path] = []
    made: set[Path] = set()
    left = [top]
    while left:
        here = left.pop()
        try:
            entries = sorted(here.iterdir(), key=lambda path: path.name)
        except OSError as error:
            if here == top:
                raise FootageError(f"cannot read {top}: {error.strerror}") from error
            if isinstance(error, FileNotFoundError):
                found.left_out[here] = GONE
            else:
                found.failed[here] = f"cannot be read: {error.strerror}"
            continue
        if here != top and any(path.name == TRANSLATIONS for path in entries):
            made |= _translations(here)
        files = []
        for path in entries:
            if path in made:
                found.left_out[path] = TRANSLATED
                continue
            if path.name.startswith("."):
                found.left_out[path] = HIDDEN
                continue
            kind, what = examine(path)
            if kind == "file":
                files.append(path)
            elif kind == "folder" and (barred is None or path.resolve() != barred):
                left.append(path)
            elif kind == "other":
                found.left_out[path] = what
            elif kind == "unreadable":
                found.failed[path] = what
        sources += _of_folder(here, files, found, apart)
    return sorted(sources, key=lambda path: natural_key(str(path)))


def _translations(folder: Path) -> set[Path]:
    """The outputs that the record of translations in `folder` lists; none if it is not such a record."""
    try:
        files = json.loads((folder / TRANSLATIONS).read_text(encoding="utf-8"))["files"].values()
        return {folder / original(entry["output"]) for entry in files if entry["output"]}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return set()


def _of_folder(here: Path, files: list[Path], found: Found, apart: bool) -> Iterator[Path]:
    """The sources among the `files` of one folder, and the folder itself (`apart`: its images) if it holds numbered
    images."""
    numbered = _numbered(here, files)
    videos = [path for path in files if path not in numbered and _is_video(path, found)]
    yield from videos
    if apart:
        yield from _single_images(files, numbered, videos, found)
    elif reason := _why_no_video(numbered, videos):
        found.left_out |= dict.fromkeys(numbered, reason)
    elif numbered:
        if videos:
            found.mixed.append(here)
        yield here


def _single_images(files: list[Path], numbered: frozenset[Path], videos: list[Path], found: Found) -> Iterator[Path]:
    """The images among `files` that are sources of their own: all but thumbnails of `videos` and a lone cover."""
    images = [path for path in files if path in numbered or found.left_out.get(path) == UNNUMBERED]
    stems = {path.stem for path in videos}
    own = [path for path in images if path.stem not in stems]
    for path in images:
        found.left_out.pop(path, None)
        if path.stem in stems:
            found.left_out[path] = THUMBNAIL
        elif videos and len(own) == 1:
            found.left_out[path] = LONE_IMAGE
        else:
            yield path


def _why_no_video(numbered: frozenset[Path], videos: list[Path]) -> str:
    """Why `numbered` images are not a video, given the `videos` beside them; '' if they are, or there are none."""
    stems = {path.stem for path in videos}
    if videos and numbered and all(path.stem in stems for path in numbered):
        return THUMBNAIL
    return LONE_IMAGE if videos and len(numbered) == 1 else ""


def _numbered(here: Path, files: list[Path]) -> frozenset[Path]:
    """The numbered images of a folder; empty if each of them is an animation."""
    if not any(path.suffix.lower() in IMAGE_SUFFIXES for path in files):
        return frozenset()
    try:
        return _unless_animations(here, numbered_images(here))
    except OSError:  # the error is reported when they are read
        return frozenset(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES)


def _unless_animations(folder: Path, images: list[Path]) -> frozenset[Path]:
    return frozenset() if images and is_here(folder) and all(map(_is_animated, images)) else frozenset(images)


def _is_animated(path: Path) -> bool:
    try:
        return sniff(path) in (None, WEBP)
    except OSError:
        return False


def _is_video(path: Path, found: Found) -> bool:
    """Whether a file is a video; if not, or if it cannot be read, the reason is added to `found`."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES or added_kind(path):
        return True
    if suffix in UNFINISHED:
        found.left_out[path] = INCOMPLETE
        return False
    try:
        what = sniff(path)
    except FileNotFoundError:
        what = GONE
    except Exception as error:
        if is_here(path) and not isinstance(error, OSError):
            raise  # remote file systems raise their own exceptions
        found.failed[path] = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        return False
    if what in (None, WEBP):
        return True
    found.left_out[path] = UNNUMBERED if what == IMAGE and suffix in IMAGE_SUFFIXES else what
    return False
