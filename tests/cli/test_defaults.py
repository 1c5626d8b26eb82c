"""Defaults live in the settings; the command line shows the same ones."""

import inspect
from typing import Any

import pytest

from recycle.cli.distill import distill
from recycle.cli.evaluate import evaluate
from recycle.cli.extract import extract
from recycle.cli.street import street
from recycle.cli.translate import translate
from recycle.config import (
    DistillSettings,
    EvaluateSettings,
    ExtractSettings,
    FilmSettings,
    Settings,
    TranslateSettings,
)

GROUPS: dict[Any, tuple[type[Settings], ...]] = {
    distill: (DistillSettings,),
    evaluate: (EvaluateSettings, TranslateSettings),
    extract: (ExtractSettings,),
    street: (FilmSettings,),
    translate: (TranslateSettings,),
}


@pytest.mark.parametrize("command", GROUPS, ids=lambda command: command.__name__)
def test_an_options_default_is_that_of_its_setting(command: Any) -> None:
    settings = {name: field for group in GROUPS[command] for name, field in group.model_fields.items()}
    shown = {
        name: option.default
        for name, option in inspect.signature(command).parameters.items()
        if name in settings and option.default is not None  # None: the default of the settings
    }
    shown.pop("palette", None)  # counts only with --labels, which has no default
    assert shown, "the command shares no option with its settings"
    assert shown == {name: settings[name].default for name in shown}
