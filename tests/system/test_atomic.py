"""Atomic writes appear complete, even if the file system cannot flush folders."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recycle.system.atomic import write_text

SIMULATION = """
import errno, os, stat, sys
real = os.fsync
def fsync(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode) == (sys.argv[1] == "folder"):
        number = getattr(errno, sys.argv[2])
        raise OSError(number, os.strerror(number))
    real(descriptor)
os.fsync = fsync
from pathlib import Path
from recycle.system.atomic import write_text
write_text(Path(sys.argv[3]), "whole")
"""


def write_with(failing: str, code: str, final: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", SIMULATION, failing, code, str(final)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("code", ["EINVAL", "ENOTSUP", "EBADF", "EIO"])
def test_a_folder_that_cannot_be_flushed_is_accepted(tmp_path: Path, code: str) -> None:
    done = write_with("folder", code, tmp_path / "deep" / "file")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "deep" / "file").read_text() == "whole"


def test_a_full_disk_while_flushing_a_folder_fails(tmp_path: Path) -> None:
    done = write_with("folder", "ENOSPC", tmp_path / "file")
    assert done.returncode == 1
    assert os.strerror(errno.ENOSPC) in done.stderr


@pytest.mark.parametrize("code", ["EINVAL", "EIO"])
def test_a_file_that_cannot_be_flushed_fails(tmp_path: Path, code: str) -> None:
    done = write_with("file", code, tmp_path / "file")
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_not_utf8_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "caf\udce9")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "caf\\udce9"
