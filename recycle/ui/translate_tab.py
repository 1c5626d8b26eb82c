"""The tab that translates a file or a folder."""

from pathlib import Path

from nicegui import ui

import recycle
from recycle.domains import LETTERS, Names
from recycle.errors import RecycleError
from recycle.names import plain
from recycle.safe_text import printable
from recycle.ui import words
from recycle.ui.desk import Work
from recycle.ui.more import TranslateMore
from recycle.ui.site import Site, Translated
from recycle.ui.widgets import Bar, Footage, Message, button, heading, lead, list_notices, reveal
from recycle.video.find import VIDEO_SUFFIXES

_OTHER = ""
"""The choice of a model that is in no list."""
_LINKED = 200
"""Maximum number of files of a folder that can be downloaded from the page."""


class TranslateTab:
    """The form and the result of the last translation that this page has started."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.work: Work | None = None
        self._shown = -1
        self._suggested = ""
        self._origin = self._target = ""  # names of the domains of the work that is shown
        with ui.element("div").classes("columns"):
            with ui.element("section").classes("card form"):
                self._form()
            self._right = ui.element("section").classes("card result").props("aria-label=Result")
            with self._right:
                self._result()
        self.reload()

    def _form(self) -> None:
        heading("Translate")
        lead("Turn a video, or all videos of a folder, into the other domain.")
        self._source = Footage(
            "Video or folder", self._site.shelf, slot="source", hint="/path/to/video.mp4", on_change=self._suggest
        )
        self._model = ui.select({}, label="Model", on_change=self._picked).props("outlined dense options-dense")
        self._path = ui.input("Folder of the model", on_change=self._picked).props("outlined dense")
        self._way = ui.toggle({}, on_change=self._suggest).props(
            "no-caps flat spread toggle-color=none toggle-text-color=none aria-label=Direction"
        )
        self._way.classes("ways")
        self._output = ui.input("Write to").props("outlined dense")
        self._overwrite = ui.checkbox("Replace it if it exists")
        self._more = TranslateMore(self._site)
        with ui.element("div").classes("actions"):
            button("Translate", lambda: self._start(preview=False), main=True)
            button("Preview 4 seconds", lambda: self._start(preview=True))
        self._message = Message()

    def _result(self) -> None:
        self._bar = Bar(self._site.desk)
        with ui.element("div").classes("empty") as self._empty:
            heading("No translation yet", level=3)
            ui.label(
                "Choose a video and a model, then look at a preview of 4 seconds from its middle. If it looks right, "
                "translate the whole."
            )
        self._place = ui.element("div").classes("place")
        self._files = ui.element("div").classes("files")
        self._notes = ui.element("ul").classes("notes")

    def reload(self) -> None:
        """Read the list of models again."""
        models = {str(run.folder): words.named(run) for run in self._site.list_runs() if run.model}
        chosen = self._model.value if self._model.value in models else next(iter(models), _OTHER)
        options = models | {_OTHER: "Another folder …"}
        if options != self._model.options or self._model.value != chosen:
            self._model.set_options(options, value=chosen)
        self._picked()

    def use(self, folder: Path) -> None:
        """Choose the model of a run."""
        self.reload()
        self._model.set_value(str(folder))

    @property
    def _folder(self) -> str:
        return str(self._model.value or self._path.value or "").strip()

    def _names(self) -> tuple[Names, tuple[str, ...]]:
        """The names of the chosen model's domains, and those to which it translates."""
        try:
            info = recycle.run_info(self._folder) if self._folder else None
        except RecycleError:
            info = None
        return (LETTERS, (LETTERS.b, LETTERS.a)) if info is None else (info.domains, info.targets)

    def _picked(self) -> None:
        """Offer the directions of the chosen model."""
        self._path.set_visibility(self._model.value == _OTHER)
        names, targets = self._names()
        ways = {target: f"{names.b if target == names.a else names.a} → {target}" for target in targets}
        if ways != self._way.options:
            self._way.set_options(ways, value=targets[0])

    def _suggest(self) -> None:
        """Name the output after the source, unless the user has typed another name."""
        if self._output.value not in ("", self._suggested):
            return
        self._suggested = self._site.suggest(self._source.value, str(self._way.value or "b"))
        self._output.set_value(self._suggested)

    def _start(self, *, preview: bool) -> None:
        def start() -> None:
            self.work = self._site.translate(
                self._source.value,
                str(self._output.value or ""),
                model=self._folder,
                to=str(self._way.value),
                overwrite=bool(self._overwrite.value),
                preview=preview,
                **self._more.settings,
            )

        if self._message.attempt(start):
            (names, _), self._target = self._names(), str(self._way.value)
            self._origin = names.a if self._target == names.b else names.b
            self._shown = -1
            self.refresh()
            reveal(self._right)

    def refresh(self) -> None:
        """Show what has changed."""
        work = self.work
        if work is None or (work.changes == self._shown and work.over):
            return
        self._shown = work.changes
        self._empty.set_visibility(False)
        self._bar.show(work)
        if work.files:
            self._list(work)
        if work.over:
            self._end(work)

    def _end(self, work: Work) -> None:
        self._place.clear()
        if work.error:
            if work.state == "stopped":
                self._message.note("Stopped. Translate again to go on where it stopped.")
            else:
                self._message.error(work.error)
        list_notices(self._notes, work.notices)
        if isinstance(work.result, Translated):
            with self._place:
                self._play(work.result)
        self._suggest()

    def _play(self, done: Translated) -> None:
        shelf = self._site.shelf
        beside = f'source-url="{shelf.url(done.source)}"' if done.source else ""
        if done.output.is_dir():
            outputs = [path for path in sorted(done.output.rglob("*")) if path.suffix.lower() in VIDEO_SUFFIXES]
            for path in outputs[:_LINKED]:
                self._download(path)
            ui.label(f"Written to {printable(str(done.output))}").classes("where")
            return
        if done.output.suffix.lower() in (".mp4", ".m4v", ".webm"):
            named = f'source-name="{self._origin}" result-name="{self._target}"'
            ui.element("recycle-player").props(f'result-url="{shelf.url(done.output)}" {beside} {named}')
        elif done.output.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".bmp"):
            ui.element("img").props(f'src="{shelf.url(done.output)}" alt="The translation"').classes("still")
        else:
            ui.label(f"Browsers do not play {done.output.suffix} files; download it to look at it.")
        if done.preview:
            lead("A preview of 4 seconds. If it looks right, translate the whole.")
            return
        if done.resumed:
            lead(f"Went on after {done.resumed} finished frames.")
        self._download(done.output)
        ui.label(f"Written to {printable(str(done.output))}").classes("where")

    def _download(self, path: Path) -> None:
        size = path.stat().st_size
        with ui.element("a").classes("download") as link:
            ui.label(f"Download {printable(plain(path.name))} ({size / 2**20:.1f} MB)")
        link.props(f'href="{self._site.shelf.url(path, download=True)}" download')

    def _list(self, work: Work) -> None:
        """The files of a folder, with their states."""
        self._files.clear()
        with self._files:
            for file in work.files.values():
                with ui.element("div").classes("file"):
                    ui.label(printable(file.name)).classes("grow")
                    count = f"{file.done} of {file.total} frames" if file.total and file.state == "running" else ""
                    ui.label(count or words.state(file.state)).classes(f"state {file.state}")
                    if file.detail:
                        ui.label(printable(words.offered(file.detail))).classes("detail")
