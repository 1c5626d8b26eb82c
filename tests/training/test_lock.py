"""One training at a time in a run's folder; the lock ends with its process."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recycle.config import FootageSettings
from recycle.errors import FootageError, OutputError
from recycle.run_folder import RunFolder
from recycle.runs.pipeline import learn
from recycle.runs.pipeline import run as run_all
from recycle.training.fabric import make_fabric
from recycle.training.lock import alone_in
from tests.jobs import saying
from tests.training.test_loop import footage, run
from tests.training.test_memory import small

__all__ = ["footage"]

HOLD = """
import sys
from pathlib import Path
from recycle.system.lock import only_one
with only_one(Path(sys.argv[1]), "held"):
    print(flush=True)
    sys.stdin.read()
"""


def refusing(folder: Path) -> Any:
    return pytest.raises(
        OutputError, match=f"^another recycle process is using {folder}; wait for it, stop it, or give"
    )


def ways(footage: tuple[Path, Path], folder: Path) -> list[Callable[[], object]]:
    """What `recycle train` (and distill), `recycle run` and Python call; with footage that is not there, which is an
    error if it is looked for."""
    missing = small().model_copy(update={"footage": FootageSettings(a=(folder / "no",), b=(folder / "no",))})
    return [
        lambda: learn(missing, RunFolder(folder)),
        lambda: run_all(missing, folder),
        lambda: run(small(steps=2), footage, folder),
    ]


def test_a_second_training_is_an_error_until_the_first_has_ended(footage: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(small(steps=1), footage, folder)
    command = [sys.executable, "-c", HOLD, str(folder / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        for way in ways(footage, folder):
            with refusing(folder):
                way()
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    *others, train = ways(footage, folder)
    for way in others:
        with pytest.raises(FootageError):
            way()
    train()
    assert (folder / "checkpoint.pt").stat().st_mtime_ns > before[folder / "checkpoint.pt"]


def test_a_training_within_a_run_shares_its_lock_and_other_folders_are_free(tmp_path: Path) -> None:
    fabric = make_fabric("cpu", "fp32")
    said: list[str] = []
    with alone_in(tmp_path / "one", fabric, saying(said)):
        with alone_in(tmp_path / "one", fabric, saying(said)), alone_in(tmp_path / "other", fabric, saying(said)):
            pass
        with (tmp_path / "one" / ".lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not (tmp_path / "one" / ".lock").exists()
    assert said == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_reported_and_used(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    said: list[str] = []
    with alone_in(tmp_path, make_fabric("cpu", "fp32"), saying(said)):
        assert said == [f"{tmp_path} is on a file system without locks: make sure that no other training runs in it"]


def test_a_folder_that_cannot_be_created_is_a_one_line_error(footage: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write .*file/run: .*run the same command again"):
        run(small(), footage, tmp_path / "file" / "run")
