"""What all groups of settings share: their base class, and the types of single settings."""

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

Appearance = Literal["day", "sunset", "rain", "snow", "night", "thermal", "labels"]
Codec = Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Differentiable = Literal["colour", "translation", "cutout", "noise"]
Adversarial = Literal["least_squares", "minimax", "non_saturating", "hinge", "wasserstein"]

MANY = 2**31 - 1
"""Bound of counts that have no other: what every library takes."""
LONG = 10_000.0
"""Hours or seconds that nobody means to wait."""


def _plain_name(name: str) -> str:
    if not name.strip() or name in (".", "..") or re.search(r"[/\\]", name) or printable(name) != name:
        raise ValueError(
            f"the name of one folder is expected, without slashes and control characters, got {brief(name)}"
        )
    return name


def _real_path(value: object) -> Path:
    if not isinstance(value, str | Path):
        raise ValueError(f"a path is expected, got {brief(value)}")
    path = Path(original(value)) if isinstance(value, str) else value
    if "\0" in str(path) or len(str(path)) > 4096:
        raise ValueError("this is no path: it is too long, or holds a zero byte")
    return path


def two_names(value: object) -> Names:
    """Names that a command line and a picture can hold, and of which `Names.find` takes none for the other domain.

    Raises ValueError for anything else.
    """
    named = list(value) if isinstance(value, list | tuple) else []
    right = len(named) == len(DOMAINS) and all(isinstance(each, str) and _NAME.fullmatch(each) for each in named)
    if not right:
        raise ValueError(
            f'two names of at most {LONGEST_NAME} letters A-Z, digits, - and _ are expected, such as ["summer", '
            f'"winter"], got {brief(value)}'
        )
    plain = [each.lower() for each in named]
    taken = {*DOMAINS, *(d.name for d in DIRECTIONS)}
    for own, letter in zip(plain, DOMAINS, strict=True):
        if own in taken - {letter}:
            raise ValueError(f"'{own}' cannot be the name of domain {letter}: it means something else; choose another")
    if len(set(plain)) < len(plain):
        raise ValueError(f"the names must differ, also without regard to capitals, got {brief(value)}")
    return Names(*named)


LONGEST_NAME = 20
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
"""What people call the domains: two names, of which neither can be taken for the other domain."""


def unless_letters(written: dict[str, Any]) -> dict[str, Any]:
    """What is written of settings, without `domains` where they are called a and b: as before they had names, so that
    records and digests of then stay valid."""
    return {key: value for key, value in written.items() if key != "domains" or tuple(value) != LETTERS}


FolderName = Annotated[str, Field(max_length=100), AfterValidator(_plain_name)]
"""The name of one folder."""
Place = Annotated[
    Path,
    PlainValidator(_real_path),
    PlainSerializer(lambda path: plain(str(path)), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
"""A path; in JSON, which cannot hold all file names, as `recycle.names.plain` text."""
Places = Annotated[tuple[Place, ...], Field(max_length=100_000)]
Pixel = Annotated[int, Field(ge=-65536, le=65536)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Stride = Annotated[int, Field(ge=-MANY, le=MANY)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Word = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
"""A name that a library gives a device, a preset or a pixel format."""
FeatureName = Annotated[str, Field(pattern=r"^(lite0|timm:[A-Za-z0-9_.\-]{1,80})$")]
"""A frozen feature network that may train: recycle.networks.features.open_network. (lite2 judges the results.)"""
MAX_PIXELS = 16384 * 8640


def _read_rate(value: object) -> object:
    """A rate as it is written: 29.97 is 2997/100, not the nearest binary fraction."""
    return str(value) if isinstance(value, float) else value


Rate = Annotated[Fraction, BeforeValidator(_read_rate), Field(ge=Fraction(1, 1000), le=1000)]
"""Frames per second: a number such as 29.97, or a fraction such as '30000/1001'."""
MaxPixels = Annotated[int, Field(ge=1, le=1 << 30)]
"""Pixels of the largest picture that is read; larger ones are refused before they take memory."""


class Settings(BaseModel):
    """Base of every group of settings: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_max_length=1000)

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, value in data.items():
                field = cls.model_fields.get(name)
                if isinstance(value, bool) and field is not None and field.annotation is not bool:
                    raise ValueError(f"'{name}' is not a matter of true or false, got {str(value).lower()}")
        return data
