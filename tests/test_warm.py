"""A process that is forked with everything imported behaves as a Python that was started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm


@pytest.mark.parametrize(
    "code",
    [
        "print('out'); print('err', file=sys.stderr); sys.exit(3)",
        "sys.exit('a text')",
        "sys.exit()",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGINT); time.sleep(60)",
        "raise LookupError('lost')",
        "print(os.getcwd(), os.environ['ODD'], sys.argv, os.getsid(0) == os.getpid(), __name__)",
        "threading.Timer(0.1, print, ['late']).start(); atexit.register(print, 'last'); print('first')",
        "sys.stdout.buffer.write(bytes([195, 40, 10]))",
        "print(signal.getsignal(signal.SIGCHLD), signal.getsignal(signal.SIGTERM), len(os.listdir('/proc/self/fd')))",
    ],
)
def test_it_ends_as_a_started_python_does(code: str, tmp_path: Path) -> None:
    code = f"import atexit, os, signal, sys, threading, time\n{code}"
    environment = {**os.environ, "ODD": "ü\udcff"}
    command = [sys.executable, "-c", code, "one", "-2"]
    fresh = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
    )
    forked = warm.run("-c", code, "one", "-2", cwd=tmp_path, env=environment, start_new_session=True)
    assert (forked.returncode, forked.stdout) == (fresh.returncode, fresh.stdout)
    assert forked.stderr.splitlines()[-1:] == fresh.stderr.splitlines()[-1:]


def test_it_is_sent_signals_and_text() -> None:
    code = "import sys; print('ready', flush=True); print(sys.stdin.readline())"
    with warm.Process("-c", code, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.poll() is None
        assert process.communicate("hello\n") == ("hello\n\n", "")
        assert process.returncode == 0
    with warm.Process("-c", "import time; time.sleep(60)") as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
        process.kill()  # it has ended: nothing is signalled
