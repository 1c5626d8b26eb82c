"""The two directions of translation."""

from typing import NamedTuple

from recycle.config import DirectionName, Domain


class Direction(NamedTuple):
    """From one domain to the other: the generator gen_{name}, and disc_{target} and pred_{target} that go with it."""

    source: Domain
    target: Domain

    @property
    def name(self) -> DirectionName:
        """Such as "ab"."""
        return "ab" if self.source == "a" else "ba"

    @property
    def back(self) -> "Direction":
        """The other direction."""
        return Direction(self.target, self.source)


AB, BA = Direction("a", "b"), Direction("b", "a")
BOTH = (AB, BA)
