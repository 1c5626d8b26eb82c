"""Reads and validates pipeline files and options. The first problem becomes an error of one line."""

import codecs
import difflib
import re
import tomllib
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from recycle.config.networks import Kinds
from recycle.config.pipeline import Pipeline
from recycle.errors import ConfigError
from recycle.run_folder import RunFolder, model_place
from recycle.safe_text import brief

T = TypeVar("T", bound=BaseModel)

_TYPE = re.compile(r"(?:literal|function|constrained|tuple)\W|[A-Z]")
"""Matches the names that pydantic gives to types, as in 'tuple[int, int]' and 'PerDirection'."""
_IN_TOML = {"tuple_type": "Input should be a list", "model_type": "Input should be a table of settings"}
"""Type of a problem → the message of pydantic in the words of TOML."""
_LARGEST_FILE = 1 << 20
"""Maximum size of a pipeline file in bytes; the included ones have about a thousand."""


def load_pipeline(path: Path) -> Pipeline:
    """Read and validate a pipeline's TOML file. Its relative paths are resolved against its folder.

    Raises ConfigError, in one line, if the file cannot be read or is not TOML, for an unknown key (with a similar known
    one), and for an invalid value.
    """
    data = read_toml(path)
    pipeline = parse_pipeline(data, where=str(path))
    paths = {
        name: tuple(path.parent / p.expanduser() for p in value)
        for name, value in pipeline.footage
        if isinstance(value, tuple) and value
    }
    evaluate = {name: path.parent / value.expanduser() for name, value in pipeline.evaluate if isinstance(value, Path)}
    models = {
        name: model_place(value, path.parent)
        for name in ("teacher", "start_from")
        if (value := getattr(pipeline.train, name)) is not None
    }
    return pipeline.model_copy(
        update={
            "footage": pipeline.footage.model_copy(update=paths),
            "train": pipeline.train.model_copy(update=models),
            "evaluate": pipeline.evaluate.model_copy(update=evaluate),
        }
    )


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file in UTF-8, with or without a byte order mark.

    Raises ConfigError, in one line, if the file cannot be read, is larger than 1 MiB, or is not TOML in UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ConfigError(f"cannot read the pipeline file {path}: it is larger than {_LARGEST_FILE >> 20} MiB")
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ConfigError(f"cannot read the pipeline file {path}: it is text in UTF-16; save it as UTF-8")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read the pipeline file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read the pipeline file {path}: it is not text in UTF-8") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is not valid TOML: it is nested too deeply") from error
    except ValueError as error:  # a TOMLDecodeError, or an integer with thousands of digits
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def shipped_pipelines() -> list[Path]:
    """The paths of the pipeline files that are included in the package, sorted."""
    inside = Path(__file__).parents[1] / "pipelines"
    folder = inside if inside.is_dir() else Path(__file__).parents[2] / "pipelines"
    return sorted(folder.glob("*.toml"))


def description_of(path: Path) -> str:
    """What an included pipeline is for: the comment at the beginning of its file, as one line."""
    head = takewhile(lambda line: line.startswith("# "), path.read_text(encoding="utf-8").splitlines())
    return " ".join(line.removeprefix("# ") for line in head)


def find_pipeline(name: Path) -> Path:
    """The path of a pipeline file: `name` if it has a suffix or is a file, else the included pipeline of that name.

    Raises ConfigError if there is no such pipeline.
    """
    if name.suffix or (name.exists() and not name.is_dir()):
        return name
    shipped = {path.stem: path for path in shipped_pipelines()}
    if str(name) not in shipped:
        if RunFolder(name).checkpoint.exists():
            raise ConfigError(
                f"{name} is the folder of a run, not a pipeline; to continue the run, give the command that began it "
                f"again, or call recycle.resume('{name}') from Python"
            )
        raise ConfigError(
            f"there is no pipeline '{name}'; give a TOML file, or an included pipeline: {', '.join(shipped)}"
        )
    return shipped[str(name)]


def parse_settings(model: type[T], data: dict[str, Any]) -> T:
    """Validate options of the command line as settings of the class `model`. Raises ConfigError, in one line."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_first_problem(error, model, data)) from error


def parse_pipeline(data: dict[str, Any], *, where: str) -> Pipeline:
    """Validate the content of a pipeline file. `where` names it in errors. Raises ConfigError, in one line."""
    try:
        return Pipeline.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_first_problem(error, Pipeline, data)}") from error


def _first_problem(error: ValidationError, root: type[BaseModel], data: Any) -> str:
    problems = error.errors()
    first = _keys(problems[0])
    # If several types are allowed, each has its problem. The one inside the value comes from the type that fits best.
    problem = max((each for each in problems if _keys(each)[: len(first)] == first), key=lambda each: len(_keys(each)))
    keys = _keys(problem)
    name = ".".join(keys)
    if problem["type"] == "extra_forbidden":
        known = sorted(_fields_at(root, keys[:-1], data))
        near = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys here: {', '.join(known)}"
        return f"unknown key '{name[:80]}'; {hint}"
    alternatives = [each for each in problems if _keys(each) == keys]
    kinds = [_IN_TOML.get(each["type"], each["msg"]) for each in alternatives]
    message = ", or: ".join(kinds[:3]).removeprefix("Value error, ")
    if problem["type"] == "string_pattern_mismatch":
        message = "expected a name of letters, digits, '.', '_' and '-'"
    where = f"'{name}': " if name else ""
    given = "" if problem["type"] == "value_error" else f", got {brief(problem['input'])}"
    return f"{where}{message}{given}"


def _keys(problem: ErrorDetails) -> list[str]:
    """The keys of the setting with a problem, without the names that pydantic adds for alternative types."""
    unknown = problem["type"] == "extra_forbidden"  # the last key may look like the name of a type
    place = [str(key) for key in problem["loc"]]
    return [key for i, key in enumerate(place) if not _TYPE.match(key) or (unknown and i == len(place) - 1)]


def _fields_at(model: type[BaseModel], keys: list[str], data: Any) -> set[str]:
    """The names of the settings in the group at `keys`. The kinds of its networks are looked up in `data`."""
    kinds: Kinds[Any] | None = None
    for key in keys:
        if isinstance(data, list | tuple):
            data = data[int(key)]
        else:
            data, field = data[key], model.model_fields[key]
            kinds = next((each for each in field.metadata if isinstance(each, Kinds)), None)
            candidates: list[Any] = [field.annotation, *getattr(field.annotation, "__args__", ())]
            model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
        if kinds is not None:
            model = kinds.find(data) or model
    return set(model.model_fields)
