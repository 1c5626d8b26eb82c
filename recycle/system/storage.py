"""Remote files: downloads footage before it is decoded, and uploads complete results."""

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
    """Yield local paths for `source` and `output`; a path that is already local is yielded unchanged.

    A remote source is downloaded into a private folder of the temporary directory, named by `key` and both paths. A
    remote output is uploaded after the body, under a temporary name first, so that it appears complete. If the body
    raises, unfinished work remains in the folder, so that it can be continued on this machine. Raises FootageError if
    the source cannot be downloaded, OutputError if the output cannot be uploaded.
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
        begun = [local_output, *(hidden(local_output, f"{kind}.recycle") for kind in ("", local_output.suffix))]
        if not any(path.exists() for path in begun):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def write_record(final: Path, text: str) -> None:
    """Write `text` as UTF-8 to `final`, a local path or a URL, so that it appears complete. Raises OutputError on
    failure."""
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
    except Exception as error:  # each file system raises its own exception types
        raise FootageError(f"cannot download {source}: {_one_line(error)}") from error


def _upload(local: Path, final: Path) -> None:
    temporary = final.with_name(f".{final.name}.partial")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _copy(local, temporary)
        temporary.rename(final)
    except Exception as error:
        raise OutputError(f"cannot write {final}: {_one_line(error)}") from error


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as write:
        shutil.copyfileobj(read, write, 1 << 22)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())
