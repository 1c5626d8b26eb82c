"""The folder of one extracted source: its manifest, its name, and whether it may be replaced."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from recycle.errors import FootageError
from recycle.names import plain
from recycle.plural import counted

MANIFEST = "manifest.json"
MASKS = "masks"
"""Folder of masks beside the frames of a source."""


class ManifestFrame(BaseModel):
    """One extracted frame."""

    model_config = ConfigDict(frozen=True)
    file: str
    """Name of the image file in the folder."""
    shot: int
    """Number of its shot, from 0."""
    pts: int
    """Timestamp in the source, in units of the time base."""


class Manifest(BaseModel):
    """What was extracted from one source, and with which settings."""

    model_config = ConfigDict(frozen=True)
    source: str
    """Absolute path of the source, as `recycle.names.plain` text."""
    fingerprint: str
    """`recycle.video.fingerprint.fingerprint` of the source."""
    settings: dict[str, Any]
    """The settings of the extraction."""
    width: int
    """Width of the extracted frames in pixels."""
    height: int
    """Height of the extracted frames in pixels."""
    rotation: int
    """Rotation of the source in degrees counter-clockwise; already applied to the frames."""
    time_base: str
    """Seconds per unit of `pts`, as a fraction: '1/12800'."""
    modified: int = 0
    """`recycle.video.fingerprint.modified` of the source; 0 if unknown, as in manifests of earlier versions."""
    grey: bool = False
    """Whether the source has one channel; its frames repeat it. False in manifests of earlier versions."""
    content: str = ""
    """`recycle.video.fingerprint.content` of the source; '' in manifests of earlier versions."""
    masks: str = ""
    """`recycle.video.masks.identify` of the masks, which are in the folder MASKS under the names of their frames with
    the suffix .png; '' if there are none."""
    frames: tuple[ManifestFrame, ...]
    """The extracted frames in order. If a listed file is missing because a person deleted it, the shot ends there."""


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of an extracted source; None if `folder` has no valid one."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None


def manifests_in(folder: Path) -> Iterator[Path]:
    """The manifests in a folder and its subfolders; a hidden folder is an extraction that did not finish."""
    return (path for path in folder.glob(f"**/{MANIFEST}") if not path.parent.name.startswith("."))


def is_extracted(path: Path) -> bool:
    """Whether a path is a folder of frames that `recycle extract` wrote."""
    return path.is_dir() and any(manifests_in(path))


def folder_name(source: Path, digest: str) -> str:
    """Name of a source's folder: the name of the source and 8 hex digits of `digest`, so that equal names do not
    collide."""
    name = plain(source.resolve().name if source.is_dir() else source.stem)
    name = re.sub(r"[\x00-\x1f]", "_", name.lstrip(".")) or "video"
    short = name.encode()[:180].decode("utf-8", "ignore")
    return f"{short}-{digest[:8]}"


def check_untouched(folder: Path, manifest: Manifest) -> None:
    """Raise FootageError if a person deleted, changed or added files in the folder: such a folder is not replaced."""
    written = (folder / MANIFEST).stat().st_mtime  # the manifest is written after all frames
    listed = {frame.file for frame in manifest.frames}
    found = {path.name: path for path in folder.iterdir() if not path.name.startswith(".")}
    added = sorted(found.keys() - listed - {MANIFEST} - ({MASKS} if manifest.masks else set()))
    changed = [name for name in listed & found.keys() if found[name].stat().st_mtime > written + 1]
    deleted = len(listed - found.keys())
    if added:
        problem = f"holds files that extraction did not write, such as {added[0]}"
    elif changed:
        problem = f"holds {counted(len(changed), 'frame')} changed after extraction, such as {min(changed)}"
    elif deleted:
        problem = f"lacks {counted(deleted, 'frame')} deleted by hand, which another extraction would restore"
    else:
        return
    raise FootageError(
        f"{folder} was extracted with other settings and {problem}; move it away or choose another folder"
    )
