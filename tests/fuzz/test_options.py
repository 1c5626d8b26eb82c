"""Hostile values for every setting and every option: one clear line, or a sane meaning; nothing is touched."""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from recycle.cli import main
from recycle.config import Kinds, Pipeline, load_pipeline
from recycle.errors import ConfigError
from tests.fuzz.spoil import ROUNDS, SEED, spoilt

SAMPLE = 6
NUMBERS = (
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1",
    "0",
    "1e-320",
    "9" * 40,
    "-" + "9" * 40,
    "9223372036854775808",
    "0x1F",
    "1_0",
)
TEXTS = ('""', '"\\u0000"', '"../../etc/passwd"', '"/etc/passwd"', '"x"', f'"{"x" * 5000}"', '"²"', '"\\u202e"', '"%s"')
SHAPES = (
    "[]",
    "[[[]]]",
    "{}",
    "[nan, nan]",
    "[1, 2, 3, 4, 5, 6, 7]",
    "{ x = 1 }",
    "true",
    "2020-01-01",
    "[" * 60 + "]" * 60,
)


def fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every setting and of every group of settings."""
    for name, field in model.model_fields.items():
        yield (*path, name)
        for kinds in [each for each in field.metadata if isinstance(each, Kinds)]:
            for kind, settings in kinds.classes.items():
                yield from fields(settings, (*path, f"{name}:{kind}"))
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, (*path, name))


@pytest.mark.parametrize("path", list(fields(Pipeline)), ids=".".join)
def test_every_setting(path: tuple[str, ...], tmp_path: Path) -> None:
    rng = random.Random(f"{SEED} {path}")
    values = NUMBERS + TEXTS + SHAPES
    for value in rng.sample(values, min(len(values), SAMPLE * ROUNDS)):
        text = f"{path[-1]} = {value}\n"
        if len(path) > 1:
            groups, kinds = zip(*(key.partition(":")[::2] for key in path[:-1]), strict=True)
            kind = f'kind = "{kinds[-1]}"\n' if kinds[-1] and path[-1] != "kind" else ""
            text = f"[{'.'.join(groups)}]\n{kind}{text}"
        check_file(tmp_path / "task.toml", text.encode())


def test_damaged_pipeline_files(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    shipped = sorted((Path(__file__).parents[2] / "pipelines").glob("*.toml"))
    for _ in range(60 * ROUNDS):
        check_file(tmp_path / "task.toml", spoilt(rng.choice(shipped).read_bytes(), rng))


def check_file(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    try:
        meaning, refusal = load_pipeline(file).model_dump_json(), ""
    except ConfigError as error:
        meaning, refusal = "", str(error)
    assert "\n" not in refusal
    assert len(refusal) < 2000
    assert refusal or json.loads(meaning)


OPTIONS = {
    "translate": [
        *("--scale", "--start", "--end", "--crf", "--bitrate", "--preset", "--depth", "--pixel-format", "--option"),
        *("--at-once", "--device", "--precision", "--codec", "--to"),
    ],
    "train": ["--steps", "--hours", "--device", "--devices", "--nodes", "--precision"],
    "extract": ["--fps", "--short-side", "--crop", "--format", "--drop-duplicates", "--workers"],
    "distill": ["--width", "--blocks", "--steps", "--hours"],
}
REST = {
    "translate": ["none.mp4", "out.mp4", "--model", "identity", "--to", "b"],
    "train": ["signers", "--a", "none", "--b", "none"],
    "extract": ["none", "--out", "frames"],
    "distill": ["none", "--a", "none", "--b", "none"],
}
WORDS = [
    *("nan", "inf", "-1", "0", "1e308", "9" * 40, "9223372036854775808", "²", "१", "0x1F", "1e999", "", " ", "-", "--"),
    *("1:2:3:4:5", "::", "1:-2", "9" * 5000, "1/0", "0/0", "x264-params=dump-yuv=victim", "stats=victim", "a=b"),
    *(
        "x264-params=a=1:stats=victim",
        "passlogfile=victim",
        "=",
        "=x",
        "x=",
        "../victim",
        "/dev/null",
        "\x1b[31m",
        "%n%s",
    ),
]


@pytest.mark.parametrize("command", OPTIONS)
def test_every_option(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    rng = random.Random(f"{SEED} {command}")
    for option in OPTIONS[command]:
        for word in rng.sample(WORDS, min(len(WORDS), SAMPLE * ROUNDS)):
            monkeypatch.setattr(sys, "argv", ["recycle", command, *REST[command], option, word])
            with pytest.raises(SystemExit) as end:
                main()
            said = capsys.readouterr().err
            assert end.value.code in (1, 2), (option, word, said)
            assert [line[:6] for line in said.splitlines() if "0/?" not in line and line] == ["error:"], (
                option,
                word,
                said,
            )
            assert "\x1b[31m" not in said
    assert victim.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [victim]


def test_options_beside_a_real_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What looks like an encoder's option never writes or reads a file beside the output."""
    from tests.video.conftest import moving, write

    monkeypatch.chdir(tmp_path)
    film = write(tmp_path / "film.mp4", moving(3))
    names: list[Any] = [
        "x264-params",
        "x264opts",
        "stats",
        "passlogfile",
        "tune",
        "g",
        "flags",
        "x265-params",
        "profile",
    ]
    inner = ["dump-yuv", "stats", "csv", "qpfile", "cqmfile", "keyint", "ref", "opencl-clbin", "log-file", "zonefile"]
    rng = random.Random(SEED)
    for number in range(10 * ROUNDS):
        value = ":".join(
            f"{rng.choice(inner)}={rng.choice(['victim', '1', 'film'])}" for _ in range(rng.randrange(1, 4))
        )
        option = f"{rng.choice(names)}={rng.choice([value, value, 'victim', '1', 'film'])}"
        command = ["translate", str(film), f"out{number}.mp4", "--model", "identity", "--to", "b", "--option", option]
        monkeypatch.setattr(sys, "argv", ["recycle", *command])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code in (0, 1, 2), capsys.readouterr().err
    left = {path.name for path in tmp_path.iterdir()} - {f"out{n}.mp4" for n in range(10 * ROUNDS)}
    assert left == {"film.mp4"}
