"""The command line: each command parses its options, calls one function and prints the result.

Slow imports happen only when a command runs, so that help appears at once.
"""

from recycle.system import interrupt  # first: before this import, Ctrl-C prints a traceback

# isort: split
from recycle.cli.entry import main

__all__ = ["interrupt", "main"]
