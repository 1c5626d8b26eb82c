"""The record of a folder: correct after every change, kill and power failure, at constant cost."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recycle.batch.ledger import LEDGER, Entry, Ledger, open_ledger
from recycle.errors import OutputError
from recycle.names import plain
from recycle.system.lock import LOCK, Busy
from recycle.system.places import place

DONE = Entry(state="done", frames=3, size=7, key="k" * 64)


def content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / LEDGER).read_text(encoding="utf-8"))
    return found


def states(folder: Path) -> dict[str, str]:
    return {name: entry["state"] for name, entry in content(folder)["files"].items()}


def test_a_change_is_written_immediately_at_constant_cost(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.set({f"{number}.mp4": Entry(key="k" * 64) for number in range(2000)})
    before = (tmp_path / LEDGER).stat()
    for number in range(50):
        ledger.set({f"{number}.mp4": DONE})
        assert content(tmp_path)["files"][f"{number}.mp4"]["state"] == "done"
    after = (tmp_path / LEDGER).stat()
    assert after.st_ino == before.st_ino, "it was rewritten"
    assert after.st_size - before.st_size < 50 * 400
    ledger.close()
    assert list(states(tmp_path)) == sorted(f"{number}.mp4" for number in range(2000))
    assert (tmp_path / LEDGER).read_text().count('"1.mp4"') == 1


def test_the_file_size_is_bounded(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.set({"a": DONE, "b": DONE})
    for number in range(1000):
        ledger.set({"a": DONE.model_copy(update={"frames": number})})
    assert (tmp_path / LEDGER).read_text().count("\n") < 300
    assert content(tmp_path)["files"]["a"]["frames"] == 999


@given(
    st.dictionaries(st.text(max_size=8) | st.binary(max_size=5).map(os.fsdecode), st.text(max_size=8), min_size=1),
    st.text(max_size=8) | st.binary(max_size=5).map(os.fsdecode),
)
def test_any_names_and_reasons_can_be_read_back(
    tmp_path_factory: pytest.TempPathFactory, reasons: dict[str, str], added: str
) -> None:
    folder = tmp_path_factory.mktemp("out")
    entries = {plain(name): Entry(state="failed").model_copy(update={"reason": text}) for name, text in reasons.items()}
    ledger = Ledger(folder)
    ledger.set(entries, left_out={added: added})
    ledger.set({plain(added): DONE})
    read = Ledger(folder)
    assert {name: read.get(name) for name in entries} == entries | {k: DONE for k in entries if k == plain(added)}
    assert read.get(plain(added)) == DONE
    assert content(folder)["left_out"] == {plain(added): {"count": 1, "names": [plain(added)]}}


def test_a_truncated_record_loses_only_its_end(tmp_path: Path) -> None:
    """It may be truncated at any byte."""
    ledger = Ledger(tmp_path)
    ledger.set({"a": DONE, "b": DONE})
    whole = (tmp_path / LEDGER).read_bytes()
    ledger.set({"c": DONE.model_copy(update={"reason": "ü\u2028"})})
    grown = (tmp_path / LEDGER).read_bytes()
    for cut in range(len(whole) - 5, len(grown)):
        for rest in (b"", b"\0" * 40, grown[cut:][:20][::-1]):
            (tmp_path / LEDGER).write_bytes(grown[:cut] + rest)
            again = Ledger(tmp_path)
            assert (again.get("a"), again.get("b")) == (DONE, DONE)
            again.set({"d": DONE})
            assert states(tmp_path)["d"] == "done"


def test_a_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    entry = {"state": "done", "reason": "", "output": "a.mp4", "size": 3, "frames": 1, "concealed": 0}
    old = {"version": 1, "files": {"a.mp4": {**entry, "seconds": 0.1, "notices": ["x"], "key": "k"}}}
    (tmp_path / LEDGER).write_text(json.dumps(old, indent=1) + "\n")
    ledger = Ledger(tmp_path)
    assert ledger.get("a.mp4").notices == ("x",)
    ledger.set({"b.mp4": DONE, "c.mp4": DONE})
    assert states(tmp_path) == {"a.mp4": "done", "b.mp4": "done", "c.mp4": "done"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 2, "files": {}}', '{"version": 1, "files": {"a": {"state": "x"}}}', "null"]
)
def test_a_file_that_is_not_a_record_is_unchanged(tmp_path: Path, text: str) -> None:
    (tmp_path / LEDGER).write_text(text)
    with pytest.raises(OutputError, match="move it away to start over"):
        Ledger(tmp_path)
    assert (tmp_path / LEDGER).read_text() == text


def test_a_named_pipe_is_not_a_record(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LEDGER)
    with pytest.raises(OutputError, match="move it away to start over"):
        Ledger(tmp_path)


WRITER = """
import sys
from pathlib import Path
from recycle.batch.ledger import Entry, open_ledger
names = [f"{number}.mp4" for number in range(200)]
with open_ledger(Path(sys.argv[1])) as ledger:
    ledger.set({name: Entry() for name in names})
    for round in range(1_000_000):
        name = names[round % len(names)]
        ledger.set({name: Entry(state="running", frames=round)})
        ledger.set({name: Entry(state="done", frames=round)})
        print(round, flush=True)
"""


def start_writer(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)


def test_after_sigkill_the_record_has_all_reported_changes(tmp_path: Path) -> None:
    for attempt in range(4):
        with start_writer(tmp_path) as process:
            assert process.stdout is not None
            for _ in range(30 + 17 * attempt):
                said = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            said = int(([str(said), *process.stdout.read().split()])[-1])
        found = content(tmp_path)["files"]
        assert len(found) == 200
        assert found[f"{said % 200}.mp4"]["frames"] >= said
        assert (tmp_path / LOCK).exists()
        with open_ledger(tmp_path) as ledger:
            assert ledger.get(f"{said % 200}.mp4").state in ("done", "waiting")
        assert [path.name for path in tmp_path.iterdir()] == [LEDGER]


def test_a_second_process_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with start_writer(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        refusal = f"another recycle process is translating into {re.escape(str(tmp_path))}; wait for it, or stop it"
        with pytest.raises(Busy, match=refusal), open_ledger(tmp_path):
            pass
        process.kill()


def test_a_remote_record_is_locked_on_this_machine_and_uploaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("upath")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    there = place("memory://ledger-test/out")
    with open_ledger(there) as ledger:
        ledger.set({f"{number}": Entry() for number in range(5)})
        with pytest.raises(Busy), open_ledger(there):
            pass
        for number in range(5):
            ledger.set({f"{number}": DONE})
    assert set(states(there).values()) == {"done"}
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A folder on a file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def test_a_full_disk_leaves_a_correct_record(small_disk: Path) -> None:
    ledger = Ledger(small_disk)
    ledger.set({"a": DONE, "b": DONE, "c": DONE})
    with pytest.raises(OSError, match="No space left"):
        fill(small_disk)
    written: list[int] = []

    def write() -> None:
        for number in range(1000):
            ledger.set({"a": DONE.model_copy(update={"frames": number})})
            written.append(number)

    with pytest.raises(OutputError, match=r"translate.json: No space left"):
        write()
    assert written, "the last page of the file has room for a few"
    assert states(small_disk) == {"a": "done", "b": "done", "c": "done"}
    assert content(small_disk)["files"]["a"]["frames"] == written[-1]
    ledger.close()
    assert Ledger(small_disk).get("a").frames == written[-1]
    (small_disk / "filler").unlink()
    ledger.set({"a": DONE})
    ledger.close()
    assert Ledger(small_disk).get("a") == DONE
