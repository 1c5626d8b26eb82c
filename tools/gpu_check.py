"""Checks everything that is claimed of GPUs, and measures this one: `python -m tools.gpu_check`.

Correctness comes first: each network and a training step in each precision against the CPU, out of memory, encoders and
decoders, interrupted work, several processes, a cluster, an export. Then the figures: frames per second, seconds of a
step, memory, and what compiled generators would gain. Each check runs in its own process and has a time limit. The
results are in `gpu_check.json` and `gpu_check.html`; the exit status is 1 if a check failed, crashed or was late.
Without CUDA the same checks run with tiny sizes on the CPU, and those that need CUDA are skipped by name.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from recycle.errors import ConfigError
from recycle.system.devices import find_device
from tools.gpu_checking.all import CHECKS
from tools.gpu_checking.apart import run_all
from tools.gpu_checking.check import Row
from tools.gpu_checking.page import summary, write_results

LIMIT = 480.0
"""Seconds that all checks may take together."""


def main(arguments: list[str] | None = None) -> int:
    """Run the checks; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu_check", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("gpu_check"), help="folder of the results (%(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (%(default)s)")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for all checks (%(default)g)")
    parser.add_argument("--only", action="append", metavar="NAME", help="only checks whose name has this; repeatable")
    given = parser.parse_args(arguments)
    try:
        device = find_device(given.device)
    except ConfigError as error:
        parser.error(str(error))
    checks = [check for check in CHECKS if not given.only or any(word in check.name for word in given.only)]
    if not checks:
        parser.error(f"no check has such a name; there are: {', '.join(check.name for check in CHECKS)}")
    print(f"{len(checks)} checks on '{device}', at most {given.limit:.0f} s", flush=True)
    with TemporaryDirectory() as folder:
        rows = run_all(checks, device, Path(folder), limit=given.limit, say=_say)
    write_results(given.out, rows, device)
    print(f"{summary(rows)}\nwrote {given.out / 'gpu_check.html'} and gpu_check.json")
    return int(Counter(row.bad for row in rows)[True] > 0)


def _say(row: Row) -> None:
    print(f"{row.state:<9} {row.name:<24} {row.seconds:6.1f} s  {row.detail}", flush=True)
    for name, value in row.figures.items() if row.group == "figures" else ():
        print(f"{'':10}{name}: {value}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
