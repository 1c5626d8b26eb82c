"""The two directions of translation."""

from typing import NamedTuple

from recycle.config import DirectionName, Domain


class Direction(NamedTuple):
    """A direction of translation, by the generator gen_{name}; its discriminators and predictor are those of
    `target`."""

    source: Domain
    target: Domain

    @property
    def name(self) -> DirectionName:
        """The name, such as "ab"."""
        return "ab" if self.source == "a" else "ba"

    @property
    def back(self) -> "Direction":
        """The opposite direction."""
        return Direction(self.target, self.source)


AB, BA = Direction("a", "b"), Direction("b", "a")
BOTH = (AB, BA)
