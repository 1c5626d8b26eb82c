"""The fields that few need, folded away below "More" in the forms that train and translate."""

from typing import Any

from nicegui import ui

from recycle.ui import words
from recycle.ui.site import Site
from recycle.ui.widgets import Footage, hint

_FRESH = ""
"""The choice of no model to build on."""


class TrainMore:
    """A model to build on, and masks of the footage."""

    def __init__(self, site: Site) -> None:
        self._site = site
        with ui.expansion("More").classes("more"), ui.element("div").classes("stack"):
            self._model = ui.select({}, label="Build on a model").props("outlined dense options-dense")
            hint("Trains its networks further on your footage. That takes less time than starting afresh.")
            self._masks = [
                Footage(f"Mask of {letter}", site.shelf, slot=f"mask-{letter.lower()}", hint="/path/to/masks")
                for letter in ("A", "B")
            ]
            hint(
                "To change only an object: a video or pictures that show it in white, everything else in black. "
                "What is black stays as it is."
            )
        self.reload()

    def reload(self) -> None:
        """Read the list of models again."""
        models = {str(run.folder): words.named(run) for run in self._site.list_runs() if run.model}
        options = {_FRESH: "None: start afresh"} | models
        if options != self._model.options:
            self._model.set_options(options, value=self._model.value if self._model.value in options else _FRESH)

    @property
    def start_from(self) -> str:
        """Folder of the model to build on; '' for none."""
        return str(self._model.value or "")

    @property
    def masks(self) -> tuple[str, str]:
        """Paths of the masks of A and B; '' for none."""
        a, b = (mask.value for mask in self._masks)
        return a, b


class TranslateMore:
    """What of the translation is shown: where, how strongly, and with which colours."""

    def __init__(self, site: Site) -> None:
        with ui.expansion("More").classes("more"), ui.element("div").classes("stack"):
            self._mask = Footage("Mask", site.shelf, slot="mask", hint="/path/to/mask, or motion")
            hint(
                "Changes only what a video or picture shows in white. For a folder, a folder with masks of the same "
                "names. The word motion changes only what moves before a fixed camera."
            )
            self._strength = _percent("Strength", 100)
            hint("Mixes the translation with the video itself: 100 % is the translation alone.")
            self._calm = _percent("Reduce flicker", 0)
            hint("Averages each picture with earlier ones, along the motion. Try 80 % if the colours flicker.")
            self._colour = ui.checkbox("Keep the colours of the video, change only its brightness")

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of `TranslateSettings` that differ from the usual; `mask` is the text of its field."""
        chosen = {
            "mask": self._mask.value.strip(),
            "strength": _share(self._strength, 100),
            "stabilise": _share(self._calm, 0),
            "keep_colour": bool(self._colour.value),
        }
        usual = {"mask": "", "strength": 1.0, "stabilise": 0.0, "keep_colour": False}
        return {name: value for name, value in chosen.items() if value != usual[name]}


def _percent(label: str, value: int) -> ui.number:
    return ui.number(label, value=value, min=0, max=100, step=5, format="%g", suffix="%").props("outlined dense")


def _share(field: ui.number, usual: int) -> float:
    """The number of a field as a share of 1; `usual` percent if it is empty."""
    return float(usual if field.value is None else field.value) / 100
