"""Secrets and control characters never reach a terminal, a log or a record; the text still identifies the file."""

import io
import json
import re
import string
import unicodedata
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from recycle.cli.table import LiveTable
from recycle.cli.terminal import Terminal
from recycle.errors import ConfigError, FootageError
from recycle.events import FileState, Job, Step
from recycle.safe_text import brief, printable, printable_json, redact

PLAIN = string.ascii_letters + string.digits
SECRET = st.text(alphabet=PLAIN + "!$*+-._~%", min_size=8, max_size=20).map(lambda text: f"Zq{text}")
HOST = st.sampled_from(["host", "host:8080", "127.0.0.1:1", "bucket", "[::1]:80"])
SCHEME = st.sampled_from(["http", "https", "ftp", "sftp", "s3", "gs", "webdav+https", "smb", "abfs"])


@given(
    SCHEME, st.sampled_from(["user", "AKIAX", "", "a.b@corp"]), SECRET, HOST, st.sampled_from(["", "/", "/in/v.mp4"])
)
def test_a_password_is_never_shown(scheme: str, user: str, secret: str, host: str, path: str) -> None:
    url = f"{scheme}://{user}:{secret}@{host}{path}"
    for text in (url, f"cannot fetch {url}: refused", f"'{url}'", str(Path(url)), f"{url} and {url}"):
        assert secret not in redact(text)
        assert redact(redact(text)) == redact(text)
        assert f"{host}{path}".rstrip("/") in redact(text)
        assert secret not in str(FootageError(text))


@given(
    st.sampled_from(
        [
            *("X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "sig", "Signature", "token", "auth"),
            *("access_token", "AWSAccessKeyId", "X-Goog-Signature", "Key-Pair-Id", "Policy", "password", "pwd"),
            *("api_key", "apikey"),
        ]
    ),
    SECRET.map(quote),
)
def test_a_secret_of_a_query_is_never_shown(name: str, secret: str) -> None:
    text = f"cannot read https://host/in/v.mp4?id=7&{name}={secret}&part=2: gone"
    assert secret not in redact(text)
    for kept in ("https://host/in/v.mp4?id=7", f"{name}=***", "&part=2", ": gone"):
        assert kept in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "{'host': 'h', 'username': 'u', 'password': 'S3cret x'}",
        "S3FileSystem(key='AKIAIOSFODNN7EXAMPLE', secret='S3cret')",
        "aws_secret_access_key=S3cret",
        "Authorization: Bearer S3cret.abc",
        "s3://key:S3/cre/S3cret@bucket/v.mp4",
        "http:/user:S3cret@host/v.mp4",
        "https://host/v.mp4#access_token=S3cret",
        "the key AKIAIOSFODNN7EXAMPLE is not known",
    ],
)
def test_keys_of_storage_are_never_shown(text: str) -> None:
    assert "S3cret" not in redact(text)
    assert "AKIAIOSFODNN7EXAMPLE" not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://host:80/a@b/v.mp4?v=3&page=7",
        "/home/anna@home/film (2).mp4 holds no video",
        "unknown key 'train.stesp'; did you mean 'steps'?",
        "key frames: keyint=30:min-keyint=3, the token of a pass",
        "x264-params=keyint=30:psy-rd=1.0,0.15",
        "file:///tmp/a@b.mp4",
    ],
)
def test_text_without_secrets_is_unchanged(text: str) -> None:
    assert redact(text) == text


@given(st.text() | st.text(alphabet="\x1b[]0m\u202e\u2066\x9b\x07\r\n\udcff a"))
def test_control_characters_are_escaped(text: str) -> None:
    sent = printable(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in sent)
    assert not set(sent) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
    assert printable(sent) == sent
    sent.encode()  # raises where it cannot be printed
    assert printable(text, lines=True).count("\n") == text.count("\n")


def test_escapes_show_the_original_characters() -> None:
    assert printable("a\x1b[31mb\nc\x9bd\u202ee\udcfff\x7f") == r"a\x1b[31mb\nc\x9bd\u202ee\xfff\x7f"
    assert printable("Größe ½ 日本 👩‍🚀 C:\\x") == "Größe ½ 日本 👩‍🚀 C:\\x"


@given(st.dictionaries(st.text(), st.text()))
def test_escaped_json_has_the_same_content(data: dict[str, str]) -> None:
    text = json.dumps(data, ensure_ascii=False, indent=1)
    sent = printable_json(text)
    assert json.loads(sent) == data
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", sent)


def test_values_in_messages_are_truncated() -> None:
    assert brief("x") == "'x'"
    assert len(brief("x" * 10**6)) < 100
    assert brief(10**5000) == "a very large int"
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert len(brief(deep)) < 100
    while deep:  # Python would end if it freed so deep a list at once
        deep = deep.pop()  # type: ignore[assignment]


EVIL = "a\x1b]0;owned\x07\x1b[31m[red]b\u202e\nerror: no https://u:S3cret@host/v?token=S3cret"


def assert_harmless(output: str) -> None:
    assert not set(output) & set("\x07\x1b\u202e\x9b")
    assert "S3cret" not in output
    assert "[red]" in output
    assert "\nerror" not in output


def test_lines_tables_and_bars_show_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(seconds=0) as terminal:
        job = Job(terminal)
        job.say(EVIL)
        for done, state in enumerate(("waiting", "running", "failed")):
            job.emit(FileState(EVIL, state, EVIL, done, 2))  # type: ignore[arg-type]
        job.counting(EVIL)(1, 2, EVIL)
        job.emit(Step(1, 2, 0.1, {EVIL: 1.0}, 5.0))
    written = capsys.readouterr()
    assert_harmless(written.out)
    assert_harmless(written.err.replace("\x1b[?25h", ""))  # the cursor, shown again


def test_the_live_table_shows_names_as_they_are() -> None:
    table = LiveTable()
    table.show(EVIL, "running")
    screen = Console(width=300, force_terminal=False, record=True, file=io.StringIO())
    screen.print(table._table())
    assert_harmless(screen.export_text())


def test_a_setting_error_contains_no_secret() -> None:
    assert str(ConfigError("cannot use ftp://u:S3cret@h/x: refused")) == "cannot use ftp://***@h/x: refused"
