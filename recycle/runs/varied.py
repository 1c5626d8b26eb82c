"""Settings whose values are searched: what they may be, and how they are written on the command line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recycle.config import Pipeline, parse_pipeline
from recycle.errors import ConfigError
from recycle.safe_text import brief, printable

Value = float | int | str | bool
_FORM = "NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=VALUE,VALUE,…"


@dataclass(frozen=True)
class Span:
    """All numbers from `low` to `high`; whole numbers if both are int. `log`: spread evenly over their logarithms."""

    low: float | int
    high: float | int
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def holds(self, value: object) -> bool:
        """Whether a value lies within."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


Choices = Span | Sequence[Value]


def parse_varied(texts: Sequence[str]) -> dict[str, Choices]:
    """The settings to vary from texts such as 'train.learning_rate=1e-4:1e-3:log' or 'networks.generator.width=16,32'.

    Raises ConfigError for other texts, and for a name that is given twice.
    """
    varied: dict[str, Choices] = {}
    for text in texts:
        name, sign, values = text.partition("=")
        name = name.strip()
        if not sign or not re.fullmatch(r"\w+(\.\w+)+", name) or not values.strip():
            raise ConfigError(f"--vary expects {_FORM}, such as train.learning_rate=1e-4:1e-3:log, got {brief(text)}")
        if name in varied:
            raise ConfigError(f"--vary names {name} twice; give all its values in one")
        varied[name] = _choices(name, values)
    return varied


def _choices(name: str, text: str) -> Choices:
    if ":" not in text:
        return tuple(_value(each) for each in text.split(","))
    low, high, *rest = (_value(each) for each in text.split(":"))
    numbers = [each for each in (low, high) if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(numbers) < 2 or rest not in ([], ["log"]):
        raise ConfigError(f"--vary {name}: expected LOW:HIGH or LOW:HIGH:log with two numbers, got {brief(text)}")
    return Span(numbers[0], numbers[1], log=bool(rest))


def _value(text: str) -> Value:
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def check_varied(pipeline: Pipeline, varied: Mapping[str, Choices]) -> None:
    """Raise ConfigError unless each setting exists, and each of its values (of a span, both ends) is valid."""
    if not varied:
        raise ConfigError(f"nothing to tune; name at least one setting with --vary {_FORM}")
    for name, choices in varied.items():
        if isinstance(choices, Span):
            if not choices.low < choices.high or (choices.log and choices.low <= 0):
                raise ConfigError(
                    f"{name}: expected two ascending numbers{', both above 0' if choices.log else ''}, got "
                    f"{choices.low} and {choices.high}"
                )
            tried: Sequence[Value] = (choices.low, choices.high)
        else:
            tried = choices
        for value in tried:
            with_values(pipeline, {name: value})


def with_values(pipeline: Pipeline, values: Mapping[str, Value]) -> Pipeline:
    """The pipeline with these settings. Raises ConfigError if there is no such setting, or if a value is invalid."""
    data: dict[str, Any] = pipeline.model_dump()
    for name, value in values.items():
        *groups, last = name.split(".")
        group: Any = data
        for key in groups:
            group = group.get(key) if isinstance(group, dict) else None
        if not isinstance(group, dict) or last not in group:
            raise ConfigError(
                f"there is no setting {printable(name)} in this pipeline; see docs/reference/settings.md (networks in "
                "a list cannot be varied)"
            )
        if isinstance(group[last], dict | list):
            raise ConfigError(f"{name} is a group of settings; name one of them, such as {name}.…")
        group[last] = value
    return parse_pipeline(data, where=", ".join(f"{name} = {value}" for name, value in values.items()))


def current(pipeline: Pipeline, varied: Mapping[str, Choices]) -> dict[str, Value] | None:
    """The pipeline's own values of the varied settings; None if one of them is not among its choices."""
    data: Any = pipeline.model_dump()
    values: dict[str, Value] = {}
    for name, choices in varied.items():
        value = data
        for key in name.split("."):
            value = value[key]
        if not (choices.holds(value) if isinstance(choices, Span) else value in choices):
            return None
        values[name] = value
    return values
