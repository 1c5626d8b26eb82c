"""What the forms lead to, without a browser: folders, images, suggested names, and errors in one line."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import recycle
from recycle.errors import ConfigError
from recycle.ui import words
from recycle.ui.desk import Work
from recycle.ui.site import CHOOSE, Site, Training, Translated
from recycle.ui.widgets import entries
from recycle.video.encode import write_video
from tests.processes import wait_until


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    own = Site(tmp_path / "runs", tmp_path)
    yield own
    own.close()


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with two films and a file that is none."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("one", "two"):
        write_video(folder / f"{name}.mp4", (np.full((48, 64, 3), 20 * i, np.uint8) for i in range(5)), fps=5)
    (folder / "broken.mp4").write_bytes(b"no film")
    return folder


def done(work: Work) -> Work:
    wait_until(lambda: work.over)
    return work


def test_a_folder_is_translated_and_a_bad_file_does_not_stop_the_others(site: Site, films: Path) -> None:
    goal = site.suggest(str(films), "b")
    assert goal == str(site.work / "translated" / "films-b")
    work = done(site.translate(str(films), goal, model="identity", to="b"))
    assert work.state == "done", work.error
    assert {name: file.state for name, file in work.files.items()} == {
        "one.mp4": "done",
        "two.mp4": "done",
        "broken.mp4": "failed",
    }
    assert work.result == Translated(Path(goal), None, preview=False)
    assert recycle.probe(Path(goal) / "one.mp4").frames == 5
    assert site.suggest(str(films), "b") == f"{goal}-2"


def test_a_source_that_browsers_cannot_play_is_copied_for_the_player(site: Site, films: Path) -> None:
    film = films / "one.mkv"
    recycle.translate(films / "one.mp4", film, model="identity", to="b", codec="ffv1")
    work = done(site.translate(str(film), str(films / "out.mp4"), model="identity", to="b"))
    assert isinstance(work.result, Translated), work.error
    assert work.result.source not in (None, film)
    assert recycle.probe(str(work.result.source)).frames == 5
    again = done(site.translate(str(film), str(films / "out.mp4"), model="identity", to="b"))
    assert again.state == "failed"
    assert "exists" in again.error
    assert done(site.translate(str(film), str(films / "out.mp4"), model="identity", to="b", overwrite=True)).result


def test_a_part_is_translated_with_the_chosen_look(site: Site, films: Path) -> None:
    goal = films / "out.mp4"
    one = str(films / "one.mp4")
    work = site.translate(one, str(goal), model="identity", to="b", mask=" motion ", strength=0.5, keep_colour=True)
    assert done(work).state == "done"
    failed = done(site.translate(one, f"{goal}.png", model="identity", to="b", stabilise=2.0))
    assert "stabilise" in failed.error


def test_masks_and_a_model_to_build_on_reach_the_training(site: Site, films: Path) -> None:
    one, two, broken = (str(films / f"{name}.mp4") for name in ("one", "two", "broken"))
    (films / "task.toml").write_text("[train]\ndevice = 'cpu'\n")
    form = Training(a=one, b=broken, masks=(two, ""), start=str(films / "task.toml"), name="own")
    assert "broken.mp4" in done(site.train(form)).error
    footage = json.loads((site.runs / "own" / "pipeline.json").read_text())["footage"]
    assert (footage["mask_a"], footage["mask_b"]) == ([two], [])
    assert "nowhere" in done(site.train(replace(form, start_from=str(films / "nowhere")))).error


def test_forms_that_are_not_complete_are_refused_in_one_line(site: Site, films: Path) -> None:
    one = str(films / "one.mp4")
    for form, problem in (
        (Training(), "footage A is missing"),
        (Training(a=one), "footage B is missing"),
        (Training(a=one, b=f"{one}x"), "does not exist"),
        (Training(a=one, b=one, names=("summer", "")), "names for both domains"),
        (Training(a=one, b=one, names=("b", "a")), "cannot be the name"),
        (Training(start=CHOOSE, a=one, b=one, hours=-1.0), "hours"),
        (
            Training(a=one, b=one, masks=("", f"{one}x")),
            "does not exist; choose another file or folder for the mask of B",
        ),
        (Training(start="demo", masks=(one, "")), "footage A is missing"),
    ):
        with pytest.raises(ConfigError, match=problem):
            site.train(form)
    with pytest.raises(ConfigError, match="choose a model"):
        site.translate(one, "", model="", to="b")
    with pytest.raises(ConfigError, match="the mask"):
        site.translate(one, f"{one}.mp4", model="identity", to="b", mask="nowhere.mp4")
    with pytest.raises(ConfigError, match="where to write"):
        site.translate(one, " ", model="identity", to="b")
    with pytest.raises(ConfigError, match="at least two"):
        site.compare([site.runs / "one"])
    assert site.desk.works == []


def test_the_picker_lists_videos_and_folders_but_no_hidden_and_no_unreadable_ones(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).mkdir()
    for name in ("film 10.mp4", "film 9.mp4", "notes.txt", ".secret.mp4"):
        (tmp_path / name).touch()
    folders, files = entries(tmp_path)
    assert [path.name for path in folders] == ["a", "b"]
    assert [path.name for path in files] == ["film 9.mp4", "film 10.mp4"]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            "out.mp4 exists; give --overwrite to replace it",
            "out.mp4 exists; tick “Replace it if it exists” to replace it",
        ),
        ("wait for it, or give another --out folder", "wait for it, or give another “Name of the run”"),
        ("raise --max-pixels to allow them", "raise 'max_pixels' to allow them"),
        ("the output has 8; --depth 10 keeps more", "the output has 8; 'depth = 10' keeps more"),
        (
            "crop them: 'recycle extract V --crop X', then give --a X",
            "crop them: 'recycle extract V --crop X', then give “Footage A” X",
        ),
        ("a film named x--out.mp4 -- and 3--5", "a film named x--out.mp4 -- and 3--5"),
    ],
)
def test_messages_name_what_the_page_offers(message: str, shown: str) -> None:
    assert words.offered(message) == shown


def test_no_message_of_the_package_names_an_option_on_the_page() -> None:
    texts = []
    for file in Path(recycle.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(str(getattr(part, "value", "x")) for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    named = [text for text in texts if " --o" in text]
    assert len(named) > 20
    for text in named:
        shown = re.sub("'recycle [^']*'", "", words.offered(text))
        assert not re.search(r"(?<![\w-])--[a-z]", shown), text
