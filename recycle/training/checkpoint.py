"""Checkpoints: everything that a run needs to continue exactly, in one file that is written atomically.

The file is a zip archive as written by torch.save, with the SHA-256 of its bytes as the archive's comment, because
torch.load does not detect flipped bits. The previous checkpoint is kept beside it.
"""

import hashlib
import os
import re
import shlex
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from recycle.errors import BundleError
from recycle.system.atomic import atomic_path, flush
from recycle.system.disk import writing
from recycle.system.out_of_memory import is_out_of_memory

FORMAT = 3
"""`format` of checkpoints that this version can continue; incremented when older ones become unreadable."""

_UNKNOWN = "it is cut short, damaged, or not a checkpoint of recycle"
_SEAL = re.compile(rb"recycle sha256 ([0-9a-f]{64})")
_SEAL_SIZE = len("recycle sha256 ") + 64
_END, _END_SIZE = b"PK\x05\x06", 22
"""Signature and size of the record that ends a zip archive; its last two bytes are the length of the comment."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists and dicts) to `path`, atomically.

    The existing checkpoint becomes `previous_of(path)`. A process that is killed at any moment leaves an intact
    checkpoint at one of the two paths. Raises OutputError if the file cannot be written; both files are then unchanged.
    """
    with writing(path), atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            hashed: Any = _Hashed(file)
            try:
                torch.save({**state, "format": FORMAT}, hashed)
            except RuntimeError as error:  # torch replaces the error of the file by its own
                raise (hashed.error or error) from None
            _seal(file, hashed.digest.hexdigest())
        flush(temporary)
        _keep(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load what `save_checkpoint` wrote to the CPU, without executing code from the file.

    A checkpoint of an older version without SHA-256 is checked by the CRC-32s of its archive. Raises BundleError if the
    file is damaged or contains numbers that are not finite; the message names the previous checkpoint if that is
    intact. A run never starts over silently.
    """
    try:
        return _read(path)
    except _DamagedError as error:
        raise BundleError(f"cannot read the checkpoint {path} ({error}); {_way_out(path)}") from error


def previous_of(path: Path) -> Path:
    """Path of the previous checkpoint."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def not_finite(state: Mapping[str, Any]) -> str | None:
    """Name of the first tensor of a run's state that holds NaN or infinity; None if all are finite.

    The recorded observations (`health`) are not checked.
    """
    for name, tensor in _tensors({key: part for key, part in state.items() if key != "health"}):
        # A sum is finite only if all terms are; computing it takes a tenth of the time.
        if tensor.is_floating_point() and not (tensor.sum().isfinite() or tensor.isfinite().all()):
            return name
    return None


class _DamagedError(Exception):
    """A file is not an intact checkpoint; the message states why."""


class _Hashed:
    """A file that is written sequentially; it hashes all bytes and keeps the error of a failed write."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            self.error = error
            raise


def _seal(file: BinaryIO, digest: str) -> None:
    """Append the SHA-256 of all bytes so far, as the comment of the zip archive."""
    file.seek(-2, os.SEEK_END)
    file.write(_SEAL_SIZE.to_bytes(2, "little") + f"recycle sha256 {digest}".encode())


def _keep(path: Path) -> None:
    """Make the checkpoint at `path`, if it exists, also the previous one; `path` keeps its name."""
    previous = previous_of(path)
    spare = previous.with_name(f".{previous.stem}.{os.getpid()}.partial{previous.suffix}")
    if not path.exists():
        return
    spare.unlink(missing_ok=True)
    try:
        os.link(path, spare)
        spare.replace(previous)
        spare.unlink(missing_ok=True)  # replace does nothing if both are names of one file
    except OSError:  # a file system without hard links
        path.replace(previous)


def _read(path: Path) -> dict[str, Any]:
    try:
        _check(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except _DamagedError:
        raise
    except OSError as error:
        raise _DamagedError(error.strerror or str(error)) from error
    except Exception as error:  # unpickling raises many types
        if is_out_of_memory(error):
            raise BundleError(f"not enough memory to read the checkpoint {path}; close other programs") from error
        raise _DamagedError(_UNKNOWN) from error
    if not isinstance(state, dict):
        raise _DamagedError(_UNKNOWN)
    if (name := not_finite(state)) is not None:
        raise _DamagedError(f"{name} holds numbers that are not finite")
    return state


def _check(path: Path) -> None:
    """Check the file by its SHA-256, or by the CRC-32s in its archive if it has none."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _SEAL_SIZE - 2))
        length, seal = file.read(2), _SEAL.fullmatch(file.read())
        if seal is not None:
            file.seek(0)
            digest = hashlib.sha256()
            for block in _blocks(file, size - _SEAL_SIZE - 2):
                digest.update(block)
            digest.update(bytes(2))  # the length of the comment before it was added
            if digest.hexdigest().encode() != seal[1] or length != _SEAL_SIZE.to_bytes(2, "little"):
                raise _DamagedError("it is damaged: its SHA-256 does not match")
            return
        file.seek(max(0, size - _END_SIZE))
        end = file.read()
        if not end.startswith(_END) or not end.endswith(bytes(2)):  # the length of a comment that is not there
            raise _DamagedError(_UNKNOWN)
    with zipfile.ZipFile(path) as archive:
        if (name := archive.testzip()) is not None:
            raise _DamagedError(f"it is damaged: the CRC-32 of {name} does not match")


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (block := file.read(min(size, 1 << 20))):
        size -= len(block)
        yield block


def _way_out(path: Path) -> str:
    previous = previous_of(path)
    if not previous.exists():
        return "restore it from a copy, or move it away to start over"
    try:
        step = _read(previous).get("step")
    except _DamagedError:
        return f"{previous.name} is damaged, too: restore one from a copy, or move both away to start over"
    move = shlex.join(["mv", str(previous), str(path)])
    return f"the previous checkpoint, of step {step}, is intact: to use it, run: {move} and then the same command"


def _tensors(part: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors within dicts and lists, with their dotted names."""
    if isinstance(part, Tensor):
        yield name, part
    elif isinstance(part, Mapping):
        for key, value in part.items():
            yield from _tensors(value, f"{name}.{key}" if name else str(key))
    elif isinstance(part, list | tuple):
        for number, value in enumerate(part):
            yield from _tensors(value, f"{name}.{number}")
