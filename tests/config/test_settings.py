"""Every setting has a range: what is absurd is refused in one line, whichever setting it is given to."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from recycle.batch.ledger import Ledger
from recycle.config import DISCRIMINATORS, GENERATORS, PREDICTORS, Kinds, Pipeline, load_pipeline, parse_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import ConfigError, FootageError, OutputError, RecycleError
from recycle.runs.compare import compare

ABSURD = [math.nan, math.inf, -math.inf, 1e308, -1e308, 10**30, -(10**30), 2**63, 10**5000, "x" * 100_000, "\0"]
ODD = [*ABSURD, True, -1, 0, "", [], {}, [[]], None, [math.nan] * 2, [10**30] * 4, {"a": {}}, [0] * 10]


def fields(model: type[BaseModel], keys: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys of every setting, groups included; for each kind of network its own, under "NAME:KIND"."""
    for name, field in model.model_fields.items():
        yield (*keys, name)
        for kinds in [each for each in field.metadata if isinstance(each, Kinds)]:
            for kind, settings in kinds.classes.items():
                yield from fields(settings, (*keys, f"{name}:{kind}"))
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from fields(kind, (*keys, name))


FIELDS = list(fields(Pipeline))


def nested(keys: tuple[str, ...], value: object) -> dict[str, Any]:
    for key in reversed(keys):
        name, _, kind = key.partition(":")
        value = {name: {"kind": kind} | value if kind and isinstance(value, dict) else value}
    assert isinstance(value, dict)
    return value


def check(data: dict[str, Any]) -> Pipeline | None:
    """The pipeline if it is valid; else the refusal is one short line."""
    try:
        return parse_pipeline(data, where="test")
    except ConfigError as error:
        message = str(error)
    assert "\n" not in message
    assert message.startswith("test: ")
    assert len(message) < 2000
    return None


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for each in value.values():
            yield from numbers(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from numbers(each)
    elif isinstance(value, int | float):
        yield value


def test_all_groups_are_walked() -> None:
    assert len(FIELDS) > 100
    assert {("train", "augment", "colour"), ("footage", "street", "seconds"), ("translate", "crf")} <= set(FIELDS)
    roles: dict[str, Kinds[Any]] = {"generator": GENERATORS, "discriminator": DISCRIMINATORS, "predictor": PREDICTORS}
    for role, kinds in roles.items():
        for kind, settings in kinds.classes.items():
            assert {("networks", f"{role}:{kind}", key) for key in settings.model_fields} <= set(FIELDS)


@pytest.mark.parametrize("keys", FIELDS, ids=".".join)
def test_every_setting_refuses_what_is_absurd(keys: tuple[str, ...]) -> None:
    for value in ABSURD:
        assert check(nested(keys, value)) is None, value
        assert check(nested(keys, [value])) is None, value
        assert check(nested(keys, [value, value])) is None, value


@pytest.mark.parametrize("keys", FIELDS, ids=".".join)
def test_no_odd_value_is_a_traceback_and_what_is_taken_is_finite(keys: tuple[str, ...]) -> None:
    for value in ODD:
        pipeline = check(nested(keys, value))
        if pipeline is not None:
            assert all(abs(number) <= 1e10 for number in numbers(pipeline.model_dump(mode="json")))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([k[-1] for k in FIELDS]), inner),
    max_leaves=6,
)


@given(st.sampled_from(FIELDS), JSON)
def test_any_content_of_a_file_is_a_pipeline_or_one_line(keys: tuple[str, ...], value: object) -> None:
    check(nested(keys, value))


@pytest.mark.parametrize("many", [{"footage": {"a": ["v.mp4"] * 100_001}}, {"losses": {"augment": ["noise"] * 100}}])
def test_lists_are_bounded(many: dict[str, Any]) -> None:
    assert check(many) is None


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "/abs", "a/b", "../up", "a\\b", "new\nline", "nul\0", "esc\x1b[31m", "\u202etxt", "x" * 101],
)
def test_a_name_is_that_of_one_folder(name: str) -> None:
    assert check({"name": name}) is None
    assert check({"name": "Anna & Ben, 2nd try"}) is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\ufeffname = 'bom'".encode(), ""),
        ("name = 'x'".encode("utf-16"), "is text in UTF-16; save it as UTF-8"),
        ("name = 'ä'".encode("latin-1"), "is not text in UTF-8"),
        (b"x = " + b"[" * 100_000, "is not valid TOML: it is nested too deeply"),
        (b"[" + b"a." * 5_000 + b"a]\n", "task.toml"),
        (b"x = " + b"{a=" * 5_000, "is not valid TOML: it is nested too deeply"),
        (b"[train]\nsteps = " + b"9" * 5000, "is not valid TOML"),
        (b"[train]\nsteps = 0x" + b"f" * 50_000, "'train.steps'"),
        (b"#" * (2 << 20), "larger than 1 MiB"),
        (b"\0", "is not valid TOML"),
    ],
)
def test_any_file_is_read_or_refused_in_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_bytes(content)
    if not message:
        assert load_pipeline(tmp_path / "task.toml").name == "bom"
        return
    with pytest.raises(ConfigError) as caught:
        load_pipeline(tmp_path / "task.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "null", "9" * 5000, '{"width": 1e999}', "\0"])
def test_records_of_somebody_else_are_refused_in_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "manifest.json").write_text(content)
    with pytest.raises(FootageError, match="is not a manifest of 'recycle extract'"):
        find_shots(tmp_path)
    for name in ("pipeline.json", "translate.json", "other/pipeline.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(RecycleError, match=r"pipeline\.json"):
        compare([tmp_path, tmp_path / "other"], tmp_path / "page.html")
    with pytest.raises(OutputError, match="cannot be read as a record of translations"):
        Ledger(tmp_path)


@pytest.mark.parametrize("path", ["train.steps", "train.hours", "train.learning_rate", "extract.fps", "translate.crf"])
def test_true_is_no_number(path: str) -> None:
    group, name = path.split(".")
    with pytest.raises(ConfigError, match=f"'{name}' does not take true or false, got true"):
        parse_pipeline({group: {name: True}}, where="test")
