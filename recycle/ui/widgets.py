"""Parts that several tabs share: headings, messages, progress, and the field for footage with its folder picker."""

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from nicegui import ui

from recycle.errors import RecycleError
from recycle.names import plain
from recycle.safe_text import printable
from recycle.ui import words
from recycle.ui.desk import Desk, Work
from recycle.ui.shelf import MOST, MOST_FILES, Shelf
from recycle.video.find import VIDEO_SUFFIXES
from recycle.video.numbered import IMAGE_SUFFIXES, natural_key

_LISTED = 400
"""Maximum number of entries of a folder that the picker lists."""


def heading(text: str, *, level: int = 2) -> ui.element:
    """A heading of the page."""
    return _tag(f"h{level}", text)


def lead(text: str) -> ui.element:
    """A sentence below a heading."""
    return _tag("p", text).classes("lead")


def hint(text: str) -> ui.element:
    """A sentence that explains a field."""
    return _tag("p", text).classes("hint")


def _tag(name: str, text: str) -> ui.element:
    with ui.element(name) as made:
        ui.label(printable(text)).props("tag=span").classes("text")
    return made


def button(text: str, act: Callable[[], object], *, main: bool = False) -> ui.button:
    """A button; `main` marks the one that goes on."""
    return ui.button(text, on_click=act, color=None).props("no-caps flat").classes("main" if main else "second")


def list_notices(place: ui.element, notices: Iterable[str]) -> None:
    """Show these notices, and no others, as a list."""
    place.clear()
    with place:
        for notice in notices:
            with ui.element("li"):
                ui.label(printable(words.offered(notice)))


def reveal(part: ui.element) -> None:
    """Scroll to a part of the page where it lies below the form, on a narrow screen."""
    part.client.run_javascript(f"innerWidth > 860 || document.getElementById('{part.html_id}').scrollIntoView()")


class Message:
    """One line about what went wrong, or what was done, which screen readers announce."""

    def __init__(self) -> None:
        self._label = ui.label().classes("message").props("role=status")
        self.clear()

    def clear(self) -> None:
        """Show nothing."""
        self._label.set_visibility(False)

    def error(self, text: str) -> None:
        """Show an error."""
        self._show(text, "error")

    def note(self, text: str) -> None:
        """Show a note."""
        self._show(text, "note")

    def _show(self, text: str, kind: str) -> None:
        self._label.set_text(printable(words.offered(" ".join(text.split()))))
        self._label.classes(kind, remove="error note")
        self._label.set_visibility(True)

    def attempt(self, act: Callable[[], object]) -> bool:
        """Call `act`; whether it succeeded. Its error is shown."""
        self.clear()
        try:
            act()
        except RecycleError as error:
            self.error(str(error))
            return False
        return True


class Bar:
    """The progress of one work, with a button that stops it."""

    def __init__(self, desk: Desk, *, title: bool = True) -> None:
        self._desk, self._titled = desk, title
        self._work: Work | None = None
        with ui.element("div").classes("bar") as self._box:
            with ui.element("div").classes("bar-text"):
                self._title = ui.label().classes("bar-title")
                self._text = ui.label().classes("bar-progress")
            self._stop = button("Stop", self._stopped)
            self._line = ui.linear_progress(0, show_value=False, size="4px").props("aria-label=Progress")
        self.show(None)

    def show(self, work: Work | None) -> None:
        """Show the progress of a work, or nothing."""
        self._work = work
        self._box.set_visibility(work is not None)
        if work is None:
            return
        self._title.set_text(printable(work.title) if self._titled else "")
        self._title.set_visibility(self._titled)
        self._text.set_text(printable(words.progress(work)))
        share = words.share(work)
        self._line.set_value(round(share or 0, 4))
        running = work.state in ("running", "stopping")
        self._line.props("indeterminate" if share is None and running else "", remove="indeterminate" if share else "")
        self._line.set_visibility(running)
        self._stop.set_text("Remove" if work.state == "waiting" else "Stop")
        self._stop.set_visibility(work.state in ("waiting", "running"))

    def delete(self) -> None:
        """Remove the bar from the page."""
        self._box.delete()

    def _stopped(self) -> None:
        if self._work is not None:
            self._desk.stop(self._work)
            self.show(self._work)


class Footage:
    """A field for the path of a file or folder, with a folder picker and an upload."""

    def __init__(
        self, label: str, shelf: Shelf, *, slot: str, hint: str = "", on_change: Callable[[], object] | None = None
    ) -> None:
        self._shelf, self._slot = shelf, slot
        with ui.element("div").classes("footage"):
            with ui.element("div").classes("path"):
                self._input = ui.input(label, placeholder=hint, on_change=on_change).props("outlined dense")
                self._input.classes("grow")
                picked = Picker(self._picked)
                button("Browse", lambda: picked.open(self.value)).props(f'aria-label="Browse: {label}"')
            url, self._folder = shelf.slot(slot)
            self._upload = ui.element("recycle-upload").props(
                f'to="{url}" most-files={MOST_FILES} most-bytes={MOST} aria-label="Upload: {label}"'
            )
            self._upload.on("uploaded", self._uploaded, args=[])

    @property
    def value(self) -> str:
        """The path as typed, chosen or uploaded."""
        return str(self._input.value or "")

    @value.setter
    def value(self, path: str) -> None:
        self._input.set_value(path)

    def _picked(self, path: Path) -> None:
        self.value = str(path)

    def _uploaded(self) -> None:
        """Use the only uploaded file, or the folder of all of them."""
        if not self._folder.is_dir():
            return
        files = [path for path in self._folder.iterdir() if not path.name.startswith(".")]
        self.value = str(files[0] if len(files) == 1 else self._folder)


class Picker:
    """A dialog that walks through the folders of the server that its user may read."""

    def __init__(self, chosen: Callable[[Path], None]) -> None:
        self._chosen = chosen
        self._folder = Path.cwd()
        with ui.dialog() as self._dialog, ui.card().classes("picker"):
            self._title = ui.label().classes("picker-title")
            self._list = ui.element("div").classes("picker-list").props('role=group aria-label="Files and folders"')
            with ui.element("div").classes("actions"):
                button("Use this folder", self._use, main=True)
                button("Cancel", self._dialog.close)

    def open(self, start: str) -> None:
        """Show the folder of the path `start`, or the last one."""
        path = Path(start.strip()).expanduser().absolute() if start.strip() else self._folder
        self._show(next((own for own in (path, *path.parents) if own.is_dir()), Path.cwd()))
        self._dialog.open()

    def _use(self) -> None:
        self._dialog.close()
        self._chosen(self._folder)

    def _show(self, folder: Path) -> None:
        try:
            folders, files = entries(folder)
        except OSError as error:
            self._title.set_text(printable(f"{folder}: {error.strerror}"))
            return
        self._folder = folder
        self._title.set_text(printable(str(folder)))
        self._list.clear()
        with self._list:
            if folder.parent != folder:
                self._row("up", "..", lambda: self._show(folder.parent))
            for own in folders[:_LISTED]:
                self._row("folder", own.name, partial(self._show, own))
            for own in files[:_LISTED]:
                self._row("film", own.name, partial(self._take, own))
            if not (folders or files):
                ui.label("No folders and no videos here.").classes("empty-line")
            if max(len(folders), len(files)) > _LISTED:
                ui.label("There is more here; type the path in the field.").classes("empty-line")

    def _row(self, kind: str, name: str, act: Callable[[], None]) -> None:
        with ui.element("button").props("type=button").classes(f"entry {kind}").on("click", act):
            ui.label(printable(plain(name)))

    def _take(self, path: Path) -> None:
        self._dialog.close()
        self._chosen(path)


def entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders in `folder` that the user may read, and the videos and images. Raises OSError."""
    folders, files = [], []
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith(".") or not os.access(entry.path, os.R_OK):
                continue
            path = Path(entry.path)
            if entry.is_dir():
                folders += [path] if os.access(entry.path, os.X_OK) else []
            elif entry.is_file() and path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
                files.append(path)
    return sorted(folders, key=_order), sorted(files, key=_order)


def _order(path: Path) -> list[str | int]:
    return natural_key(path.name)
