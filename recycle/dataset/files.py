"""Lists of many files in little memory."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray


class Files(Sequence[Path]):
    """Files of one folder, in order. Each takes only the bytes of its name: thirty hours of footage are millions of
    files."""

    def __init__(self, folder: Path, names: NDArray[np.bytes_]) -> None:
        self.folder, self._names = folder, names

    @classmethod
    def of(cls, folder: Path, names: Iterable[str]) -> "Files":
        """The files with these names in `folder`."""
        return cls(folder, np.array([os.fsencode(name) for name in names], dtype=np.bytes_))

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> "Files": ...
    def __getitem__(self, index: int | slice) -> "Path | Files":
        if isinstance(index, slice):
            return Files(self.folder, self._names[index])
        return self.folder / os.fsdecode(bytes(self._names[index]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Files) and self.folder == other.folder and np.array_equal(self._names, other._names)

    def __hash__(self) -> int:
        return hash((self.folder, len(self)))
