"""One training run: its progress, curves and previews, and what can be done with it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

from nicegui import run, ui

import recycle
from recycle.domains import Names
from recycle.errors import RecycleError
from recycle.evaluation.charts import charts
from recycle.evaluation.page import charts_html
from recycle.run_folder import RunFolder
from recycle.runs.listing import RunInfo
from recycle.safe_text import printable
from recycle.ui import words
from recycle.ui.desk import Points, Work
from recycle.ui.site import Site
from recycle.ui.widgets import Bar, Message, button, heading, lead, list_notices

_SCORE = "score/total"
_DRAWN = 2.0
"""Least seconds between two drawings of the curves."""


class RunView:
    """The view of the run in `folder`."""

    def __init__(self, site: Site, folder: Path, *, close: Callable[[], object], use: Callable[[Path], object]) -> None:
        """`close` leaves the view. `use` opens the tab that translates with the run's model."""
        self._site, self._use = site, use
        self.folder = folder
        self._shown, self._drawn = -1, 0.0
        self._saved: Mapping[str, Sequence[tuple[int, float]]] = {}
        self._info: RunInfo | None = None
        self._images: list[Path] = []
        self._picked: int | None = None
        with ui.element("div").classes("run-head"):
            heading(folder.name)
            button("All runs", close)
        self._facts = lead("")
        self._bar = Bar(site.desk, title=False)
        self._message = Message()
        self._actions = ui.element("div").classes("actions")
        with ui.element("figure").classes("preview") as self._preview:
            self._image = ui.element("img").props('alt="Held-out frames and their translations"')
            with ui.element("div").classes("preview-foot"):
                self._step = ui.label().classes("hint")
                self._slider = ui.slider(min=0, max=1, value=0, on_change=self._pick).props('aria-label="Preview"')
        self._charts = ui.html("", sanitize=False).classes("curves")
        self._settings = ui.expansion("Settings, and the reason for each").classes("more")
        self._notes = ui.expansion("Messages of the training").classes("more")
        with self._notes:
            self._list = ui.element("ul").classes("notes")
        ui.timer(0, self._load, once=True)
        self.refresh()

    @property
    def work(self) -> Work | None:
        """The last work on this run since the server started."""
        own = [work for work in self._site.desk.works if work.folder == self.folder]
        return own[-1] if own else None

    async def _load(self) -> None:
        """Read the curves that were logged before, which can take seconds."""
        try:
            info = recycle.run_info(self.folder)
        except RecycleError:
            return
        self._saved = await run.io_bound(info.curves) or {}  # None while the server ends
        self._drawn = 0
        self._draw(self.work)

    def refresh(self) -> None:
        """Show what has changed."""
        work = self.work
        changes = work.changes if work else 0
        if work and not work.over:
            self._bar.show(work)
        if changes == self._shown:
            return
        over = self._shown < 0 or (work is not None and work.over)
        try:
            self._info = recycle.run_info(self.folder)
        except RecycleError:  # a new run has written nothing yet
            self._info = None
        self._head(work)
        if over or not self._actions.default_slot.children or (work and not work.over):
            self._act(work)
        self._images = sorted({*(self._info.previews if self._info else ()), *(work.previews if work else ())})
        self._preview.set_visibility(bool(self._images))
        if self._images:
            latest = len(self._images) - 1
            self._slider.props["max"] = max(latest, 1)
            self._slider.set_visibility(latest > 0)
            if self._picked is None:  # the user looks at the last one
                self._slider.set_value(latest)
            self._pick()
        self._draw(work)
        self._texts(work)
        self._shown = changes  # only now: an error is followed by another attempt

    def _head(self, work: Work | None) -> None:
        info, live = self._info, work is not None and not work.over
        parts = []
        if info is not None:
            parts = [words.pair(info.domains), words.length(info), words.score(info)]
            parts.append("" if live else words.state(info.state))
            if info.verdict:
                parts.append(info.verdict.headline)
        self._facts.clear()
        with self._facts:
            ui.label(printable(" · ".join(filter(None, parts)) or "being prepared"))
        self._bar.show(work if live else None)
        if work is not None and work.state == "failed":
            self._message.error(work.error)
        elif work is not None and work.state == "stopped":
            self._message.note("Stopped and saved. “Continue” goes on from there, also after a restart.")
        elif work is not None and work.state == "done":
            self._message.note("The training is finished. Translate a preview to see what it has learned.")
        else:
            self._message.clear()

    def _act(self, work: Work | None) -> None:
        """Offer what can be done with the run in its state."""
        self._actions.clear()
        info = self._info
        busy = (work is not None and not work.over) or info is None or info.state == "training"
        with self._actions:
            if info is not None and info.model is not None:
                first = not busy and info.state != "unfinished"
                button("Translate with it", lambda: self._use(self.folder), main=first)
            if busy or info is None or info.state == "model":
                return
            if info.state == "unfinished":
                button("Continue", lambda: self._resume(None), main=True)
                return
            unit = "hours" if info.hours else "steps"
            longer = 2 * (info.hours or info.step)
            field = ui.number(f"{unit.capitalize()} in all", value=longer, min=0, format="%g").props("outlined dense")
            field.classes("short")
            button("Train further", lambda: self._resume(float(field.value or 0)))

    def _resume(self, length: float | None) -> None:
        hours = self._info is not None and self._info.hours is not None

        def start() -> None:
            self._site.resume(
                self.folder,
                hours=length if length and hours else None,
                steps=int(length) if length and not hours else None,
            )

        if self._message.attempt(start):
            self._shown = -1
            self.refresh()

    def _pick(self) -> None:
        if not self._images:
            return
        latest, place = len(self._images) - 1, int(self._slider.value)
        self._picked = None if place >= latest else place
        image = self._images[min(place, latest)]
        self._image.props(f'src="{self._site.shelf.url(image)}"')
        step = int("".join(filter(str.isdigit, image.stem)) or 0)
        self._step.set_text(f"Held-out frames at step {step}: source, translation, translated back")

    def _draw(self, work: Work | None) -> None:
        """Draw the curves, not too often."""
        now = monotonic()
        if now - self._drawn < _DRAWN and not (work is None or work.over):
            return
        self._drawn = now
        names = self._info.domains if self._info else Names()
        self._charts.set_content(curves_html(merged(self._saved, work.curves if work else {}), names))

    def _texts(self, work: Work | None) -> None:
        chosen = RunFolder(self.folder).chosen
        self._settings.set_visibility(chosen.is_file())
        if chosen.is_file() and not self._settings.default_slot.children:
            with self._settings:
                ui.label(printable(chosen.read_text(encoding="utf-8"), lines=True)).classes("code")
        notices = work.notices if work else []
        self._notes.set_visibility(bool(notices))
        list_notices(self._list, notices)


def merged(saved: Mapping[str, Sequence[tuple[int, float]]], live: Mapping[str, Points]) -> dict[str, Points]:
    """The curves of the logs, continued by those of a running training from its first step on."""
    curves: dict[str, Points] = {}
    for tag in {**saved, **live}:
        new = live.get(tag, [])
        old = [point for point in saved.get(tag, ()) if not new or point[0] < new[0][0]]
        curves[tag] = [*old, *new]
    return curves


def curves_html(curves: Mapping[str, Points], names: Names) -> str:
    """Charts of the validation score and of the losses; '' without points."""
    score = {"validation score": curves[_SCORE]} if curves.get(_SCORE) else {}
    losses = {tag: points for tag, points in curves.items() if tag.startswith("loss/") and points}
    drawn = [*charts(score, names), *charts(losses, names)]
    return charts_html(drawn) if drawn else ""
