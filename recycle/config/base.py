"""The base class of all groups of settings, and the types of single settings."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from recycle.domains import DIRECTIONS, DOMAINS, LETTERS, Names
from recycle.names import original, plain
from recycle.safe_text import brief, printable
from recycle.vocabulary import Appearance as Appearance
from recycle.vocabulary import Codec as Codec
from recycle.vocabulary import Precision as Precision
from recycle.vocabulary import TrackerName as TrackerName
from recycle.vocabulary import TranslatePrecision as TranslatePrecision

Differentiable = Literal["colour", "translation", "cutout", "noise"]
Adversarial = Literal["least_squares", "minimax", "non_saturating", "hinge", "wasserstein"]

MANY = 2**31 - 1
"""Maximum of counts that have no other bound; every library accepts it."""
LONG = 10_000.0
"""Maximum of durations, in hours or seconds."""


def _plain_name(name: str) -> str:
    if not name.strip() or name in (".", "..") or re.search(r"[/\\]", name) or printable(name) != name:
        raise ValueError(f"expected the name of a folder, without slashes and control characters, got {brief(name)}")
    return name


def _real_path(value: object) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError(f"expected a path, got {brief(value)}")
    path = Path(original(value)) if isinstance(value, str) else value
    if "\0" in str(path) or len(str(path)) > 4096:
        raise ValueError("this is not a valid path: it is too long, or contains a zero byte")
    return path


def two_names(value: object) -> Names:
    """Validate the names of the domains, a list or tuple of two strings.

    The names must suit a command line and an image, and `Names.find` must be able to tell them apart. Raises ValueError
    for other values.
    """
    named = list(value) if isinstance(value, list | tuple) else []
    right = len(named) == len(DOMAINS) and all(isinstance(each, str) and _NAME.fullmatch(each) for each in named)
    if not right:
        raise ValueError(
            f'expected two names of at most {LONGEST_NAME} letters A-Z, digits, - and _, such as ["summer", "winter"], '
            f"got {brief(value)}"
        )
    plain = [each.lower() for each in named]
    taken = {*DOMAINS, *(d.name for d in DIRECTIONS)}
    for own, letter in zip(plain, DOMAINS, strict=True):
        if own in taken - {letter}:
            raise ValueError(
                f"'{own}' cannot be the name of domain {letter}, because it has another meaning; choose another name"
            )
    if len(set(plain)) < len(plain):
        raise ValueError(f"the names must differ in more than upper and lower case, got {brief(value)}")
    return Names(*named)


LONGEST_NAME = 20
"""Maximum number of characters in the name of a domain."""
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{LONGEST_NAME - 1}}}")
DomainNames = Annotated[
    Names,
    PlainValidator(two_names),
    PlainSerializer(list, return_type=list[str]),
    WithJsonSchema(
        {
            "type": "array",
            "prefixItems": [{"type": "string", "pattern": f"^{_NAME.pattern}$"}] * len(DOMAINS),
            "minItems": len(DOMAINS),
            "maxItems": len(DOMAINS),
        }
    ),
]
"""Names of the domains: two names that cannot be confused with each other or with the letters of the domains."""


def unless_letters(written: dict[str, Any]) -> dict[str, Any]:
    """Serialised settings, without `domains` if these are a and b.

    This keeps the records and digests of earlier versions valid, which had no names.
    """
    return {key: value for key, value in written.items() if key != "domains" or tuple(value) != LETTERS}


FolderName = Annotated[str, Field(max_length=100), AfterValidator(_plain_name)]
"""The name of a folder, without a path."""
Place = Annotated[
    Path,
    PlainValidator(_real_path),
    PlainSerializer(lambda path: plain(str(path)), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
"""A path. In JSON, which cannot hold all file names, it is written as `recycle.names.plain` text."""
Places = Annotated[tuple[Place, ...], Field(max_length=100_000)]
Side = Annotated[int, Field(ge=1, le=65536)]
"""A height or a width, in pixels."""
Corner = Annotated[int, Field(ge=0, le=65536)]
"""A horizontal or vertical position, in pixels."""
Weight = Annotated[float, Field(ge=0, le=1e6)]
Stride = Annotated[int, Field(ge=1, le=MANY)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Word = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
"""A library's name of a device, a preset or a pixel format."""
FeatureName = Annotated[str, Field(pattern=r"^(lite0|timm:[A-Za-z0-9_.\-]{1,80})$")]
"""Name of a frozen feature network for training; see `recycle.networks.features.open_network`. lite2 is not allowed,
because it scores the results."""
MAX_PIXELS = 16384 * 8640


def _read_rate(value: object) -> object:
    """Convert a float to its decimal text, so that 29.97 becomes 2997/100 and not the nearest binary fraction."""
    return str(value) if isinstance(value, float) else value


Rate = Annotated[Fraction, BeforeValidator(_read_rate), Field(ge=Fraction(1, 1000), le=1000)]
"""Frames per second: a number such as 29.97, or a fraction such as '30000/1001'."""
MaxPixels = Annotated[int, Field(ge=1, le=1 << 30)]
"""Maximum number of pixels of a frame or image; larger ones are refused before memory is allocated for them."""


class Settings(BaseModel):
    """Base of all groups of settings. Settings are immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_max_length=1000)

    def in_full(self) -> dict[str, Any]:
        """All settings by name, as nested dicts and lists; also those that files omit because they are defaults."""

        def spelled_out(value: object) -> Any:
            if isinstance(value, tuple | list):
                return [spelled_out(each) for each in value]
            return value.in_full() if isinstance(value, Settings) else value

        return {name: spelled_out(getattr(self, name)) for name in type(self).model_fields}

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, value in data.items():
                field = cls.model_fields.get(name)
                if isinstance(value, bool) and field is not None and field.annotation is not bool:
                    raise ValueError(f"'{name}' does not take true or false, got {str(value).lower()}")
        return data
