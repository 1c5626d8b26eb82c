"""How the page starts: what it needs, where it listens, and what the terminal says."""

import re
import socket
import subprocess
import sys

import pytest

from recycle.cli import main
from recycle.errors import ConfigError
from recycle.ui import server


def run(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The error of a command that fails."""
    monkeypatch.setattr(sys, "argv", ["recycle", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    return capsys.readouterr().err


def test_help_does_not_import_the_page() -> None:
    code = "import sys, recycle.cli.app; print(sorted({'nicegui', 'fastapi', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_without_the_extra_one_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)
    assert run(["ui"], monkeypatch, capsys) == "error: the page needs NiceGUI; run: pip install 'recycle[ui]'\n"


def test_a_port_in_use_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        error = run(["ui", "--port", port, "--no-browser"], monkeypatch, capsys)
        reason = f"cannot listen at 127.0.0.1, port {port}: Address already in use"
        assert error == f"error: {reason}; give another --port or --host\n"
    for host in ("203.0.113.1", "no.such.host.invalid"):  # no addresses of this machine
        with pytest.raises(ConfigError, match=f"cannot listen at {re.escape(host)}, port 0: [A-Z]"):
            server._listen(host, 0)


def test_other_hosts_are_warned_of() -> None:
    said: list[str] = []
    server.tell("0.0.0.0", 8472, "key", said.append)
    assert said[0].startswith("warning: the page is open to other machines at 0.0.0.0, without encryption")
    assert f"http://{socket.gethostname()}:8472/open/key" in said[1]
    said.clear()
    server.tell("::1", 8472, "key", said.append)
    assert said[0] == "open this page   http://[::1]:8472/open/key"
