"""Pipeline files, written: the counterpart of recycle.config.load."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recycle.config.losses import LossSettings
from recycle.config.pipeline import Pipeline

_COLUMNS = 120
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")
_WEIGHTS, _NOISE = "losses.weights.", "losses.noise_back"


def to_toml(pipeline: Pipeline, reasons: Mapping[str, str] | None = None, head: Sequence[str] = ()) -> str:
    """A pipeline file that holds the settings which are not the defaults, and parses to an equal Pipeline.

    reasons: by the dotted name of a setting, such as 'train.size': a comment of one line beside or above it. head:
    lines of comment at the top. A setting that is None and whose default is not, which TOML cannot hold, is left out:
    'extract.short_side' alone can be such.
    """
    reasons = reasons or {}
    tables: dict[str, list[str]] = {"": []}
    for name, value in _changed(pipeline):
        table, _, key = name.rpartition(".")
        tables.setdefault(table, []).extend(_lines(f"{_key(key)} = {_value(value)}", reasons.get(name)))
    text = [line for note in head for line in _comment(note)]
    for table, lines in tables.items():
        if lines:
            text += ["", f"[{table}]"] if table else []
            text += lines
    return "\n".join(text) + "\n"


def _changed(pipeline: Pipeline) -> list[tuple[str, Any]]:
    """Settings by their dotted names, without those that a file has anyway when it does not name them."""
    own, default = (dict(_leaves(each.model_dump(mode="json"))) for each in (pipeline, Pipeline()))
    weights = pipeline.footage.paired or pipeline.losses.weights != LossSettings().weights
    if weights:  # a file that names some has no others, and no noise
        default |= {name: 0.0 for name in default if name.startswith(_WEIGHTS)}
        default |= {f"{_WEIGHTS}adversarial": 1.0, _NOISE: 0.0}
        own_weights = {name for name in own if name.startswith(_WEIGHTS) and own[name] != default[name]}
        if pipeline.footage.paired or not own_weights:  # else they would be those of pairs, or the default's
            default |= {f"{_WEIGHTS}{name}": None for name in ("adversarial", "paired")}
    judges = pipeline.networks.discriminator
    if isinstance(judges, tuple):
        own["networks.discriminator"] = [
            {"kind": each.kind, **each.model_dump(mode="json", exclude_defaults=True)} for each in judges
        ]
    return [(name, value) for name, value in own.items() if value is not None and value != default.get(name)]


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Single settings by their dotted names; those of a group itself before those of its groups."""
    groups = {key: value for key, value in settings.items() if isinstance(value, dict)}
    yield from ((f"{above}{key}", value) for key, value in settings.items() if key not in groups)
    for key, value in groups.items():
        yield from _leaves(value, f"{above}{key}.")


def _lines(setting: str, reason: str | None) -> list[str]:
    if reason is None:
        return [setting]
    beside = f"{setting} # {_plain(reason)}"
    return [beside] if len(beside) <= _COLUMNS else [*_comment(reason), setting]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        _plain(text), _COLUMNS, initial_indent="# ", subsequent_indent="# ", break_long_words=False
    ) or ["#"]


def _plain(text: str) -> str:
    """Text without the control characters that a comment may not hold."""
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
