"""Starts Python programs, such as `recycle`, in real processes that are spared their imports.

`python -m recycle` takes seconds to import torch before it works. Here, a server that has imported it (`warm_server`)
forks instead: the process has its own streams, folder, environment, signals and exit code, as a started one has.
Tests of the start itself, of what is imported, of memory and of closed streams start a fresh Python instead.
"""

import array
import atexit
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, PIPE, CompletedProcess, TimeoutExpired
from threading import Thread
from typing import IO

from tests.processes import PATIENCE

RECYCLE = ("-m", "recycle")


@cache
def _server() -> str:
    """The socket of this test process's server, which ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    door, errors = folder / "door", folder / "errors.txt"
    command = [sys.executable, "-m", "tests.warm_server", str(door)]
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    with errors.open("w") as file:
        server = subprocess.Popen(command, stdin=PIPE, stdout=DEVNULL, stderr=file, env=environment)

    def end() -> None:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    while not door.exists():
        assert server.poll() is None, errors.read_text()
        time.sleep(0.02)
    return str(door)


class Process:
    """What tests need of `subprocess.Popen[str]`, for `python WORDS`; its streams are text of any bytes."""

    def __init__(
        self,
        *words: object,
        stdin: int = DEVNULL,
        stdout: int = PIPE,
        stderr: int = PIPE,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        start_new_session: bool = False,
    ) -> None:
        self.args = [str(word) for word in words]
        self.returncode: int | None = None
        own: list[int | None] = []
        its: list[int] = []
        for number, wish in enumerate((stdin, stdout, stderr)):
            if wish == PIPE:
                read, write = os.pipe()
                own.append(read if number else write)
                its.append(write if number else read)
            else:
                own.append(None)
                its.append(os.open(os.devnull, os.O_RDWR) if wish == DEVNULL else os.dup(wish))
        self.stdin, self.stdout, self.stderr = (
            None if end is None else open(end, mode, errors="surrogateescape")  # noqa: SIM115, PTH123
            for end, mode in zip(own, "wrr", strict=True)
        )
        request = {
            "words": self.args,
            "cwd": str(cwd or Path.cwd()),
            "environment": dict(os.environ if env is None else env),
            "session": start_new_session,
        }
        self._keeper = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._keeper.connect(_server())
        socket.send_fds(self._keeper, [json.dumps(request).encode()], array.array("i", its))
        for end in its:
            os.close(end)
        self.pid = self._number(PATIENCE)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()

    def _number(self, timeout: float | None) -> int:
        """The next number that the keeper tells. Raises TimeoutExpired."""
        if not select.select([self._keeper], [], [], timeout)[0]:
            raise TimeoutExpired(self.args, timeout or 0)
        message = self._keeper.recv(64)
        assert message, f"the server of tests.warm, or its child, was killed: {self.args}"
        return int(message)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.returncode = self._number(timeout)
            self._keeper.close()
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(9)

    def communicate(self, input: str = "", timeout: float | None = None) -> tuple[str, str]:
        """Send the input, and return the rest of the outputs at the end of the process."""
        said = ["", ""]

        def read(number: int, stream: IO[str]) -> None:
            said[number] = stream.read()

        streams = [(number, stream) for number, stream in enumerate((self.stdout, self.stderr)) if stream is not None]
        threads = [Thread(target=read, args=each) for each in streams]
        for thread in threads:
            thread.start()
        if self.stdin is not None:
            self.stdin.write(input)
            self.stdin.close()
        self.wait(timeout)
        for thread in threads:
            thread.join()
        self.__exit__()
        return said[0], said[1]


def run(
    *words: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, start_new_session: bool = False
) -> "CompletedProcess[str]":
    """Run `python WORDS` to its end; kill it if it hangs."""
    process = Process(*words, cwd=cwd, env=env, start_new_session=start_new_session)
    try:
        out, errors = process.communicate(timeout=PATIENCE)
    except TimeoutExpired:
        process.kill()
        raise
    return CompletedProcess(process.args, process.wait(), out, errors)
