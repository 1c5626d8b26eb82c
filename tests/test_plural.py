"""A number of things is in the singular for 1 and in the plural otherwise."""

import pytest

from recycle.plural import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames")])
def test_one_is_singular(number: int, text: str) -> None:
    assert counted(number, "frame") == text


def test_a_plural_may_be_irregular() -> None:
    forms = "frame is kept", "frames are kept"
    assert [counted(number, *forms) for number in (1, 2)] == ["1 frame is kept", "2 frames are kept"]
