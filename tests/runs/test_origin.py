"""A run's folder belongs to one pipeline file: copies are refused, moved and copied projects go on."""

import json
import shutil
from pathlib import Path

import pytest

from recycle.config import find_pipeline
from recycle.errors import ConfigError
from recycle.events import Job
from recycle.run_folder import RunFolder
from recycle.runs.choice import Task, open_task
from recycle.runs.origin import check, claim, origin_of
from recycle.runs.wishes import Wishes


def project(folder: Path) -> tuple[Path, RunFolder]:
    """A pipeline file, and its run's folder, in which training has begun."""
    (folder / "runs" / "task").mkdir(parents=True)
    file, where = folder / "task.toml", RunFolder(folder / "runs" / "task")
    file.write_text('name = "task"\n')
    claim(where, origin_of(file))
    where.checkpoint.write_bytes(b"begun")
    return file, where


def test_the_same_file_goes_on_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, where = project(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.toml").symlink_to(file)
    for name in (file, Path("task.toml"), Path("runs/../task.toml"), tmp_path / "link.toml"):
        check(where, origin_of(name))
        claim(RunFolder(Path("runs/task")), origin_of(name))
    file.write_text('name = "task"\n[train]\nsteps = 9\n')  # edited
    check(where, origin_of(file))


@pytest.mark.parametrize("changed", [False, True])
def test_a_copy_and_another_file_are_refused_with_a_remedy(tmp_path: Path, changed: bool) -> None:
    file, where = project(tmp_path)
    before = where.origin.read_bytes()
    copy = tmp_path / "elsewhere" / "task.toml"
    copy.parent.mkdir()
    copy.write_text(file.read_text() + "# another one\n" * changed)
    for refused in (check, claim):
        with pytest.raises(ConfigError, match="give another --out, or another name in the file") as caught:
            refused(where, origin_of(copy))
        message = str(caught.value)
        assert message.startswith(f"{where.folder} is the run of the pipeline {file}, not of {copy};")
        assert f"remove {where.origin}" in message
        assert "\n" not in message
    assert where.origin.read_bytes() == before
    where.origin.unlink()  # the remedy
    claim(where, origin_of(copy))
    with pytest.raises(ConfigError, match="elsewhere"):
        check(where, origin_of(file))


def test_a_project_that_was_moved_goes_on(tmp_path: Path) -> None:
    file, where = project(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    file, where = tmp_path / "new" / "task.toml", RunFolder(tmp_path / "new" / "runs" / "task")
    claim(where, origin_of(file))
    assert json.loads(where.origin.read_text())["pipeline"] == str(file)
    where.folder.rename(tmp_path / "away")  # the run's folder alone, to a larger disk
    check(RunFolder(tmp_path / "away"), origin_of(file))
    file.rename(tmp_path / "renamed.toml")  # the file alone
    check(RunFolder(tmp_path / "away"), origin_of(tmp_path / "renamed.toml"))


def test_a_project_that_was_copied_as_a_whole_goes_on_for_itself(tmp_path: Path) -> None:
    file, where = project(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    other = RunFolder(tmp_path / "two" / "runs" / "task")
    claim(other, origin_of(tmp_path / "two" / "task.toml"))
    check(where, origin_of(file))
    with pytest.raises(ConfigError, match="is the run of the pipeline"):
        check(other, origin_of(file))
    with pytest.raises(ConfigError, match="is the run of the pipeline"):
        check(where, origin_of(tmp_path / "two" / "task.toml"))


def test_an_older_folder_is_adopted_and_an_empty_one_is_free(tmp_path: Path) -> None:
    file, where = project(tmp_path)
    other = tmp_path / "other.toml"
    other.touch()
    for content in (None, "{", "[]", '{"pipeline": 3}'):  # no record, or none that anyone could read
        where.origin.unlink()
        if content is not None:
            where.origin.write_text(content)
        check(where, origin_of(other))
        claim(where, origin_of(other))
        with pytest.raises(ConfigError):
            check(where, origin_of(file))
    where.checkpoint.unlink()
    check(where, origin_of(file))  # nothing is there that could be spoilt
    (where.folder / "frames").mkdir()
    with pytest.raises(ConfigError):
        check(where, origin_of(file))
    check(where, None)  # settings from Python


def test_a_shipped_pipeline_is_known_by_its_name_and_a_copy_of_it_is_another(tmp_path: Path) -> None:
    shipped = find_pipeline(Path("demo"))
    assert origin_of(shipped) == "demo"
    where = RunFolder(tmp_path / "run")
    where.frames.mkdir(parents=True)
    claim(where, "demo")
    check(where, origin_of(shipped))
    copy = tmp_path / "demo.toml"
    shutil.copy(shipped, copy)
    with pytest.raises(ConfigError, match=f"is the run of the pipeline demo, not of {copy}"):
        check(where, origin_of(copy))


def test_names_that_are_not_text_are_recorded(tmp_path: Path) -> None:
    file = tmp_path / "t\udce9.toml"
    file.touch()
    where = RunFolder(tmp_path / "run")
    where.frames.mkdir(parents=True)
    claim(where, origin_of(file))
    check(where, origin_of(file))
    copy = tmp_path / "copy.toml"
    copy.touch()
    with pytest.raises(ConfigError, match="is the run of the pipeline"):
        check(where, origin_of(copy))


def test_two_files_of_one_name_do_not_share_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the command line: the default folder follows from the name in the file, which a copy keeps."""
    monkeypatch.chdir(tmp_path)

    def opened(file: str) -> Task:
        return open_task(Path(file), Wishes({}), Job())

    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "task.toml").write_text('name = "task"\n')
    first = opened("one/task.toml")
    assert (first.folder, first.origin) == (Path("runs/task"), str(tmp_path / "one" / "task.toml"))
    where = RunFolder(first.folder)
    claim(where, first.origin)
    where.checkpoint.touch()
    assert opened("one/task.toml") == first
    with pytest.raises(ConfigError, match=r"two/task\.toml; give another --out"):
        opened("two/task.toml")
    assert open_task(Path("two/task.toml"), Wishes({}, Path("other")), Job()).folder == Path("other")


def test_footage_alone_is_refused_in_the_folder_of_another_file_before_any_work(tmp_path: Path) -> None:
    _, where = project(tmp_path)
    where.checkpoint.unlink()  # stopped before the first step
    where.frames.mkdir()
    before = sorted(where.folder.rglob("*"))
    wishes = Wishes({"a": [tmp_path / "missing"], "b": [tmp_path / "missing"]}, out=where.folder)
    with pytest.raises(ConfigError, match="is the run of the pipeline") as caught:
        open_task(None, wishes, Job())
    assert str(where.chosen) not in str(caught.value)  # there is no such file
    assert sorted(where.folder.rglob("*")) == before


def test_a_runs_folder_in_place_of_a_pipeline_is_named_with_the_remedy(tmp_path: Path) -> None:
    _, where = project(tmp_path)
    with pytest.raises(ConfigError, match="is the folder of a run, not a pipeline; to continue the run"):
        open_task(where.folder, Wishes({}), Job())
