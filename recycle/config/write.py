"""Writes pipeline files: the counterpart of `recycle.config.load`."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recycle.config.losses import LossSettings
from recycle.config.pipeline import Pipeline

_COLUMNS = 80
"""Columns of a line, if its setting fits: a plan is read in a terminal."""
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")
_WEIGHTS, _NOISE = "losses.weights.", "losses.noise_back"


def to_toml(pipeline: Pipeline, reasons: Mapping[str, str] | None = None, head: Sequence[str] = ()) -> str:
    """The text of a pipeline file with the settings that differ from their defaults. It parses to an equal Pipeline.

    `reasons` maps the dotted name of a setting, such as 'train.size', to a comment that is written beside or above it.
    `head` holds the lines of the comment at the top. TOML cannot hold None, so a setting that is None although its
    default is not is left out; only 'extract.short_side' can be such a setting.
    """
    reasons = reasons or {}
    tables: dict[str, list[str]] = {"": []}
    for name, value in _changed(pipeline):
        table, _, key = name.rpartition(".")
        tables.setdefault(table, []).extend(_lines(_key(key), value, reasons.get(name)))
    text = [line for note in head for line in _comment(note)]
    for table, lines in tables.items():
        if lines:
            text += ["", f"[{table}]"] if table else []
            text += lines
    return "\n".join(text) + "\n"


def _changed(pipeline: Pipeline) -> list[tuple[str, Any]]:
    """The settings that a file must name, by their dotted names: those that it would not have otherwise."""
    own, default = (dict(_leaves(each.model_dump(mode="json"))) for each in (pipeline, Pipeline()))
    weights = pipeline.footage.paired or pipeline.losses.weights != LossSettings().weights
    if weights:  # if a file names weights, the others and the noise are 0
        default |= {name: 0.0 for name in default if name.startswith(_WEIGHTS)}
        default |= {f"{_WEIGHTS}adversarial": 1.0, _NOISE: 0.0}
        own_weights = {name for name in own if name.startswith(_WEIGHTS) and own[name] != default[name]}
        if pipeline.footage.paired or not own_weights:  # without any, the weights for pairs or the defaults would apply
            default |= {f"{_WEIGHTS}{name}": None for name in ("adversarial", "paired")}
    of_kind: dict[str, Any] = {}  # each kind of network has its own defaults
    for role, settings in pipeline.networks:
        if not isinstance(settings, tuple):
            given = type(settings)().model_dump(mode="json", exclude={"kind"})
            of_kind |= {f"networks.{role}.{name}": value for name, value in given.items()}
    judges = pipeline.networks.discriminator
    if isinstance(judges, tuple):
        own["networks.discriminator"] = [
            {"kind": each.kind, **each.model_dump(mode="json", exclude_defaults=True)} for each in judges
        ]
    return [
        (name, value)
        for name, value in own.items()
        if value is not None and (value != default.get(name) or value != of_kind.get(name, value))
    ]


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Single settings by their dotted names; those of a group come before those of its subgroups."""
    groups = {key: value for key, value in settings.items() if isinstance(value, dict)}
    yield from ((f"{above}{key}", value) for key, value in settings.items() if key not in groups)
    for key, value in groups.items():
        yield from _leaves(value, f"{above}{key}.")


def _lines(key: str, value: Any, reason: str | None) -> list[str]:
    """A setting, its reason beside or above it, a long list with an element in each line."""
    setting = [f"{key} = {_value(value)}"]
    if isinstance(value, list | tuple) and len(setting[0]) > _COLUMNS:
        setting = [f"{key} = [", *(f"    {_value(each)}," for each in value), "]"]
    if reason is None:
        return setting
    beside = f"{setting[0]} # {_plain(reason)}"
    return [beside] if len(setting) == 1 and len(beside) <= _COLUMNS else [*_comment(reason), *setting]


def _comment(text: str) -> list[str]:
    lines = textwrap.wrap(
        _plain(text),
        _COLUMNS,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,  # paths stay whole
    )
    return lines or ["#"]


def _plain(text: str) -> str:
    """Text with spaces in place of characters that are not printable, such as control characters."""
    return "".join(c if c.isprintable() else " " for c in text)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items() if each is not None)} }}"
    return json.dumps(value)  # true, 3, 0.5, 1e-05: the same in TOML
