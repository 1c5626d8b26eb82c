"""The two domains, the two directions between them, and the names of the domains."""

from itertools import permutations
from typing import Literal, NamedTuple, cast, get_args

from recycle.errors import ConfigError
from recycle.safe_text import brief

Domain = Literal["a", "b"]
DirectionName = Literal["ab", "ba"]
DOMAINS: tuple[Domain, ...] = get_args(Domain)


class Direction(NamedTuple):
    """A direction of translation, with the names of its networks in bundles and checkpoints."""

    source: Domain
    target: Domain

    @property
    def name(self) -> DirectionName:
        """The name of the direction, such as "ab"."""
        return cast(DirectionName, self.source + self.target)

    @property
    def back(self) -> "Direction":
        """The opposite direction."""
        return Direction(self.target, self.source)

    @property
    def generator(self) -> str:
        """Name of the generator that translates, such as gen_ab."""
        return f"gen_{self.name}"

    @property
    def discriminator(self) -> str:
        """Name of the discriminator of the target domain, such as disc_b."""
        return f"disc_{self.target}"

    @property
    def predictor(self) -> str:
        """Name of the predictor of the target domain, such as pred_b."""
        return f"pred_{self.target}"


DIRECTIONS: tuple[Direction, ...] = tuple(Direction(*pair) for pair in permutations(DOMAINS, 2))
"""Both directions, in the order in which training processes them."""
AB, BA = DIRECTIONS
BY_TARGET: tuple[Direction, ...] = tuple(sorted(DIRECTIONS, key=lambda d: d.target))
"""Both directions in the order of their targets, which is the order of predictors and discriminators."""


def into(domain: Domain) -> Direction:
    """The direction whose target is `domain`."""
    return next(d for d in DIRECTIONS if d.target == domain)


class Names(NamedTuple):
    """Names of the domains for the user, such as summer and winter. Files and networks use the letters."""

    a: str = "a"
    b: str = "b"

    def of(self, domain: Domain) -> str:
        """The name of a domain."""
        return self[DOMAINS.index(domain)]

    def way(self, d: Direction) -> str:
        """The name of a direction, such as "summer → winter"."""
        return f"{self.of(d.source)} → {self.of(d.target)}"

    def find(self, word: str) -> Domain:
        """The domain with this name or letter. Raises ConfigError, with a list of the domains, if there is none."""
        known: dict[str, Domain] = {**dict(zip(self, DOMAINS, strict=True)), **{each: each for each in DOMAINS}}
        if word not in known:
            pairs = zip(self, DOMAINS, strict=True)
            listed = (name if name == letter else f"{name} ({letter})" for name, letter in pairs)
            raise ConfigError(f"there is no domain {brief(word)}; give {' or '.join(listed)}")
        return known[word]


LETTERS = Names()
"""The default names, a and b."""
