"""The page holds all it shows, escapes what it is given, and marks what is better."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from recycle.domains import Names
from recycle.errors import FootageError
from recycle.evaluation import page as pages
from recycle.evaluation.page import VideoRow
from recycle.evaluation.playable import plays_in_browsers
from recycle.evaluation.report import PREVIEW_LIMIT, write_report
from recycle.evaluation.verdict import Verdict
from recycle.video.decode import VideoReader
from recycle.video.encode import write_video
from recycle.video.kinds import open_source
from tests.evaluation.conftest import Page

METRICS = {
    "psnr_ab": 21.26,
    "psnr_ab_input": 9.5,
    "psnr_ba": 8.0,
    "psnr_ba_input": 9.5,
    "warp_error_ab": 0.00123,
    "warp_error_ab_input": 0.00234,
    "novel_figure_ab": 42.0,
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    paths = [folder / name for name in ("source.mp4", "50% #1 'é'.mp4")]
    for shade, path in enumerate(paths):
        frames = np.zeros((6, 32, 48, 3), np.uint8)
        for i, frame in enumerate(frames):
            frame[8:24, 4 * i : 4 * i + 16] = 255 - 100 * shade
        write_video(path, frames, fps=12)
    return paths


def test_page_holds_its_videos_and_asks_for_nothing(videos: list[Path], tmp_path: Path) -> None:
    picture = tmp_path / "001000.png"
    cv2.imwrite(str(picture), np.full((8, 8, 3), 127, np.uint8))
    path = tmp_path / "report.html"
    rows = [VideoRow("a → b", [("source", videos[0]), ("translated", videos[1])])]
    curves = {"loss/recycle": [(0, 1.0), (10, 0.5)]}
    write_report(path, title="t", rows=rows, metrics=METRICS, curves=curves, previews=[picture])
    page = Page(path)
    embedded = [base64.b64decode(video["src"].split("base64,")[1]) for video in page.of("video")]
    assert embedded == [video.read_bytes() for video in videos]
    assert all(video["src"].startswith("data:video/mp4;") for video in page.of("video"))
    assert base64.b64decode(page.of("img")[0]["src"].split("base64,")[1]) == picture.read_bytes()
    sources = [a[key] for _, a in page.tags for key in ("src", "href", "srcset", "poster") if key in a]
    assert len(sources) == 3
    assert all(source.startswith("data:") for source in sources)
    assert not page.of("link")
    assert not re.search(r"https?:|url\((?!#)|@import", re.sub(r"base64,[^\"]*", "", page.text))


def test_given_text_is_escaped(videos: list[Path], tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>&\""
    path = tmp_path / "report.html"
    write_report(
        path,
        title=evil,
        rows=[VideoRow(evil, [(evil, videos[0])])],
        metrics={f"{evil}_ab": 1.0},
        curves={evil: [(1, 1.0), (2, 3.0)]},
        facts={evil: evil},
    )
    page = Page(path)
    assert "<script>alert" not in page.text
    assert len(page.of("script")) == 1
    assert evil in page.of("video")[0]["aria-label"]
    assert page.row(evil)[1] == "1.00"


def test_scores_are_marked_where_they_beat_the_input(tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", title="t", rows=[], metrics=METRICS, curves={})
    page = Page(tmp_path / "r.html")
    assert page.row("PSNR")[1:7] == ["✓21.26", "9.50", "–", "8.00", "9.50", "–"]
    assert page.row("Warp error")[1:7] == ["✓1.23", "2.34", "–", "–", "–", "–"]
    assert "Higher is better" in page.row("PSNR")[7]
    assert "Lower is better" in page.row("Warp error")[7]
    assert page.row("novel figure")[1] == "42.00"
    assert not page.of("script")
    assert not page.of("svg")


def test_domains_are_called_by_their_names(tmp_path: Path) -> None:
    curves = {
        "loss/disc_a": [(10, 0.5)],
        "loss/disc_b": [(10, 0.25)],
        "score/ba_content": [(1, 1.0)],
        "x_ab": [(1, 2.0)],
    }
    names = Names("summer", "winter")
    metrics = METRICS | {"collapse_ab": 0.1}
    write_report(tmp_path / "r.html", title="t", rows=[], metrics=metrics, curves=curves, names=names)
    page = Page(tmp_path / "r.html")
    assert page.table[0][1:3] == ["summer → winter", "winter → summer"]
    assert "summer → winter: perceptual mode collapse" in page.text
    assert re.search(r"</span>summer 0\.5<.*</span>winter 0\.25<", page.text)
    assert "</span>summer → winter 2<" in page.text
    assert re.search(r"score/content.*</span>winter → summer 1<", page.text)
    assert "a → b" not in page.text


def test_curves_of_both_sides_share_a_chart(tmp_path: Path) -> None:
    curves = {
        "learning_rate": [(10, 2e-4), (20, 1e-4)],
        "loss/disc_a": [(10, 0.5), (2000, 0.25)],
        "loss/disc_b": [(10, 0.5), (2000, 0.125)],
        "loss/cycle": [(10, 1.0)],
        "loss/flat": [(i, 0.0) for i in range(100)],
        "loss/empty": [],
    }
    write_report(tmp_path / "r.html", title="t", rows=[], metrics={}, curves=curves)
    page = Page(tmp_path / "r.html")
    charts = [svg["aria-label"] for svg in page.of("svg")]
    names = ["cycle", "disc", "flat", "learning rate"]
    assert charts == [f"{name} over training steps" for name in names]
    assert len([path for path in page.of("path") if path["class"].startswith("smooth")]) == 5
    for path in page.of("path"):
        points = re.findall(r"(-?[\d.]+),(-?[\d.]+)", path["d"])
        assert points
        assert all(48 <= float(x) <= 380 and 0 <= float(y) <= 210 for x, y in points)
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", page.text)
    assert {"0", "0.5", "1k", "2k"} <= set(labels)


def test_a_single_point_is_visible(tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", title="t", rows=[], metrics={}, curves={"loss/cycle": [(1, 2.0)]})
    (dot,) = Page(tmp_path / "r.html").of("circle")
    assert float(dot["r"]) >= 3
    assert 48 <= float(dot["cx"]) <= 368
    assert 10 <= float(dot["cy"]) <= 182
    write_report(tmp_path / "r.html", title="t", rows=[], metrics={}, curves={"loss/cycle": [(1, 2.0), (2, 1.0)]})
    assert not Page(tmp_path / "r.html").of("circle")


def test_too_large_videos_are_linked(videos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "EMBED_LIMIT", sum(video.stat().st_size for video in videos) - 1)
    rows = [VideoRow("a → b", [("source", videos[0]), ("translated", videos[1])])]
    path = videos[0].parent / "pages" / "report.html"
    write_report(path, title="t", rows=rows, metrics={}, curves={})
    page = Page(path)
    assert [video["src"] for video in page.of("video")] == [
        "../source.mp4",
        "../50%25%20%231%20%27%C3%A9%27.mp4",
    ]
    assert "too large to be part of this page" in page.text


def test_what_browsers_cannot_play_is_copied(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, old = tmp_path / "images", tmp_path / "old.avi"
    images.mkdir()
    with VideoReader(videos[0]) as reader, av.open(str(old), "w") as container:
        stream = container.add_stream("mpeg4", rate=12, width=48, height=32)
        for i, frame in enumerate(reader):
            cv2.imwrite(str(images / f"{i:03}.png"), frame.pixels)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.pixels, format="rgb24")))
        container.mux(stream.encode(None))
    path = tmp_path / "report.html"
    rows = [VideoRow("row", [("images", images), ("old", old), ("new", videos[0])])]
    write_report(path, title="t", rows=rows, metrics={}, curves={})
    embedded = [video["src"] for video in Page(path).of("video")]
    assert all(source.startswith("data:video/mp4;base64,") for source in embedded)
    assert not (tmp_path / "report-videos").exists()
    (tmp_path / "report-videos").mkdir()
    (tmp_path / "report-videos" / "mine.mp4").write_text("precious")
    write_report(path, title="t", rows=rows, metrics={}, curves={})
    assert [file.name for file in (tmp_path / "report-videos").iterdir()] == ["mine.mp4"]

    monkeypatch.setattr(pages, "EMBED_LIMIT", 0)
    write_report(path, title="t", rows=rows, metrics={}, curves={})
    linked = [video["src"] for video in Page(path).of("video")]
    assert linked[:2] == ["report-videos/00-images.mp4", "report-videos/01-old.mp4"]
    for source, copy, embedded_copy in zip((images, old), linked, embedded, strict=False):
        with open_source(source) as before, VideoReader(tmp_path / copy) as after:
            assert [frame.seconds for frame in after] == [frame.seconds for frame in before]
        assert plays_in_browsers(tmp_path / copy)
        assert base64.b64decode(embedded_copy.split(",")[1]) == (tmp_path / copy).read_bytes()


def test_many_previews_are_thinned(tmp_path: Path) -> None:
    pictures = [tmp_path / f"{i:03}.png" for i in range(30)]
    for picture in pictures:
        cv2.imwrite(str(picture), np.zeros((4, 4, 3), np.uint8))
    write_report(tmp_path / "r.html", title="t", rows=[], metrics={}, curves={}, previews=pictures)
    shown = [image["alt"] for image in Page(tmp_path / "r.html").of("img")]
    assert len(shown) == PREVIEW_LIMIT
    assert (shown[0], shown[-1]) == ("Preview 000", "Preview 029")


def test_a_report_begins_with_a_verdict_then_facts_and_the_command(tmp_path: Path) -> None:
    verdict = Verdict("failed", "Failed <here>.", ("first reason", "second reason"))
    facts = {"date": "2026-01-02 03:04 UTC", "footage a": "/films/summer (3 shots, 60 s)"}
    path = tmp_path / "r.html"
    command = "recycle run --a '/films/my summer' && more"
    write_report(path, title="t", rows=[], metrics=METRICS, curves={}, facts=facts, command=command, verdict=verdict)
    text = Page(path).text
    parts = (
        "<h1>t</h1>",
        'class="verdict failed"',
        "Failed &lt;here&gt;.",
        "second reason",
        "2026-01-02",
        "/films/summer",
    )
    places = [text.index(part) for part in (*parts, "recycle run --a &#39;/films/my summer&#39; &amp;&amp; more")]
    assert places == sorted(places)
    assert places[-1] < text.index('id="scores-title"')
    write_report(path, title="t", rows=[], metrics={}, curves={})
    bare = Page(path)
    assert "The scores do not allow a verdict: no test video was translated" in bare.text
    assert not bare.of("pre")


def test_on_a_phone_videos_stand_one_below_the_other(videos: list[Path], tmp_path: Path) -> None:
    """In a real browser: no sideways scrolling at 390 pixels, and one column there but several at 1280."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no browser here")
    pictures = [tmp_path / "step-000001.png"]
    cv2.imwrite(str(pictures[0]), np.zeros((60, 900, 3), np.uint8))
    rows = [VideoRow("a → b", [(name, videos[0]) for name in ("source", "translated", "truth", "back again")])]
    facts = {"footage a": "/a/very/long/path/" + "x" * 200}
    curves = {"score/total": [(2000, 0.4)]}
    command = "recycle run " + "y" * 300
    write_report(
        tmp_path / "r.html",
        title="t",
        rows=rows,
        metrics=METRICS,
        curves=curves,
        previews=pictures,
        facts=facts,
        command=command,
    )
    found = {width: measured(browser, tmp_path / "r.html", width) for width in (390, 1280)}
    assert found[390] == [390, 0, 4, 1]
    assert found[1280] == [1280, 0, 1, 4]


def measured(browser: str, page: Path, width: int) -> list[int]:
    """Of a page in a window of that width: width of its content, elements that must be scrolled sideways, and the
    rows and columns in which its videos stand."""
    script = """<script>addEventListener("load", () => setTimeout(() => {
      const places = [...document.querySelectorAll("video")].map((v) => v.getBoundingClientRect());
      const count = (side) => new Set(places.map((place) => Math.round(place[side]))).size;
      const wide = [...document.querySelectorAll(".row, .scroll")].filter((e) => e.scrollWidth > e.clientWidth + 1);
      const found = [document.documentElement.scrollWidth, wide.length, count("top"), count("left")];
      parent.postMessage(JSON.stringify(found), "*");
    }, 300))</script>"""
    inside, outside = page.with_name("inside.html"), page.with_name("outside.html")
    inside.write_text(page.read_text().replace("</body>", f"{script}</body>"))
    outside.write_text(
        f'<iframe src="inside.html" style="border: 0; width: {width}px; height: 900px"></iframe><pre></pre>'
        '<script>addEventListener("message", (m) => { document.querySelector("pre").textContent = m.data; })</script>'
    )
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom"]
    command += [
        "--virtual-time-budget=5000",
        f"--user-data-dir={page.parent / 'profile'}",
        "--window-size=1400,1000",
        outside.as_uri(),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    match = re.search(r"<pre>(\[.*?\])</pre>", shown)
    assert match, shown
    return [int(number) for number in json.loads(match[1])]


def test_failures_stand_above_the_scores_and_neighbours_are_shown(tmp_path: Path) -> None:
    picture = tmp_path / "nearest_ab.png"
    cv2.imwrite(str(picture), np.full((8, 8, 3), 60, np.uint8))
    failed = {"collapse_ab": 0.1, "collapse_ba": 0.9, "kid_ab": -0.00123}
    write_report(tmp_path / "r.html", title="t", rows=[], metrics=failed, curves={}, neighbours={"a → b": picture})
    page = Page(tmp_path / "r.html")
    assert 0 < page.text.index("a → b: perceptual mode collapse") < page.text.index("<table")
    assert "b → a: perceptual" not in page.text
    assert page.row("Diversity kept")[1:5] == ["0.10", "–", "–", "0.90"]
    assert page.row("KID")[1] == "-0.0012"
    assert base64.b64decode(page.of("img")[0]["src"].split("base64,")[1]) == picture.read_bytes()
    write_report(tmp_path / "r.html", title="t", rows=[], metrics=METRICS, curves={})
    sound = Page(tmp_path / "r.html")
    assert "perceptual mode collapse" not in sound.text
    assert "Nearest training frames" not in sound.text


@pytest.mark.parametrize("what", ["video", "picture"])
def test_missing_file_is_named(what: str, tmp_path: Path) -> None:
    absent = tmp_path / f"absent {what}.mp4"
    rows = [VideoRow("row", [("source", absent)])] if what == "video" else []
    previews = [absent] if what == "picture" else []
    with pytest.raises(FootageError, match=f"absent {what}") as caught:
        write_report(tmp_path / "r.html", title="t", rows=rows, metrics={}, curves={}, previews=previews)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r.html").exists()
