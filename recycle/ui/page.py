"""The page as one browser sees it: the tabs, and the line that shows what the server does now."""

from pathlib import Path

from nicegui import ui

from recycle.ui.compare_tab import CompareTab
from recycle.ui.site import Site
from recycle.ui.train_tab import TrainTab
from recycle.ui.translate_tab import TranslateTab
from recycle.ui.widgets import Bar

_REFRESH = 0.5
"""Seconds between two looks at what has changed."""
_SHOWN = 4
"""Maximum number of works that are shown at the foot of the page."""


class Page:
    """One browser's view of the site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        ui.add_head_html(
            '<link rel="stylesheet" href="/ui/page.css"><script type="module" src="/ui/parts.js"></script>'
        )
        ui.colors(primary="#2a62a6", secondary="#62646b", accent="#8440a8", positive="#1d7a45", negative="#b12a56")
        with ui.element("header").classes("top"):
            ui.label("recycle").classes("wordmark").props("role=heading aria-level=1")
            with ui.tabs().props("no-caps dense inline-label indicator-color=primary").classes("tabs") as self._tabs:
                for name in ("Train", "Translate", "Compare"):
                    ui.tab(name)
        with (
            ui.element("main").classes("main-part"),
            ui.tab_panels(self._tabs, value="Train", keep_alive=True).props("animated=false").classes("panels"),
        ):
            with ui.tab_panel("Train"):
                self._train = TrainTab(site, use=self._use)
            with ui.tab_panel("Translate"):
                self._translate = TranslateTab(site)
            with ui.tab_panel("Compare"):
                self._compare = CompareTab(site)
        self._foot = ui.element("aside").classes("activity").props("aria-label='What the server does now'")
        # Each bar keeps its work, so that a click never reaches the bar of another work.
        self._bars: dict[int, Bar] = {}
        self._parts: dict[str, TrainTab | TranslateTab | CompareTab]
        self._parts = {"Train": self._train, "Translate": self._translate, "Compare": self._compare}
        self._tabs.on_value_change(self._changed)
        ui.timer(_REFRESH, self.refresh)

    def _use(self, model: Path) -> None:
        """Translate with the model of a run."""
        self._tabs.set_value("Translate")
        self._translate.use(model)

    def _changed(self) -> None:
        if self._tabs.value == "Translate":
            self._translate.reload()
        self.refresh()

    def refresh(self) -> None:
        """Show what has changed on the server: in the open tab, and at the foot what that tab does not show."""
        part = self._parts[str(self._tabs.value)]
        part.refresh()
        others = [work for work in self._site.desk.works if not work.over and work is not part.work]
        shown = {id(work): work for work in others[:_SHOWN]}
        for gone in self._bars.keys() - shown.keys():
            self._bars.pop(gone).delete()
        for key, work in shown.items():
            if key not in self._bars:
                with self._foot:
                    self._bars[key] = Bar(self._site.desk)
            self._bars[key].show(work)
        self._foot.set_visibility(bool(shown))
