"""Duration of `recycle --help`, compared with an empty Typer app."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import Contender, take_turns

EMPTY = '''
import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

@app.command()
def one(number: int = 1) -> None:
    """The first."""

@app.command()
def two() -> None:
    """The second."""

app()
'''
CALLS = 5
"""Number of calls of a contender in each round."""


def startup(*, rounds: int, say: Callable[[str], None]) -> Results:
    """Measure the processes from start to exit."""
    with TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY, encoding="utf-8")
        installed = str(Path(sys.executable).with_name("recycle"))
        commands = {
            "recycle --help": [installed, "--help"],
            "recycle translate --help": [installed, "translate", "--help"],
            "empty app --help": [sys.executable, str(empty), "--help"],
            "empty app one --help": [sys.executable, str(empty), "one", "--help"],
            "python": [sys.executable, "-c", ""],
        }
        times = take_turns({name: _timed(command) for name, command in commands.items()}, rounds=rounds, say=say)
    whole = times.faster("empty app --help", "recycle --help")
    one = times.faster("empty app one --help", "recycle translate --help")
    goals = [
        Goal("recycle --help, time ÷ empty app", whole, most=1.3),
        Goal("recycle translate --help, time ÷ empty app's command with one option", one),
    ]
    return Results("startup", "start", times, goals)


def _timed(command: list[str]) -> Contender:
    # As for a user, modules are compiled once and not at each start.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run() -> float:
        start = time.perf_counter()
        for _ in range(CALLS):
            subprocess.run(command, check=True, capture_output=True, env=environment)
        return (time.perf_counter() - start) / CALLS

    return run
