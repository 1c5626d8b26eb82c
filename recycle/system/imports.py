"""Imports large modules without garbage collection, which frees nothing there and takes a quarter of the time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Do not collect garbage while the body imports modules, nor search what they hold in later collections.

    Everything that is alive after the body is exempt from collection, so use this only at the start of a program.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
    gc.freeze()
