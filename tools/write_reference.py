"""Write the generated parts of the documentation, and the JSON schema of pipeline files.

Usage: python -m tools.write_reference

Run it after a change of a setting or of the command line. `tests/tools/test_write_reference.py` compares its output
with the files.
"""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from typer.cli import get_docs_for_click

from recycle.cli.app import app
from recycle.config import DISCRIMINATORS, GENERATORS, PREDICTORS, Kinds, Pipeline, Settings, StreetSettings

ROOT = Path(__file__).parents[1]
SETTINGS_PAGE = """# Settings

Every setting of a pipeline file, with its type, its range and its default. This page is generated from the code.

A pipeline file is written in [TOML](https://toml.io). A file only names what differs from the defaults. An unknown key
or a value out of range is an error that names the key. Many settings that would have no effect are errors too. Paths
are relative to the pipeline file.

Print an example with `recycle pipelines signers`.

The included files name a JSON schema in a `#:schema` comment, so editors with the TOML language server Taplo (such as
VS Code with Even Better TOML) complete and check them. The schema is `pipeline.schema.json`, in the folder `pipelines`
of the repository and of the installed package. The text that `recycle pipelines NAME` prints contains the address of
the schema, so a copy of it may lie in any folder.
"""
COMMAND_PAGE = """# Command line

Every command, its arguments and its options. This page is generated from the code; `recycle COMMAND --help` shows the
same. [Exit codes](video.md#exit-codes) are listed with the rules for video.
"""
_KINDS: dict[str, Kinds[Any]] = {"generator": GENERATORS, "discriminator": DISCRIMINATORS, "predictor": PREDICTORS}


def outputs() -> dict[Path, str]:
    """Each generated file, by its path from the project's folder."""
    return {
        Path("pipelines/pipeline.schema.json"): json.dumps(pipeline_schema(), indent=1, ensure_ascii=False) + "\n",
        Path("docs/reference/settings.md"): settings_page(),
        Path("docs/reference/command-line.md"): command_page(),
    }


def pipeline_schema() -> dict[str, Any]:
    """The JSON schema of a pipeline file: pydantic's, with the docstrings of settings as descriptions.

    Two rules that pydantic cannot express are added: a single path may replace a list of paths, and a file can only
    contain losses that ship.
    """
    schema = Pipeline.model_json_schema()
    ours = [model for model in _models(Settings) if model.__module__.startswith("recycle.")]  # a tool may have others
    described = {model.__name__: docstrings(model) for model in ours}
    _complete(schema, described)
    definitions = schema["$defs"]
    for name, field in definitions["FootageSettings"]["properties"].items():
        if field.get("type") == "array":
            path = {"type": "string", "format": "path"}
            paths = {"type": field.pop("type"), "items": path, "maxItems": field.pop("maxItems")}
            del field["items"]
            definitions["FootageSettings"]["properties"][name] = {"anyOf": [path, paths], **field}
    definitions["LossWeights"]["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The docstring of each field of a settings class, including its base classes, as one line."""
    found: dict[str, str] = {}
    for each in reversed([cls for cls in model.__mro__ if issubclass(cls, Settings) and cls is not Settings]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found


def settings_page() -> str:
    """Every setting under a heading of its own, group by group."""
    schema = pipeline_schema()
    groups = {name: value for name, value in Pipeline() if isinstance(value, Settings)}
    lines = [f"{SETTINGS_PAGE}\n## Top level\n"]
    lines += _fields("", schema, Pipeline(), schema["$defs"], skip=tuple(groups))
    for name, group in groups.items():
        lines += _group(name, group, schema["$defs"])
    return "\n".join(lines)


def command_page() -> str:
    """Every command of the command line, as typer documents it."""
    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="recycle")
    lines = [COMMAND_PAGE]
    for name in group.list_commands(context):  # type: ignore[attr-defined]
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        text = get_docs_for_click(obj=command, ctx=context, name=name, indent=1, call_prefix="recycle")
        text = re.sub(r"^Example: (.*)$", r"Example: `\1`", text, flags=re.MULTILINE)
        lines.append(text.replace("console\n$ ", "text\n").strip() + "\n")
    return "\n".join(lines)


def _models(base: type[Settings]) -> Iterator[type[Settings]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _complete(part: Any, described: Mapping[str, Mapping[str, str]]) -> None:
    """Add docstrings to every class within a schema; remove titles, and bounds that are not valid JSON schema."""
    if isinstance(part, list):
        for each in part:
            _complete(each, described)
    if not isinstance(part, dict):
        return
    texts = described.get(part.get("title", ""), {})
    for name, field in part.get("properties", {}).items():
        field.pop("title", None)
        if name in texts:
            field["description"] = texts[name]
    for key in ("ge", "le"):
        part.pop(key, None)
    for each in part.values():
        _complete(each, described)


def _group(name: str, default: Settings, definitions: Mapping[str, Any]) -> Iterator[str]:
    """The documentation of one table of the pipeline file, and of the tables within it."""
    model = type(default)
    yield f"## `[{name}]`\n"
    yield f"{inspect.cleandoc(model.__doc__ or '')}\n"
    tables = {
        field: value
        for field in model.model_fields
        if isinstance(value := getattr(default, field), Settings) or field == "street"
    }
    schema = definitions[model.__name__]
    yield from _fields(f"{name}.", schema, default, definitions, skip=tuple(tables))
    for field, value in tables.items():
        if kinds := _KINDS.get(field):
            text = docstrings(model).get(field, "")
            yield f"## `[{name}.{field}]`\n\n{text}\n"
            alternatives = schema["properties"][field]["anyOf"]
            for kind, settings in kinds.classes.items():
                own = next(each for each in alternatives if each.get("title") == settings.__name__)
                yield f'### `kind = "{kind}"`\n\n{inspect.cleandoc(settings.__doc__ or "")}\n'
                yield from _rows(own, settings(), definitions)
        else:
            group = StreetSettings() if value is None else value
            yield from _group(f"{name}.{field}", group, definitions)


def _fields(
    prefix: str, schema: Mapping[str, Any], default: Settings, definitions: Mapping[str, Any], *, skip: tuple[str, ...]
) -> Iterator[str]:
    for name, field in schema["properties"].items():
        if name not in skip:
            yield f"### `{prefix}{name}`\n"
            yield f"{_facts(field, getattr(default, name), definitions)}\n"
            yield f"{field.get('description', '')}\n"


def _rows(schema: Mapping[str, Any], default: Settings, definitions: Mapping[str, Any]) -> Iterator[str]:
    """The settings of one kind of network, without headings, because kinds share names of settings."""
    for name, field in schema["properties"].items():
        if name != "kind":
            facts = _facts(field, getattr(default, name), definitions)
            yield f"- `{name}` ({facts}): {field.get('description', '')}"
    yield ""


def _facts(field: Mapping[str, Any], default: object, definitions: Mapping[str, Any]) -> str:
    """Type, range and default, as text."""
    shown = default.model_dump(mode="json") if isinstance(default, Settings) else default
    value = "none" if shown is None else json.dumps(shown, ensure_ascii=False, default=str)
    return f"{_type(field, definitions)}; default: `{value}`"


def _type(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        kinds = [_type(each, definitions) for each in field["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in field:
        table = definitions[field["$ref"].rpartition("/")[2]]
        return f"a table of {' and '.join(f'`{name}`' for name in table['properties'])}"
    if "enum" in field or "const" in field:
        return " or ".join(f"`{json.dumps(value)}`" for value in field.get("enum", [field.get("const")]))
    if field["type"] == "array":
        items = field.get("prefixItems")
        if items:
            return f"{len(items)} of: {_type(items[0], definitions)}"
        return f"a list of: {_type(field['items'], definitions)}"
    if "format" in field:
        return field["format"]
    words = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "object": "table"}
    return words[field["type"]] + _range(field)


def _range(field: Mapping[str, Any]) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "up to", "exclusiveMaximum": "below"}
    return "".join(f" {word} {_number(field[key])}" for key, word in words.items() if key in field)


def _number(value: float) -> str:
    return f"{value:.15g}".replace("e+0", "e")


def main() -> None:
    """Write every generated file."""
    for path, text in outputs().items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
