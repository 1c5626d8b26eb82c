"""Files of any name that the file system takes are found, translated and recorded."""

import json
import os
import random
import struct
from pathlib import Path

import pytest

from tests import warm
from tests.fuzz.spoil import ROUNDS, SEED
from tests.video.conftest import moving, write

COUNT = 24
_PIECES = [
    *(
        b"a",
        b"film",
        b"Film 2",
        b"-",
        b"--",
        b"-o",
        b".",
        b"..",
        b" ",
        b"  ",
        b"\t",
        b"\n",
        b"\r",
        b"\x1b[31m",
        b"\x07",
    ),
    *(
        b"'",
        b'"',
        b"`",
        b"$HOME",
        b"$(x)",
        b"%d",
        b"%03d",
        b"%",
        b"{}",
        b"[red]",
        b"[bold]",
        b"*",
        b"?",
        b"|",
        b";",
        b"&",
    ),
    *(
        b":",
        b"file:",
        b"http:",
        b"concat:a|b",
        b"pipe:",
        b"\\",
        b"\\n",
        b"#",
        b"~",
        b"=",
        b",",
        b"@",
        b"!",
        b"\xc3\xa9",
    ),
    *("e\u0301".encode(), "日本".encode(), "🎬".encode(), "\u202e".encode(), "\u200b".encode(), "ß".encode(), b"\xe9"),
    *(b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf", b"CON", b"nul", b"x" * 180, b"0", b"007", b"\xef\xbc\x8e"),
]


def any_name(rng: random.Random) -> bytes:
    """A name that is no hidden file's and not too long for its output and the work beside it."""
    stem = b"".join(rng.choice(_PIECES) for _ in range(rng.randrange(1, 5))).lstrip(b".")[:200]
    return (stem or b"x") + rng.choice([b".mp4", b".MP4", b".Mp4"])


@pytest.mark.parametrize("part", range(2))
def test_any_name(part: int, tmp_path: Path) -> None:
    rng = random.Random(f"{SEED} {part}")
    film = write(tmp_path / "film.mp4", moving(3, 32, 32)).read_bytes()
    source, out, frames = tmp_path / "in", tmp_path / "out", tmp_path / "frames"
    source.mkdir()
    names = {any_name(rng) for _ in range(COUNT * ROUNDS)}
    for number, name in enumerate(sorted(names)):  # an empty box makes each file another
        (source / os.fsdecode(name)).write_bytes(film + struct.pack(">I4sQ", 16, b"free", number))
    for command in (
        ["translate", str(source), str(out), "--model", "identity", "--to", "b", "--preset", "ultrafast"],
        ["extract", str(source), "--out", str(frames), "--workers", "1"],
        ["probe", "--json", "--", *(os.fsdecode(os.fsencode(source) + b"/" + name) for name in sorted(names))],
    ):
        done = warm.run(*warm.RECYCLE, *command)
        assert done.returncode == 0, done.stderr
        for stream in map(os.fsencode, (done.stdout, done.stderr)):
            assert not set(stream) & (set(range(32)) - {9, 10, 13, 27}), stream
            assert b"\x1b[31m" not in stream
            assert "\u202e".encode() not in stream
            stream.decode("utf-8")
    assert len(done.stdout.splitlines()) == len(names)
    paths = [json.loads(line)["path"] for line in done.stdout.splitlines()]
    assert len(set(paths)) == len(names)
    assert len([path for path in out.iterdir() if path.suffix.lower() == ".mp4"]) == len(names)
    record = json.loads((out / "translate.json").read_text(encoding="utf-8"))
    assert len(record["files"]) == len(names)
    assert {entry["state"] for entry in record["files"].values()} == {"done"}
    assert len(list(frames.glob("*/manifest.json"))) == len(names)
