"""The reasons that a chosen pipeline states."""

import pytest

from recycle.runs.reasons import duration


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (1234, "1230 hours"),
        (1.25, "1.25 hours"),
        (1, "1 hour"),
        (0.9999, "1 hour"),
        (0.5, "30 minutes"),
        (1 / 60, "1 minute"),
        (45 / 3600, "45 seconds"),
        (0.36 / 3600, "0.36 seconds"),
    ],
)
def test_durations_are_stated_in_the_largest_unit_that_they_reach(hours: float, text: str) -> None:
    assert duration(hours) == text
