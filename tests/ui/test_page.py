"""The page as a user meets it: train, stop, resume, translate, download and compare, in a browser."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

import recycle
from recycle.inputs import open_source
from tests.processes import wait_until
from tests.ui.conftest import LONG, Server, Visit, serve, visit

_FILMS = ("translated/long.mp4", "long.mp4")


def test_a_run_is_trained_stopped_resumed_translated_downloaded_and_compared(
    server: Server, chromium: Any, tmp_path: Path
) -> None:
    own = visit(chromium, server.address, width=1280)
    page = own.page
    assert "No runs yet" in page.inner_text("main")
    _start(page, server.folder)
    wait_until(lambda: _step(page) >= 20)
    page.get_by_role("figure", name="validation score").wait_for()
    page.locator(".preview img").wait_for()
    page.context.close()  # work goes on without a browser

    own = visit(chromium, server.address, width=1280)
    page = own.page
    page.get_by_role("button", name="summer-winter").click()
    page.get_by_role("region", name="Runs").get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped and saved").wait_for()
    stopped = recycle.run_info(server.folder / "runs" / "summer-winter")
    assert stopped.state == "unfinished"
    assert stopped.step >= 20
    page.get_by_role("button", name="Continue").click()
    wait_until(lambda: _step(page) > stopped.step)
    page.get_by_role("region", name="Runs").get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped and saved").wait_for()

    _train_another(page, server.folder, steps=4)
    _translate(own, server, tmp_path)
    _translate_a_part_stopped_and_continued(page, server.folder)
    _compare(page, server.folder)
    assert own.faults == []
    assert server.faults == ""
    assert {urlsplit(url).hostname for url in own.requests if url.startswith("http")} == {"127.0.0.1"}
    page.context.close()


def _step(page: Any) -> int:
    """The step that the page shows of the training that runs; 0 before there is one."""
    found = re.search(r"training · (\d+) of", page.inner_text("body"))
    return int(found[1]) if found else 0


def _start(page: Any, folder: Path, *, steps: int | None = None) -> None:
    """Fill in the form for a new training, and start it."""
    for letter, name in (("A", "summer"), ("B", "winter")):
        page.get_by_label(f"Videos or folder of {letter}", exact=True).fill(str(folder / f"{name}.mp4"))
        page.get_by_label(f"Name of {letter}", exact=True).fill(name)
    page.get_by_label("Start from").click()
    page.get_by_role("option", name="A pipeline file").click()
    page.get_by_label("Pipeline file (TOML)").fill(str(folder / "task.toml"))
    if steps is not None:
        page.get_by_role("button", name="steps").click()
        page.get_by_label("Length", exact=True).fill(str(steps))
    page.get_by_role("button", name="Start training").click()


def _train_another(page: Any, folder: Path, *, steps: int) -> None:
    """Train the same task once more, to its end."""
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("footage A is missing").wait_for()  # the form of a new page is empty
    _start(page, folder, steps=steps)
    page.get_by_text("The training is finished").wait_for()
    assert f"step {steps} of {steps}" in page.inner_text("main")
    page.get_by_role("button", name="All runs").click()
    page.locator(".run").nth(1).wait_for()


def _translate(own: Visit, server: Server, folder: Path) -> None:
    page = own.page
    page.get_by_role("button", name="summer-winter finished").or_(page.locator(".run").first).first.click()
    page.get_by_role("button", name="Translate with it").click()
    page.get_by_label("Video or folder", exact=True).fill(str(server.folder / "summer.mp4"))
    page.get_by_role("button", name="summer → winter").click()
    page.get_by_role("button", name="Preview 4 seconds").click()
    page.get_by_text("A preview of 4 seconds. If").wait_for()
    videos = "[...document.querySelectorAll('recycle-player video')].map((video) => Math.round(video.duration))"
    page.wait_for_function(f"JSON.stringify({videos}) === '[4,4]'")
    page.get_by_role("button", name="Translate", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    got = folder / "got.mp4"
    download.value.save_as(got)
    assert got.read_bytes() == (server.folder / "translated" / "summer-winter.mp4").read_bytes()
    facts, source = recycle.probe(got), recycle.probe(server.folder / "summer.mp4")
    assert (facts.frames, facts.width, facts.height) == (source.frames, source.width, source.height) == (60, 60, 48)
    page.wait_for_function(f"JSON.stringify({videos}) === '[5,5]'")
    page.get_by_role("button", name="Translate", exact=True).is_enabled()
    page.get_by_label("Write to").fill(str(server.folder / "translated" / "summer-winter.mp4"))
    page.get_by_role("button", name="Translate", exact=True).click()  # it exists
    page.locator(".message.error", has_text="exists").wait_for()


def _translate_a_part_stopped_and_continued(page: Any, folder: Path) -> None:
    """Translate the right half of a film without flicker; what is left of it stays as it is."""
    from playwright.sync_api import expect

    page.get_by_label("Video or folder", exact=True).fill(str(folder / "long.mp4"))
    page.get_by_label("Write to").fill(str(folder / "translated" / "long.mp4"))
    page.get_by_role("button", name="More").click()
    page.get_by_label("Mask", exact=True).fill(str(folder / "right.png"))
    page.get_by_label("Reduce flicker").fill("50")
    page.get_by_role("button", name="Translate", exact=True).click()
    result = page.get_by_role("region", name="Result")
    under_way = re.compile(r"\b(1[3-9]|[2-9]\d)\d of")  # more frames than a segment has
    expect(result).to_contain_text(under_way, timeout=300_000)  # if not, it says what the page shows
    result.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped. Translate again").wait_for()
    assert not (folder / "translated" / "long.mp4").exists()
    page.get_by_role("button", name="Translate", exact=True).click()
    kept = re.compile(r"Went on after (\d+) finished frames")
    result.get_by_text(kept).wait_for()
    found = kept.search(result.inner_text())
    assert found is not None
    assert 120 <= int(found[1]) < LONG
    made, source = (np.stack([frame.pixels for frame in open_source(folder / name)]).astype(int) for name in _FILMS)
    assert len(made) == len(source) == LONG
    change = np.abs(made - source).mean((0, 1, 3))
    assert change[:28].mean() < 6
    assert change[34:].mean() > 3 * change[:28].mean()


def _compare(page: Any, folder: Path) -> None:
    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("choose at least two runs").wait_for()
    for box in page.get_by_role("checkbox", name="summer-winter").all():
        box.click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.frame_locator("iframe").get_by_role("heading", name="2 runs compared").wait_for()
    assert [path.suffix for path in (folder / "comparisons").iterdir()] == [".html"]


def test_uploads_arrive_and_the_picker_walks_through_folders(server: Server, chromium: Any) -> None:
    own = visit(chromium, server.address, width=390, dark=True)
    page = own.page
    film = server.folder / "winter.mp4"
    page.locator("recycle-upload input").first.set_input_files(film)
    field = page.get_by_label("Videos or folder of A", exact=True)
    page.wait_for_function("(input) => input.value", arg=field.element_handle())
    arrived = Path(field.input_value())
    assert arrived.is_relative_to(server.folder / "uploads")
    assert arrived.read_bytes() == film.read_bytes()
    page.get_by_role("button", name="Browse: Videos or folder of B").click()
    files = page.get_by_role("group", name="Files and folders")
    files.get_by_role("button", name="uploads").click()
    files.get_by_role("button", name="..").click()
    files.get_by_role("button", name="summer.mp4").click()
    other = page.get_by_label("Videos or folder of B", exact=True)
    page.wait_for_function("(input) => input.value.endsWith('summer.mp4')", arg=other.element_handle())
    assert own.faults == []
    page.context.close()


def test_every_tab_fits_a_phone_and_a_desk_in_light_and_dark(server: Server, chromium: Any) -> None:
    for width, dark in ((390, False), (1280, True)):
        own = visit(chromium, server.address, width=width, dark=dark)
        page = own.page
        for name in ("Train", "Translate", "Compare"):
            page.get_by_role("tab", name=name).click()
            page.get_by_role("tab", name=name, selected=True).wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == dark
        assert own.faults == []
        page.context.close()


def test_ctrl_c_saves_the_running_training_which_a_new_page_continues(server: Server, chromium: Any) -> None:
    own = visit(chromium, server.address, width=1280)
    page = own.page
    _start(page, server.folder)
    wait_until(lambda: _step(page) > 0)
    folder = recycle.list_runs(server.folder / "runs")[0].folder
    said = server.stop()
    assert f"stopping: Training {folder.name}" in said
    assert server.process.returncode == 0
    run = recycle.run_info(folder)
    assert run.state == "unfinished"
    assert run.step > 0
    assert json.loads((folder / "model" / "config.json").read_text())["domains"] == ["summer", "winter"]
    page.context.close()

    again = serve(server.folder)
    try:
        page = visit(chromium, again.address, width=1280).page
        page.get_by_role("button", name=re.compile(f"{folder.name} .*can be continued")).click()
        page.get_by_role("button", name="Continue", exact=True).click()
        wait_until(lambda: _step(page) > run.step)
        page.context.close()
    finally:
        again.process.kill()
        again.process.communicate()
    killed = recycle.run_info(folder)
    assert killed.state == "unfinished"
    assert killed.step >= run.step
