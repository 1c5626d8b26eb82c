"""The table of files: what it sums up is what its rows say."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from recycle.cli.table import LiveTable

STATES = ("waiting", "running", "done", "failed")
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("show"), st.integers(0, 30), st.sampled_from(STATES)),
        st.tuples(st.just("advance"), st.integers(0, 30), st.integers(1, 9)),
        st.tuples(st.just("expect"), st.integers(0, 30), st.integers(1, 9)),
    ),
    max_size=60,
)


def drawn(table: LiveTable) -> list[str]:
    console = Console(width=100, force_terminal=False)
    with console.capture() as capture:
        console.print(table._table())
    return capture.get().splitlines()


@given(EVENTS)
def test_counts_and_order_follow_the_files(events: list[tuple[str, int, str | int]]) -> None:
    table, states = LiveTable(), dict[str, str]()
    for what, number, value in events:
        name = f"file{number}"
        states.setdefault(name, "waiting")
        if what == "show":
            states[name] = str(value)
            table.show(name, str(value))
        elif what == "advance":
            table.advance(name, int(value), 10)
        else:
            table.expect(name, 10)
    lines = drawn(table)
    for state in STATES:
        assert re.search(rf"(^|\s){list(states.values()).count(state)} {state}", lines[-1])
    shown = [(line.split()[0], line.split()[1]) for line in lines[1:-1]]
    assert len(shown) == min(12, len(states))
    assert all(states[name] == state for name, state in shown)
    rank = {"running": 0, "failed": 1, "done": 2, "waiting": 3}
    assert all(rank[a[1]] <= rank[b[1]] for a, b in pairwise(shown))


def test_frames_of_all_files_are_summed() -> None:
    table = LiveTable()
    for name, total in (("a", 10), ("b", 30), ("c", None)):
        table.expect(name, total)
    table.show("a", "running")
    table.advance("a", 5, 10)
    table.show("a", "done")
    table.advance("a", 10, 10)
    table.show("b", "running")
    table.advance("b", 7, 30)
    table.show("d", "done")  # finished by an earlier call
    assert "17/40 frames" in drawn(table)[-1]
