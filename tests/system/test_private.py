"""Private folders: a link, another user's folder and a folder writable by others are never used."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from recycle.errors import OutputError
from recycle.system.private import make_private, scratch_folder


def link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.symlink_to(path.parent / "elsewhere")


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")


def writable_by_group(path: Path) -> None:
    path.mkdir()
    path.chmod(0o770)


def writable_by_all(path: Path) -> None:
    path.mkdir()
    path.chmod(0o1777)


def of_another(path: Path) -> None:
    path.mkdir(mode=0o700)
    try:
        os.chown(path, 65534, 65534)
    except PermissionError:
        pytest.skip("only root can give a folder away")


HOSTILE = [link, dangling, writable_by_group, writable_by_all, of_another, Path.touch, os.mkfifo]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary directory in this test."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_folder_that_is_not_private_is_not_touched(hostile: Callable[[Path], None], temporary: Path) -> None:
    taken = temporary / f"recycle-{os.geteuid()}"
    hostile(taken)
    before = taken.lstat()
    with pytest.raises(OSError, match=r"not a private folder|File exists|Not a directory"):
        make_private(taken)
    folder = scratch_folder()
    assert folder == temporary / f"recycle-{os.geteuid()}-1"
    assert stat.S_IMODE(folder.lstat().st_mode) == 0o700
    assert not folder.is_symlink()
    assert (taken.lstat().st_mode, taken.lstat().st_uid) == (before.st_mode, before.st_uid)
    assert not (temporary / "elsewhere").exists() or not list((temporary / "elsewhere").iterdir())
    assert scratch_folder() == folder  # so that work goes on


def test_an_own_folder_is_used_and_made_private(temporary: Path) -> None:
    ours = temporary / f"recycle-{os.geteuid()}"
    ours.mkdir(mode=0o755)
    (ours / "kept").touch()
    assert scratch_folder() == ours
    assert stat.S_IMODE(ours.stat().st_mode) == 0o700
    assert (ours / "kept").exists()


def test_if_all_names_are_taken_the_error_is_one_line(temporary: Path) -> None:
    for name in ("", *(f"-{number}" for number in range(1, 10))):
        (temporary / f"recycle-{os.geteuid()}{name}").touch()
    with pytest.raises(OutputError, match=r"cannot create a private folder for temporary .*; set TMPDIR") as error:
        scratch_folder()
    assert "\n" not in str(error.value)


def test_a_umask_of_zero_leaves_it_private(temporary: Path) -> None:
    before = os.umask(0)
    try:
        assert stat.S_IMODE(scratch_folder().stat().st_mode) == 0o700
    finally:
        os.umask(before)
