"""The tab that trains: the form for a new training, the list of runs, and the run that is open."""

from collections.abc import Callable
from pathlib import Path

from nicegui import run, ui

import recycle
from recycle.errors import RecycleError
from recycle.runs.listing import RunInfo
from recycle.runs.preset import Choice
from recycle.safe_text import printable
from recycle.ui import words
from recycle.ui.desk import Work
from recycle.ui.more import TrainMore
from recycle.ui.run_view import RunView
from recycle.ui.site import CHOOSE, FILE, Site, Training
from recycle.ui.widgets import Footage, Message, button, heading, lead, reveal

_CHOOSE = (
    "Looks at the footage and at this machine, then chooses size, networks, losses and schedule, with a reason for "
    "each: for the time that you give, or for up to 4 hours. Show the plan to read it before you start."
)


class TrainTab:
    """The form and the runs."""

    def __init__(self, site: Site, *, use: Callable[[Path], object]) -> None:
        """`use` opens the tab that translates with a run's model."""
        self._site, self._use = site, use
        self._pipelines = {info.name: info for info in recycle.list_pipelines()}
        self._view: RunView | None = None
        self._listed: list[object] = []
        with ui.element("div").classes("columns"):
            with ui.element("section").classes("card form"):
                self._form()
            self._right = ui.element("section").classes("card result").props("aria-label=Runs")
        self._close()

    @property
    def work(self) -> Work | None:
        """The work whose progress this tab shows."""
        return self._view.work if self._view else None

    def _form(self) -> None:
        heading("New training")
        lead("Learn to turn one look into another, from two sets of footage that need not show the same.")
        self._names = []
        self._footage = []
        for letter, example in (("A", "summer"), ("B", "winter")):
            with ui.element("fieldset").classes("domain"):
                with ui.element("legend"):
                    ui.label(f"Footage {letter}")
                what = f"Videos or folder of {letter}"
                self._footage.append(Footage(what, self._site.shelf, slot=letter.lower(), hint=f"/path/to/{example}"))
                name = ui.input(f"Name of {letter}", placeholder=example).props("outlined dense maxlength=20")
                self._names.append(name)
        starts = {CHOOSE: "Choose for me"} | {name: name for name in self._pipelines} | {FILE: "A pipeline file …"}
        self._start = ui.select(starts, value=CHOOSE, label="Start from", on_change=self._explain)
        self._start.props("outlined dense options-dense")
        self._file = ui.input("Pipeline file (TOML)").props("outlined dense")
        self._about = ui.label().classes("hint")
        with ui.element("div").classes("path"):
            self._length = ui.number("Length", min=0, format="%g")
            self._length.props("outlined dense clearable stack-label").classes("grow")
            self._unit = ui.toggle(["hours", "steps"], value="hours").classes("ways units")
            self._unit.props("no-caps flat toggle-color=none toggle-text-color=none aria-label='Hours or steps'")
        self._name = ui.input("Name of the run", placeholder="named after the footage").props("outlined dense")
        self._more = TrainMore(self._site)
        with ui.element("div").classes("actions"):
            button("Start training", self._begin, main=True)
            self._planning = button("Show the plan", self._plan)
        self._message = Message()
        self._explain()

    def _explain(self) -> None:
        """Describe the chosen start."""
        start = str(self._start.value)
        self._file.set_visibility(start == FILE)
        self._planning.set_visibility(start == CHOOSE)
        info = self._pipelines.get(start)
        self._about.set_text(printable(words.pipeline(info)) if info else _CHOOSE if start == CHOOSE else "")
        self._length.props(f'placeholder="{"as the pipeline says" if start != CHOOSE else "chosen for you"}"')

    def _filled(self) -> Training:
        start, length = str(self._start.value), self._length.value
        hours = self._unit.value == "hours"
        a, b = (field.value for field in self._footage)
        first, second = (str(name.value or "").strip() for name in self._names)
        return Training(
            start=str(self._file.value or "") if start == FILE else start,
            a=a,
            b=b,
            names=(first, second),
            hours=float(length) if length and hours else None,
            steps=int(length) if length and not hours else None,
            masks=self._more.masks,
            start_from=self._more.start_from,
            name=str(self._name.value or ""),
        )

    def _begin(self) -> None:
        def start() -> None:
            work = self._site.train(self._filled())
            assert work.folder is not None
            self.open(work.folder)

        self._message.attempt(start)

    async def _plan(self) -> None:
        """Show the plan for the footage, which takes seconds to look at."""
        form = self._filled()
        self._message.note("Looking at the footage and at this machine …")
        try:
            choice = await run.io_bound(lambda: self._site.plan(form))
        except RecycleError as error:
            self._message.error(str(error))
            return
        if choice is None:  # the server ends
            return
        self._message.clear()
        self._show_plan(choice)

    def _show_plan(self, choice: Choice) -> None:
        with ui.dialog() as dialog, ui.card().classes("picker plan"):
            heading("The plan")
            for line in (choice.head[0], choice.head[-1], *choice.words):  # without advice on the command line
                lead(words.offered(line))
            with ui.element("dl").classes("reasons"):
                for setting, reason in choice.reasons.items():
                    with ui.element("dt"):
                        ui.label(setting)
                    with ui.element("dd"):
                        ui.label(printable(words.offered(reason)))
            with ui.element("div").classes("actions"):
                button("Start training", self._begin, main=True).on_click(dialog.close)
                button("Close", dialog.close)
        dialog.on("hide", dialog.delete)
        dialog.open()

    def open(self, folder: Path) -> None:
        """Show a run."""
        self._right.clear()
        with self._right:
            self._view = RunView(self._site, folder, close=self._close, use=self._use)
        reveal(self._right)

    def _close(self) -> None:
        self._view = None
        self._listed = []
        self.refresh()

    def refresh(self) -> None:
        """Show what has changed."""
        if self._view is not None:
            self._view.refresh()
            return
        runs = self._site.list_runs()
        live = {work.folder: work for work in self._site.desk.works if work.folder and not work.over}
        self._more.reload()
        listed: list[object] = [(info, live.get(info.folder) is not None) for info in runs]
        if listed == self._listed and listed:
            return
        self._listed = listed
        self._right.clear()
        with self._right:
            self._list(runs, live)

    def _list(self, runs: list[RunInfo], live: dict[Path, Work]) -> None:
        heading("Runs")
        if not runs:
            with ui.element("div").classes("empty"):
                heading("No runs yet", level=3)
                ui.label(
                    "Choose two sets of footage and start. To try it without footage, start from “demo”: it films a "
                    "street by day and by night, and learns in minutes."
                )
            return
        with ui.element("div").classes("runs"):
            for info in runs:
                self._card(info, "training" if info.folder in live else info.state)

    def _card(self, info: RunInfo, state: str) -> None:
        with ui.element("button").props("type=button").classes("run").on("click", lambda: self.open(info.folder)):
            with ui.element("span").classes("thumb"):
                if info.previews:
                    ui.element("img").props(f'src="{self._site.shelf.url(info.previews[-1])}" alt="" loading=lazy')
            with ui.element("span").classes("run-text"):
                ui.label(printable(info.name)).classes("bar-title")
                ui.label(" · ".join(filter(None, (words.pair(info.domains), words.length(info))))).classes("hint")
                ui.label(words.state(state)).classes(f"state {state}")
                ui.label(printable(info.verdict.headline if info.verdict else words.score(info))).classes("hint")
