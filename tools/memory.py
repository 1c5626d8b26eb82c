"""Peak memory of translating a clip and one ten times as long, each in a process of its own.

Usage: python tools/memory.py [--model runs/demo/model] [--seconds 8]
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from recycle.footage.encode import write_video
from recycle.footage.street import Street
from recycle.translation.translator import Translator

SIZE = (640, 384)
RATE = 24
LOOP = 2
"""Seconds of street that are repeated."""


def main() -> None:
    """Print the table of peaks, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="identity")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--one", nargs=2, metavar=("SOURCE", "OUTPUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        source, output = map(Path, arguments.one)
        Translator.from_pretrained(arguments.model).translate_video(source, output, to="b")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    with tempfile.TemporaryDirectory() as folder:
        peaks = [_peak(Path(folder), arguments.model, arguments.seconds * times) for times in (1, 10)]
    print("length  peak, MiB")
    for times, peak in zip((1, 10), peaks, strict=True):
        print(f"{times:>4} ×  {peak:9.1f}")
    print(f"ratio   {peaks[1] / peaks[0]:9.3f}")


def _peak(folder: Path, model: str, seconds: float) -> float:
    """MiB of resident memory that a translation of so many seconds takes at most."""
    source = folder / f"{seconds:g}.mp4"
    loop = list(Street(1, *SIZE, RATE, LOOP).frames("day"))
    write_video(source, islice(cycle(loop), round(seconds * RATE)), fps=RATE)
    command = [sys.executable, __file__, "--model", model, "--one", str(source), str(folder / f"out-{source.name}")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / 1024


if __name__ == "__main__":
    main()
