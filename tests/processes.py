"""What tests ask of other processes."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PATIENCE = 600
"""Seconds after which a process counts as hanging; a slow machine must not fail the tests."""


def descendants(process: int) -> set[int]:
    """All processes below one, by Linux's /proc."""
    found: set[int] = set()
    with suppress(OSError):  # it has ended just now
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found |= {child} | descendants(child)
    return found


def lives(process: int) -> bool:
    """Whether a process runs; one that ended and was not reaped does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    """Give up only if something hangs."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
