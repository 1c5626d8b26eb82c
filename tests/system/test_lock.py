"""A lock excludes other processes while its process lives, and leaves no file."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recycle.system.lock import Busy, only_one

HOLD = """
import sys
from pathlib import Path
from recycle.system.lock import only_one
with only_one(Path(sys.argv[1]), "held"):
    print("held", flush=True)
    sys.stdin.readline()
"""
WITHOUT_LOCKS = """
import errno, fcntl, os, sys
def flock(descriptor, how):
    raise OSError(getattr(errno, sys.argv[2]), "no locks")
fcntl.flock = flock
"""


@contextmanager
def holder(file: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "lock"
    with holder(file) as process:
        with pytest.raises(Busy, match="come later"), only_one(file, "come later"):
            pass
        assert file.exists(), "the refused one has not removed it"
        process.communicate("\n")
    assert not file.exists()
    with only_one(file, "come later"):
        pass


def test_a_killed_process_releases_the_lock(tmp_path: Path) -> None:
    with holder(tmp_path / "lock") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (tmp_path / "lock").exists()
    with only_one(tmp_path / "lock", "come later"), pytest.raises(Busy), only_one(tmp_path / "lock", "come later"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", ["ENOLCK", "ENOTSUP", "ENOSYS"])
def test_work_runs_on_a_file_system_without_locks(tmp_path: Path, code: str) -> None:
    command = [sys.executable, "-c", WITHOUT_LOCKS + HOLD, str(tmp_path / "lock"), code]
    done = subprocess.run(command, input="\n", capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "held\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), only_one(tmp_path / "lock", ""):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_an_unwritable_folder_raises_permission_error() -> None:
    code = (
        "import os, sys; from pathlib import Path; from recycle.system.lock import only_one\n"
        "os.setuid(65533)\n"
        "try:\n    only_one(Path(sys.argv[1]), 'busy').__enter__()\nexcept OSError as error:\n    print(error.errno)"
    )
    with tempfile.TemporaryDirectory() as folder:  # pytest's own lie where nobody else may look
        Path(folder).chmod(0o755)
        command = [sys.executable, "-c", code, f"{folder}/lock"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == f"{errno.EACCES}\n", done.stderr
