"""Records to which pipeline file a run's folder belongs: a copy of the file must not continue the run by accident.

The record `origin.json` holds the absolute path of the file, and its path relative to the run's folder. So a project
may be moved or copied as a whole. An included pipeline is recorded by its name. A folder has no record if an earlier
version of recycle or settings from Python made it; the first file that continues it takes it over.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from recycle.config import shipped_pipelines
from recycle.errors import ConfigError
from recycle.names import original, plain
from recycle.run_folder import RunFolder
from recycle.system.atomic import write_text
from recycle.system.disk import writing


def origin_of(file: Path) -> str:
    """The origin of a pipeline file: the name of an included one, else the absolute path as `plain` text."""
    with suppress(OSError):
        shipped = next((own for own in shipped_pipelines() if file.samefile(own)), None)
        if shipped is not None:
            return shipped.stem
    return plain(str(file.absolute()))


def check(where: RunFolder, origin: str | None) -> None:
    """Raise ConfigError if the run's folder belongs to another pipeline file that still exists.

    `origin` is that of `origin_of`; None, for settings from Python, is always accepted.
    """
    recorded = _recorded(where)
    if origin is None or recorded is None or not _began(where):
        return
    owner = _owner(where, recorded)
    if owner is None or owner == origin or _same(owner, origin):
        return
    if any(_same(candidate, origin) for candidate in _candidates(where, recorded)):
        return
    if _is_path(origin) and not Path(original(origin)).exists():  # no file was given, and none was chosen here
        raise ConfigError(
            f"{where.folder} is the run of the pipeline {owner}; to continue it, give that pipeline too; to train "
            "anew, give another --out"
        )
    raise ConfigError(
        f"{where.folder} is the run of the pipeline {owner}, not of {origin}; give another --out, or another name in "
        f"the file; to continue that run with this file, remove {where.origin}"
    )


def claim(where: RunFolder, origin: str | None) -> None:
    """Record that the run's folder belongs to `origin`; None records nothing.

    Raises ConfigError as `check`, and OutputError if the record cannot be written.
    """
    check(where, origin)
    if origin is None:
        return
    relative = os.path.relpath(original(origin), where.folder.resolve()) if _is_path(origin) else origin
    content = json.dumps({"pipeline": origin, "relative": plain(relative)}, indent=2) + "\n"
    with suppress(OSError, ValueError):
        if where.origin.read_text(encoding="utf-8") == content:
            return
    with writing(where.origin):
        write_text(where.origin, content)


def _began(where: RunFolder) -> bool:
    """Whether the folder holds a checkpoint, frames or footage, which would conflict with another pipeline."""
    return any(path.exists() for path in (where.checkpoint, where.frames, where.footage))


def _recorded(where: RunFolder) -> dict[str, str] | None:
    """The record of a run's folder; None if there is none or it cannot be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(where.origin.read_text(encoding="utf-8"))
        return {"pipeline": str(content["pipeline"]), "relative": str(content["relative"])}
    return None


def _candidates(where: RunFolder, recorded: dict[str, str]) -> list[str]:
    """The files to which the record may refer; the one at the relative path comes first."""
    if not _is_path(recorded["pipeline"]):
        return [recorded["pipeline"]]
    beside = where.folder.resolve() / original(recorded["relative"])
    return [plain(os.path.normpath(beside)), recorded["pipeline"]]


def _owner(where: RunFolder, recorded: dict[str, str]) -> str | None:
    """The existing file to which the record refers. None: it is gone, so any file may take over the run."""
    found = _candidates(where, recorded)
    return next((own for own in found if not _is_path(own) or Path(original(own)).is_file()), None)


def _same(one: str, other: str) -> bool:
    if not (_is_path(one) and _is_path(other)):
        return one == other
    with suppress(OSError):
        return Path(original(one)).samefile(original(other))
    return False


def _is_path(origin: str) -> bool:
    return Path(origin).is_absolute()
