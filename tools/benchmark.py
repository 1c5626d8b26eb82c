"""Measure the speed of recycle on this machine, relative to the published order of work and to the hardware's limit.

Usage, from the repository's folder:
  python -m tools.benchmark startup
  python -m tools.benchmark extract
  python -m tools.benchmark train [--size 128] [--device cuda | --processor-time]
  python -m tools.benchmark translate [--width 16 | --model runs/NAME/model] [--frames 96] [--precision int8]
  python -m tools.benchmark memory [--width 16] [--frames 240] [--device cuda]
  python -m tools.benchmark parts
  python -m tools.benchmark folder
  python -m tools.benchmark busy [--beside 1]
  python -m tools.benchmark export [--width 64]
  python -m tools.benchmark encode [--frames 40]

Contenders take turns in one process, round after round, and ratios are computed within a round, so that other load on
the machine slows all of them alike. The command prints a table and writes all results to OUT/NAME.json (OUT:
runs/benchmark). `--rounds` sets the number of rounds.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from recycle.errors import ConfigError, RecycleError
from tools.benchmarking.results import Results

NAMES = ("startup", "extract", "train", "translate", "memory", "parts", "folder", "busy", "export", "encode")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark of the command line, and return the exit status."""
    parser = argparse.ArgumentParser(
        "python -m tools.benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, help="train: pixels of a side; default: 128 on the CPU, 256 on a GPU")
    parser.add_argument("--steps", type=int, help="train: steps of each contender in a round")
    parser.add_argument(
        "--processor-time", action="store_true", help="train: steps on the CPU, by the processor time of one thread"
    )
    parser.add_argument("--width", type=int, help="channels of the generator; translate, export: 64, memory: 16")
    parser.add_argument("--model", type=Path, help="translate: folder of a trained bundle, in place of random weights")
    parser.add_argument("--precision", default="auto", help="translate: precision of the networks")
    parser.add_argument("--frames", type=int, help="translate, memory, extract, encode: frames of the clip")
    parser.add_argument("--beside", type=int, default=0, help="busy: number of programs that only count")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    chosen = parser.parse_args(argv)
    try:
        for number in ("rounds", "size", "steps", "width", "frames"):
            if (value := getattr(chosen, number)) is not None and value < 1:
                raise ConfigError(f"--{number} must be at least 1, got {value}")
        if chosen.beside < 0:
            raise ConfigError(f"--beside must be at least 0, got {chosen.beside}")
        for results in _run(chosen, _say):
            print(file=sys.stderr)
            results.show()
            file = chosen.out / f"{results.benchmark.replace(' ', '-')}.json"
            results.write(file)
            print(f"written to {file}")
    except RecycleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(chosen: argparse.Namespace, say: Callable[[str], None]) -> Iterable[Results]:
    """The results of the chosen benchmark. Each branch imports only its own modules, so that others cannot slow it
    down."""
    rounds, device, frames = chosen.rounds, chosen.device, chosen.frames
    if chosen.name == "startup":
        from tools.benchmarking.startup import startup

        return [startup(rounds=rounds, say=say)]
    if chosen.name == "extract":
        from tools.benchmarking.extract import extract

        return [extract(frames=frames, rounds=rounds, say=say)]
    if chosen.name == "train":
        from tools.benchmarking.train import train, train_by_processor_time

        if chosen.processor_time:
            return [train_by_processor_time(size=chosen.size, rounds=rounds, steps=chosen.steps, say=say)]
        return [train(size=chosen.size, rounds=rounds, steps=chosen.steps, device=device, say=say)]
    if chosen.name == "translate":
        from tools.benchmarking.translate import translate

        width, how = chosen.width or 64, {"model": chosen.model, "precision": chosen.precision}
        return translate(width=width, frames=frames, rounds=rounds, device=device, say=say, **how)
    if chosen.name == "memory":
        from tools.benchmarking.memory import memory

        return [memory(width=chosen.width or 16, frames=frames, rounds=rounds, device=device, say=say)]
    if chosen.name == "folder":
        from tools.benchmarking.folder import folder

        return [folder(rounds=rounds, say=say)]
    if chosen.name == "busy":
        from tools.benchmarking.busy import busy

        return [busy(rounds=rounds, beside=chosen.beside, say=say)]
    if chosen.name == "export":
        from tools.benchmarking.export import export

        return export(width=chosen.width or 64, rounds=rounds, say=say)
    if chosen.name == "encode":
        from tools.benchmarking.encode import encode

        return encode(frames=frames, rounds=rounds, say=say)
    from tools.benchmarking.parts import parts

    return [parts(rounds=rounds, say=say)]


def _say(line: str) -> None:
    width = os.get_terminal_size(2).columns if sys.stderr.isatty() else 0
    if width:
        print(f"\r{line:<{width}.{width}}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
