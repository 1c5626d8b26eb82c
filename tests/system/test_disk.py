"""A disk error is one line with a remedy, even if a library wrapped it."""

import errno
from pathlib import Path

import pytest

from recycle.errors import ConfigError, OutputError
from recycle.system.disk import writing


def fail(error: Exception, cause: Exception | None = None) -> None:
    with writing(Path("run/checkpoint.pt")):
        raise error from cause


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "no space left on the disk; make room"),
        (errno.EDQUOT, "the disk quota is used up; make room"),
        (errno.EROFS, "the file system is read-only; make it writable"),
        (errno.EACCES, "permission denied; make it writable"),
        (errno.EIO, "the disk reports an input/output error; check the disk"),
        (errno.ESTALE, "stale file handle; check the disk"),
    ],
)
def test_the_message_has_reason_and_remedy(number: int, told: str) -> None:
    plain, text = OSError(number, "anything"), f"I/O error: anything (os error {number})"
    for error, cause in ((plain, None), (ValueError("the encoder failed"), plain), (RuntimeError(text), None)):
        with pytest.raises(OutputError) as caught:
            fail(error, cause)
        assert str(caught.value) == f"cannot write run/checkpoint.pt: {told} and run the same command again"


def test_other_errors_pass_through() -> None:
    for error in (ValueError("no"), ConfigError("no"), OSError("without a number")):
        with pytest.raises(type(error), match=r"no|without"):
            fail(error)
