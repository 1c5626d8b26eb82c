"""The tab that compares runs side by side."""

from pathlib import Path

from nicegui import ui

from recycle.runs.listing import RunInfo
from recycle.safe_text import printable
from recycle.ui import words
from recycle.ui.desk import Work
from recycle.ui.site import Site
from recycle.ui.widgets import Bar, Footage, Message, button, heading, lead

_EMBEDDED = b"Content-Security-Policy"
"""In the head of a page whose videos are part of it."""
_HEAD = 4096


class CompareTab:
    """The list of runs to choose from, and the page that compares them."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.work: Work | None = None
        self._shown = -1
        self._listed: list[RunInfo] | None = None
        self._boxes: dict[Path, ui.checkbox] = {}
        with ui.element("section").classes("card form"):
            heading("Compare runs")
            lead("See which of several trainings on the same footage is best: settings, videos, scores and curves.")
            self._list = ui.element("div").classes("choices")
            with ui.expansion("Videos to compare on").classes("more"):
                lead("Without a video, the page shows the test clips or the held-out frames that all runs share.")
                self._clips = [
                    Footage(f"Video of {letter}", site.shelf, slot=f"compare-{letter}") for letter in ("a", "b")
                ]
            with ui.element("div").classes("actions") as self._actions:
                button("Compare", self._start, main=True)
            self._message = Message()
            self._bar = Bar(site.desk)
        self._place = ui.element("section").classes("comparison").props("aria-label=Comparison")
        self.refresh()

    def _start(self) -> None:
        def start() -> None:
            chosen = [folder for folder, box in self._boxes.items() if box.value]
            a, b = (clip.value for clip in self._clips)
            self.work = self._site.compare(chosen, a=a, b=b)

        if self._message.attempt(start):
            self._shown = -1
            self.refresh()

    def refresh(self) -> None:
        """Show what has changed."""
        runs = [info for info in self._site.list_runs() if info.state != "model"]
        if [info.folder for info in runs] != list(self._boxes) or self._listed is None:
            self._choices(runs)
        self._listed = runs
        work = self.work
        if work is None or work.changes == self._shown:
            return
        self._shown = work.changes
        self._bar.show(None if work.over else work)
        if not work.over:
            return
        if work.error:
            (self._message.error if work.state == "failed" else self._message.note)(work.error)
        if isinstance(work.result, Path):
            self._show(work.result)

    def _choices(self, runs: list[RunInfo]) -> None:
        chosen = {folder for folder, box in self._boxes.items() if box.value}
        self._list.clear()
        self._actions.set_visibility(len(runs) > 1)
        self._boxes = {}
        with self._list:
            if len(runs) < 2:
                with ui.element("div").classes("empty"):
                    heading("Nothing to compare yet", level=3)
                    ui.label("Train at least two runs, for example from different pipelines on the same footage.")
            for info in runs:
                with ui.element("div").classes("choice"):
                    self._boxes[info.folder] = ui.checkbox(printable(info.name), value=info.folder in chosen)
                    facts = (words.pair(info.domains), words.length(info), words.score(info))
                    ui.label(" · ".join(filter(None, facts))).classes("hint")

    def _show(self, page: Path) -> None:
        address = self._site.shelf.url(page)
        self._place.clear()
        with page.open("rb") as file:
            embedded = _EMBEDDED in file.read(_HEAD)
        with self._place:
            if not embedded:
                lead(f"The videos are too large for this tab; open {page} to see them.")
            ui.element("iframe").props(f'src="{address}" title="Comparison"').classes("page")
            with ui.element("div").classes("actions"):
                with ui.element("a").props(f'href="{address}" target=_blank').classes("download"):
                    ui.label("Open it in a tab of its own")
                ui.label(f"Written to {printable(str(page))}").classes("where")
