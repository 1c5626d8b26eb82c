"""The process from which `tests.warm` starts others: it has imported what takes long, and forks for each request."""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

PRELOADED = (
    *("torch", "cv2", "av", "pydantic", "rich.progress", "lightning_fabric", "kornia", "safetensors.torch"),
    *("segmentation_models_pytorch", "torchmetrics", "fsspec", "recycle.cli.task", "recycle.translation.translator"),
    *("recycle.batch.task", "recycle.batch.threads", "recycle.training.loop", "recycle.dataset.extract"),
    *("recycle.evaluation.evaluate", "recycle.runs.pipeline", "recycle.street.film", "recycle.video.probe"),
)
"""What the command line imports when a command runs. A name that no longer exists only makes its command slower."""


def main() -> None:
    for name in PRELOADED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            sys.exit(f"{__file__}: PRELOADED: {error}")
    gc.collect()
    gc.freeze()  # the processes share its pages
    request = serve(Path(sys.argv[1]))
    if request is not None:
        end(partial(run, request))


def serve(door: Path) -> dict[str, Any] | None:
    """Fork for each request, until standard input closes. Returns the request in the new process, None at the end."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(door))
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the keepers leave no zombies
    while True:
        readable, _, _ = select.select([listener.fileno(), 0], [], [])
        if 0 in readable:
            return None
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return keep(client)
        client.close()


def keep(client: socket.socket) -> dict[str, Any]:
    """Fork the process that was requested, tell its id and, at its end, its exit status. Returns in that process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, descriptors, _, _ = socket.recv_fds(client, 1 << 20, 3)
    process = os.fork()
    if process == 0:
        client.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        request: dict[str, Any] = json.loads(message)
        return request
    for descriptor in (0, 1, 2, *descriptors):
        os.close(descriptor)  # the streams end with the process
    client.sendall(str(process).encode())
    _, status = os.waitpid(process, 0)
    client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def run(request: dict[str, Any]) -> None:
    """Become a Python that was started with these words, this folder and this environment."""
    if request["session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        before = getattr(sys, name)
        how = {"encoding": before.encoding, "errors": before.errors, "closefd": False}
        stream = open(number, "w" if number else "r", buffering=1 if number == 2 else -1, **how)  # noqa: PTH123, SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    words = request["words"]
    sys.orig_argv[:] = [sys.executable, *words]
    if words[0] == "-m":
        sys.argv[:] = ["-m", *words[2:]]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.argv[:] = ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        sys.argv[:] = words
        sys.path[0] = str(Path(words[0]).parent)
        runpy.run_path(words[0], run_name="__main__")


def end(work: Callable[[], None]) -> NoReturn:
    """Work, and end as Python does, except that modules are not taken down: that takes half a second."""
    code: object = 0
    try:
        work()
    except SystemExit as stop:
        code = stop.code
    except BaseException as error:
        traceback.print_exc()
        code = 1
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    main()
