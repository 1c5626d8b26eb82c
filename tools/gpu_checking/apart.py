"""Runs each check in its own process: one that fails, crashes or hangs is a row of the report, not its end."""

import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from recycle.system.devices import Device
from tools.gpu_checking.check import Check, Figures, Place, Row, Unmet

_LOG = 4000
"""Characters of the end of a log that a row keeps."""


def run_all(
    checks: Sequence[Check], device: Device, folder: Path, *, limit: float, say: Callable[[Row], None]
) -> list[Row]:
    """Run the checks one after the other, for at most `limit` seconds in all; later ones are 'not run'."""
    # Its server has imported torch, and never used CUDA, so a check starts in milliseconds and with a fresh context.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tools.gpu_checking.all", "timm"])
    end, rows = time.monotonic() + limit, []
    for number, check in enumerate(checks):
        left = end - time.monotonic()
        if left <= 0:
            row = Row(check.name, check.group, check.claim, "not run", 0, f"the limit of {limit:.0f} s was reached")
        else:
            own = folder / f"{number:02}"
            own.mkdir(parents=True)
            row = _run(context, check, Place(device, own), min(left, check.seconds))
        rows.append(row)
        say(row)
    return rows


def _run(context: Any, check: Check, place: Place, seconds: float) -> Row:
    log, result = place.folder.with_suffix(".log"), place.folder.with_suffix(".json")
    started = time.monotonic()
    process = context.Process(target=_work, args=(check.run, place, log, result))
    process.start()
    process.join(seconds)
    late = process.is_alive()
    process.kill()
    with suppress(ProcessLookupError, PermissionError):  # its children too
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    took = round(time.monotonic() - started, 2)
    text = log.read_text(encoding="utf-8", errors="replace")[-_LOG:] if log.exists() else ""
    if late:
        return Row(check.name, check.group, check.claim, "timed out", took, f"not done after {seconds:.0f} s", log=text)
    if not result.exists():
        reason = f"its process ended with the code {process.exitcode}"
        return Row(check.name, check.group, check.claim, "crashed", took, reason, log=text)
    told = json.loads(result.read_text(encoding="utf-8"))
    kept = text if told["state"] == "failed" else ""
    return Row(check.name, check.group, check.claim, told["state"], took, told["detail"], told["figures"], kept)


def _work(run: Callable[[Place], Figures], place: Place, log: Path, result: Path) -> None:
    """Run a check in this process, and write what became of it to the file `result`."""
    os.setsid()
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(place.folder)
    if not place.gpu:
        torch.set_num_threads(1)  # the sizes are tiny
    state, detail, figures = "passed", "", {}
    try:
        figures = dict(run(place))
    except Unmet as unmet:
        state, detail = "skipped", str(unmet)
    except BaseException as error:
        traceback.print_exc()
        text = str(error).strip().splitlines()
        own = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        state, detail = "failed", own + (text[0] if text else "")
    sys.stdout.flush()
    sys.stderr.flush()
    part = result.with_suffix(".part")
    part.write_text(json.dumps({"state": state, "detail": detail, "figures": figures}, default=str), encoding="utf-8")
    part.replace(result)
    os._exit(0)  # without waiting for what the check left behind
