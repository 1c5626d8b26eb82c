"""The two domains, the two directions between them, and what people call the domains."""

from itertools import permutations
from typing import Literal, NamedTuple, cast, get_args

from recycle.errors import ConfigError
from recycle.safe_text import brief

Domain = Literal["a", "b"]
DirectionName = Literal["ab", "ba"]
DOMAINS: tuple[Domain, ...] = get_args(Domain)


class Direction(NamedTuple):
    """A translation from one domain to another, and what its networks are called in bundles and checkpoints."""

    source: Domain
    target: Domain

    @property
    def name(self) -> DirectionName:
        """Such as "ab"."""
        return cast(DirectionName, self.source + self.target)

    @property
    def back(self) -> "Direction":
        """The opposite direction."""
        return Direction(self.target, self.source)

    @property
    def generator(self) -> str:
        """The generator that translates: gen_ab."""
        return f"gen_{self.name}"

    @property
    def discriminator(self) -> str:
        """The discriminator that judges the translations: disc_b. It belongs to the target."""
        return f"disc_{self.target}"

    @property
    def predictor(self) -> str:
        """The predictor that continues the translations: pred_b. It belongs to the target."""
        return f"pred_{self.target}"


DIRECTIONS: tuple[Direction, ...] = tuple(Direction(*pair) for pair in permutations(DOMAINS, 2))
"""In the order in which training goes through them."""
AB, BA = DIRECTIONS
BY_TARGET: tuple[Direction, ...] = tuple(sorted(DIRECTIONS, key=lambda d: d.target))
"""In the order of their targets: that of predictors and discriminators."""


def into(domain: Domain) -> Direction:
    """The direction that ends in a domain."""
    return next(d for d in DIRECTIONS if d.target == domain)


class Names(NamedTuple):
    """What people call the domains, such as summer and winter. Files and networks keep the letters."""

    a: str = "a"
    b: str = "b"

    def of(self, domain: Domain) -> str:
        """The name of a domain."""
        return self[DOMAINS.index(domain)]

    def way(self, d: Direction) -> str:
        """The name of a direction, such as "summer → winter"."""
        return f"{self.of(d.source)} → {self.of(d.target)}"

    def find(self, word: str) -> Domain:
        """The domain that is meant by its name or by its letter. Raises ConfigError, which lists the domains."""
        known: dict[str, Domain] = {**dict(zip(self, DOMAINS, strict=True)), **{each: each for each in DOMAINS}}
        if word not in known:
            pairs = zip(self, DOMAINS, strict=True)
            listed = (name if name == letter else f"{name} ({letter})" for name, letter in pairs)
            raise ConfigError(f"there is no domain {brief(word)}; give {' or '.join(listed)}")
        return known[word]


LETTERS = Names()
"""The names of domains to which nobody gave others."""
