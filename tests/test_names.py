"""Every file name can be written as text, stays unique, and can be restored."""

import json
import os

from hypothesis import example, given
from hypothesis import strategies as st

from recycle.names import original, plain

NAMES = st.one_of(
    st.binary(max_size=12).map(os.fsdecode),
    st.lists(st.sampled_from(["\udce9", "\udc80", "\\udce9", "\\", "u", "dce9", "é", "a"]), max_size=6).map("".join),
)


@given(NAMES)
@example("caf\udce9.mp4")
@example("caf\\udce9.mp4")
@example("\\\udce9")
def test_a_name_can_be_written_and_restored(name: str) -> None:
    text = plain(name)
    assert text.encode("utf-8").decode("utf-8") == text
    assert original(json.loads(json.dumps(text))) == name
    assert plain(original(text)) == text


@given(NAMES, NAMES)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (plain(one) == plain(other)) == (one == other)


def test_usual_names_are_unchanged() -> None:
    for name in ("holiday.mp4", "Käse – 1.mkv", "a\\b.mp4", "", "日本.mov"):
        assert plain(name) == name
    assert plain("caf\udce9.mp4") == "caf\\udce9.mp4"
