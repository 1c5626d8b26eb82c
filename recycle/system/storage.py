"""Files that lie elsewhere: footage is fetched before it is decoded, results are uploaded when they are complete."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recycle.errors import FootageError, OutputError
from recycle.system.atomic import atomic_path, hidden, write_text
from recycle.system.places import file_name, is_here
from recycle.system.private import scratch_folder


@contextmanager
def workplace(source: Path, output: Path, key: str) -> Iterator[tuple[Path, Path]]:
    """Local paths for `source` and `output`, to work with; these themselves where they are local.

    What lies elsewhere is fetched into a private folder of the temporary directory, named by `key` and both paths.
    The output is uploaded at the end, by another name first, so that it appears complete. The folder remains if
    the body raises, so that the work can be continued on this machine. Raises FootageError or OutputError if the other
    side cannot be reached.
    """
    if is_here(source) and is_here(output):
        yield source, output
        return
    name = hashlib.sha256(f"{key} {source} {output}".encode()).hexdigest()[:32]
    folder = scratch_folder() / name
    local_source = source if is_here(source) else folder / "in" / file_name(source)
    local_output = output if is_here(output) else folder / "out" / file_name(output)
    if not is_here(source):
        _fetch(source, local_source)
    try:
        yield local_source, local_output
        if not is_here(output):
            try:
                _upload(local_output, output)
            except OutputError as error:
                raise OutputError(f"{error}; the finished file is kept as {local_output}") from error
    except BaseException:
        begun = [local_output, hidden(local_output, ".recycle")]
        if not any(path.exists() for path in begun):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def write_record(final: Path, text: str) -> None:
    """Write `text` (UTF-8) to `final`, here or elsewhere, so that it appears complete. Raises OutputError."""
    if is_here(final):
        try:
            write_text(final, text)
        except OSError as error:
            raise OutputError(f"cannot write {final}: {error.strerror or error}") from error
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "record"
        file.write_text(text, encoding="utf-8")
        _upload(file, final)


def _fetch(source: Path, local: Path) -> None:
    if local.exists():
        return
    try:
        if source.is_dir():
            with atomic_path(local) as temporary:
                temporary.mkdir()
                for file in source.iterdir():
                    if file.is_file():
                        _copy(file, temporary / file.name)
        else:
            with atomic_path(local) as temporary:
                _copy(source, temporary)
    except Exception as error:  # each file system has errors of its own
        raise FootageError(f"cannot fetch {source}: {_told(error)}") from error


def _upload(local: Path, final: Path) -> None:
    temporary = final.with_name(f".{final.name}.partial")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _copy(local, temporary)
        temporary.rename(final)
    except Exception as error:
        raise OutputError(f"cannot write {final}: {_told(error)}") from error


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as write:
        shutil.copyfileobj(read, write, 1 << 22)


def _told(error: Exception) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())
