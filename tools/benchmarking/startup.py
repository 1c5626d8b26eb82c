"""Duration of `recycle --help`, compared with an empty Typer app; and time until a first frame is translated."""

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
FIRST_FRAME = "recycle translate, one frame"


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
            "python, import torch": [sys.executable, "-c", "import torch"],
            FIRST_FRAME: [installed, *_one_frame(Path(folder))],
        }
        times = take_turns({name: _timed(command) for name, command in commands.items()}, rounds=rounds, say=say)
    whole = times.faster("empty app --help", "recycle --help")
    one = times.faster("empty app one --help", "recycle translate --help")
    goals = [
        Goal("recycle --help, time ÷ empty app", whole, most=1.3),
        Goal("recycle translate --help, time ÷ empty app's command with one option", one),
    ]
    goals.append(
        Goal("seconds of a translation of one frame of 256 × 256, width 16", times.time(FIRST_FRAME), most=1.5)
    )
    return Results("startup", "start", times, goals)


def _one_frame(folder: Path) -> list[str]:
    """The arguments of a command that translates one frame with a model that has predictors, as the default has."""
    code = f"""
from pathlib import Path
from recycle.config import NetworkSettings, ResNetSettings
from recycle.networks.bundle import Bundle, BundleConfig, save_bundle
from recycle.street.film import Street
from recycle.video.encode import write_video
networks = NetworkSettings(generator=ResNetSettings(blocks=6, width=16))
save_bundle(Bundle(BundleConfig(networks=networks, short_side=256)), Path({str(folder)!r}, "model"))
write_video(Path({str(folder)!r}, "second.mp4"), Street(1, 256, 256, 25, 1).frames("day"), fps=25)
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # apart, so that this process stays small
    files = [str(folder / "second.mp4"), str(folder / "out.mp4"), "--model", str(folder / "model")]
    return ["translate", *files, "--to", "b", "--end", "0.03", "--overwrite"]


def _timed(command: list[str]) -> Contender:
    # As for a user, modules are compiled once and not at each start.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run() -> float:
        start = time.perf_counter()
        for _ in range(CALLS):
            subprocess.run(command, check=True, capture_output=True, env=environment)
        return (time.perf_counter() - start) / CALLS

    return run
