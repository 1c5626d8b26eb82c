import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from recycle.cli.app import app
from recycle.errors import RecycleError
from recycle.system import waiting
from recycle.system.cores import cores

_BUSY = "while True: pass"
_SAYS = """
import os, sys
from recycle.system.waiting import choose_waiting
from recycle.system import waiting
waiting.busy_cores = lambda: float(sys.argv[1])
waiting.cores = lambda: int(sys.argv[2])
print(choose_waiting(), os.environ.get("OMP_WAIT_POLICY"))
"""


@pytest.fixture
def busy_machine() -> Iterator[None]:
    others = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(cores())]
    time.sleep(0.2)
    yield
    for other in others:
        other.kill()
        other.wait()


def _environment() -> dict[str, str]:
    """This process's, without what was chosen in it."""
    return {name: value for name, value in os.environ.items() if name not in (*waiting.CHOICES, "OMP_NUM_THREADS")}


def _chosen(busy: float, count: int, **environment: str) -> str:
    """What a fresh process chooses, in which torch is not loaded, where `busy` of `count` cores are at work."""
    command = [sys.executable, "-c", _SAYS, str(busy), str(count)]
    run = subprocess.run(command, env=_environment() | environment, capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.mark.skipif(not waiting._STAT.exists(), reason="the system does not say how busy it is")
def test_other_programs_at_work_are_seen(busy_machine: None) -> None:
    assert waiting.busy_cores() > 0.5


@pytest.mark.parametrize(
    ("busy", "count", "sleeps"),
    [(0.1, 2, False), (0.9, 2, True), (0.9, 16, False), (6, 16, True), (2, 1, False)],
)
def test_threads_sleep_where_other_programs_want_the_cores(busy: float, count: int, sleeps: bool) -> None:
    assert _chosen(busy, count) == ("True passive" if sleeps else "False None")


@pytest.mark.parametrize(
    "own", [{"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "1000"}, {"KMP_BLOCKTIME": "0"}, {"OMP_NUM_THREADS": "1"}]
)
def test_the_users_own_choice_stands(own: dict[str, str]) -> None:
    assert _chosen(2, 2, **own) == f"False {own.get('OMP_WAIT_POLICY')}"


def test_a_system_that_does_not_say_how_busy_it_is_counts_as_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_STAT", waiting._STAT / "none")
    assert waiting.busy_cores() == 0


def test_a_training_beside_other_programs_says_that_its_threads_sleep(busy_machine: None, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "recycle", "train", "absent.toml"]
    run = subprocess.run(command, env=_environment(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "threads of this training sleep" in run.stdout
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(("words", "watched"), [(["train"], True), (["run"], True), ([], False)])
@pytest.mark.parametrize("plan", [False, True])
def test_only_a_training_is_kept_waiting_to_watch_the_machine(
    words: list[str], watched: bool, plan: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan and what trains nothing begin at once."""
    calls: list[bool] = []

    def choose() -> bool:
        calls.append(True)
        return False

    monkeypatch.setattr(waiting, "choose_waiting", choose)
    given = [*words, *(["--plan"] if plan and words else []), *([] if words else ["pipelines"])]
    with suppress(RecycleError):  # without footage nothing is chosen
        app(given, standalone_mode=False)
    assert bool(calls) == (watched and not plan)
