"""Large modules are imported without garbage collection."""

import subprocess
import sys

import pytest

CODE = """
import gc, sys
from recycle.system.imports import uncollected
collections = []
gc.callbacks.append(lambda phase, facts: collections.append(phase))
try:
    with uncollected():
        kept = [[] for _ in range(100_000)]
        assert not collections
        if sys.argv[1] == "fails":
            raise ImportError
except ImportError:
    pass
assert gc.isenabled()
assert (gc.get_freeze_count() > 100_000) == (sys.argv[1] == "works")
collections.clear()
more = [[] for _ in range(100_000)]
assert collections
"""


@pytest.mark.parametrize("outcome", ["works", "fails"])
def test_nothing_is_collected_meanwhile_and_garbage_is_collected_afterwards(outcome: str) -> None:
    subprocess.run([sys.executable, "-c", CODE, outcome], check=True)
