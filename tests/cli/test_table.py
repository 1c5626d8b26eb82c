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
    rows, footer = lines[1 : min(12, len(states)) + 1], " ".join(lines[min(12, len(states)) + 1 :])
    for state in STATES:
        count = list(states.values()).count(state)
        assert bool(re.search(rf"(^|\s){count} {state}", footer)) == bool(count)
    shown = [(line.split()[0], line.split()[1]) for line in rows]
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


@given(st.integers(1, 400), st.integers(1, 10**7))
def test_the_sums_fit_into_80_columns_and_an_eta_stays_in_one_piece(files: int, frames: int) -> None:
    table = LiveTable()
    table._console = Console(width=80)
    for number in range(files):
        name, state = f"file{number}", STATES[number % 4]
        table.expect(name, frames)
        table.show(name, "running")
        table.advance(name, 1, frames)
        table.show(name, state)
    lines = drawn(table)
    assert max(map(len, lines[min(12, files) + 1 :])) <= 80
    assert all(re.search(r"ETA \d+:\d\d:\d\d$", line) for line in lines[1:] if "ETA" in line)


def test_a_table_that_is_done_states_no_eta() -> None:
    table = LiveTable()
    for name in ("a", "b"):
        table.show(name, "running")
        table.advance(name, 5, 10)
    table.show("a", "failed")
    table.show("b", "done")
    assert re.fullmatch(r"1 failed  1 done   \d+/\d+ frames, \S+ frames/s", drawn(table)[-1].strip())
