"""The generated pages and the JSON schema match the code, and the schema accepts what the code accepts."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from recycle.config import Pipeline, Settings, parse_pipeline, shipped_pipelines
from recycle.errors import ConfigError
from tools.write_reference import ROOT, docstrings, outputs, pipeline_schema

SCHEMA = pipeline_schema()
OUTPUTS = outputs()


@pytest.mark.parametrize("path", OUTPUTS, ids=str)
def test_generated_files_are_current(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == OUTPUTS[path], "run: python -m tools.write_reference"


def undescribed(part: Any, where: str = "") -> list[str]:
    """Settings without a description."""
    if isinstance(part, list):
        return [name for each in part for name in undescribed(each, where)]
    if not isinstance(part, dict):
        return []
    fields = part.get("properties", {})
    missing = [f"{part.get('title', where)}.{name}" for name, field in fields.items() if "description" not in field]
    return missing + [name for key, each in part.items() for name in undescribed(each, key)]


def test_settings_of_tools_and_of_extensions_do_not_count() -> None:
    class StreetSettings(Settings):
        a: int = 0

    assert StreetSettings.__name__ in SCHEMA["$defs"]
    assert pipeline_schema() == SCHEMA


def test_every_setting_is_described() -> None:
    assert [name for name in undescribed(SCHEMA) if not name.endswith(".kind")] == []


def test_descriptions_are_the_docstrings_of_the_fields() -> None:
    described = SCHEMA["$defs"]["TrainSettings"]["properties"]["hours"]["description"]
    assert described == docstrings(type(Pipeline().train))["hours"]
    assert described.startswith("Length of the run in hours")


@pytest.mark.parametrize("file", shipped_pipelines(), ids=lambda file: file.stem)
def test_shipped_pipelines_name_the_schema_beside_them_and_fit_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    head = text[: text.index("name = ")].splitlines()  # a directive counts among the comments before the first key
    (named,) = [line.removeprefix("#:schema ") for line in head if line.startswith("#:schema ")]
    schema = json.loads((file.parent / named).read_text(encoding="utf-8"))
    jsonschema.validate(tomllib.loads(text), schema)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ('footage = { a = "summer", b = ["winter", "more"] }', True),
        ("footage = { a = 3 }", False),
        ('networks = { generator = { kind = "unet", width = 8 } }', True),
        ('networks = { generator = { kind = "unte" } }', False),
        ("networks = { generator = { blokcs = 3 } }", False),
        ('networks = { discriminator = [{ width = 8 }, { kind = "projected" }] }', True),
        ("losses = { weights = { cycle = { ab = 10, ba = 0 } } }", True),
        ("losses = { weights = { cylce = 10 } }", False),
        ("train = { frames = 0 }", False),
        ("train = { size = [128, 128], steps = 200_000, stride = [1, 3] }", False),
        ("train = { frames = 2, size = [128, 128], steps = 200_000, stride = [1, 3] }", True),
        ("train = { size = [128] }", False),
        ("trian = {}", False),
        ('translate = { fps = "30000/1001", scale = 64, options = { tune = "film" } }', True),
        ('translate = { scale = "large" }', False),
        ('evaluate = { features = "none" }', True),
    ],
)
def test_the_schema_accepts_what_the_code_accepts(text: str, fits: bool) -> None:
    data = tomllib.loads(text)
    try:
        parse_pipeline(data, where="test")
    except ConfigError:
        taken = False
    else:
        taken = True
    assert taken == fits
    by_schema = jsonschema.Draft202012Validator(SCHEMA).is_valid(data)
    assert by_schema == fits or "stride" in text  # rules between settings are beyond a schema
