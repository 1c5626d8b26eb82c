"""What people read when the system has no memory or no threads left."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, threading
from recycle.system.out_of_memory import shortage
{wanting}
try:
    {use}
except Exception as error:
    print(shortage(error))
"""
LIMITED = "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))"
ENDLESS = "[threading.Thread(target=threading.Event().wait, daemon=True).start() for _ in range(100_000)]"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space hold on Linux")
@pytest.mark.parametrize(
    ("use", "told"),
    [
        ("bytearray(4 << 30)", "there is not enough memory; close other programs"),
        (ENDLESS, "the system starts no more threads; close other programs"),
        ("int('x')", "None"),
    ],
)
def test_a_lack_of_memory_or_threads_is_told_in_a_line(use: str, told: str) -> None:
    script = SCRIPT.format(wanting=LIMITED, use=use)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(told), done.stderr
    assert done.stdout.count("\n") == 1
