"""The command line: each command parses, calls one function and prints.

Nothing heavy is imported until a command runs, so that help is instant.
"""

from recycle.system import interrupt  # first: until it is imported, Ctrl-C ends in a traceback

# isort: split
from recycle.cli.entry import main

__all__ = ["interrupt", "main"]
