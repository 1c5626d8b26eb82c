"""The page in a real browser: one server, one browser, one small task."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from recycle.video.encode import write_video
from tests.processes import PATIENCE

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
TASK = """
[extract]
short_side = 32
[networks]
generator = { width = 4, blocks = 1 }
discriminator = { width = 4, layers = 2 }
[losses.weights]
cycle = 1
[train]
size = [32, 32]
frames = 1
steps = 100_000
log_every = 2
preview_every = 10
precision = "fp32"
device = "cpu"
"""
"""A pipeline of tiny networks, which takes a few milliseconds for a step."""


@dataclass
class Server:
    """`recycle ui`, running in a folder of its own with footage and a pipeline file."""

    folder: Path
    process: "subprocess.Popen[str]"
    address: str = ""
    said: list[str] = field(default_factory=list)

    def stop(self) -> str:
        """Press Ctrl-C; what it says until it has ended."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=PATIENCE)
        return out

    @property
    def faults(self) -> str:
        """What the server has written on standard error."""
        return (self.folder / "errors.txt").read_text()


LONG = 900
"""Number of frames of the film long.mp4."""


def serve(folder: Path) -> Server:
    """Start `recycle ui` in a folder, and wait until it listens."""
    words = [sys.executable, "-m", "recycle", "ui", "--port", "0", "--no-browser"]
    with (folder / "errors.txt").open("a") as errors:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
    own = Server(folder, process)
    assert process.stdout is not None
    for line in process.stdout:
        own.said.append(line)
        if "http://" in line:
            own.address = line.split()[-1]
        if line.startswith("press Ctrl-C to end"):
            break
    return own


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("site")
    for seed, (name, length) in enumerate((("summer", 60), ("winter", 60), ("long", LONG))):
        picture = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8).repeat(12, 0).repeat(12, 1)
        write_video(folder / f"{name}.mp4", (np.roll(picture, i, axis=1) for i in range(length)), fps=12)
    mask = np.zeros((48, 60), np.uint8)
    mask[:, 30:] = 255
    cv2.imwrite(str(folder / "right.png"), mask)
    (folder / "task.toml").write_text(TASK)
    own = serve(folder)
    yield own
    if own.process.poll() is None:
        own.process.kill()
        own.process.communicate()
    assert own.faults == ""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=list(QUIET))
        yield browser
        browser.close()


@dataclass
class Visit:
    """One tab of the browser, and what it complained about."""

    page: Any
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def _told(said: Any) -> str:
    """An error of the browser's console, with the address that it is about."""
    return f"{said.text} {said.location.get('url', '')}".strip()


def visit(browser: Any, address: str, *, width: int, dark: bool = False) -> Visit:
    """Open the page, and record errors and requests."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    own = Visit(page)
    page.on("console", lambda said: own.faults.append(_told(said)) if said.type == "error" else None)
    page.on("pageerror", lambda error: own.faults.append(str(error)))
    page.on("request", lambda request: own.requests.append(request.url))
    page.goto(address)
    page.get_by_role("heading", name="New training").wait_for()
    return own
