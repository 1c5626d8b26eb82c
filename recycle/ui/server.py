"""Starts the page's server, and ends it after the running work is saved."""

import os
import secrets
import socket
import warnings
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from nicegui import ui
from starlette.staticfiles import StaticFiles

from recycle.errors import ConfigError
from recycle.ui.guard import LOCAL, OPENING, Guard
from recycle.ui.page import Page
from recycle.ui.site import Site

_STATIC = Path(__file__).parent / "static"
_FAVICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7"
 fill="#2a62a6"/><path d="M9 20a8 8 0 0 1 13-7m0-5v5h-5M23 12a8 8 0 0 1-13 7m0 5v-5h5" fill="none" stroke="#fff"
 stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"/></svg>"""
_PATIENCE = 2
"""Seconds for which open connections of browsers may delay the end."""


def serve(runs: Path, *, host: str, port: int, browser: bool, say: Callable[[str], object]) -> None:
    """Serve the page until Ctrl-C; then stop the running work, which saves it.

    `runs` is the folder of the runs. `browser` opens the page in a browser, if there is a screen. Raises ConfigError if
    the address cannot be used.
    """
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    key = secrets.token_urlsafe(24)
    site = Site(runs.absolute())
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(site.shelf.router)
    app.mount("/ui", StaticFiles(directory=_STATIC))
    ui.run_with(
        app,
        root=lambda: Page(site),
        title="recycle",
        favicon=_FAVICON,
        dark=None,
        tailwind=False,
        reconnect_timeout=60,
        show_welcome_message=False,
    )
    app.add_middleware(Guard, key=key, host=host, port=port)
    address = tell(host, port, key, say)
    if browser and _has_screen():
        webbrowser.open(address)
    # NiceGUI looks through all objects for its server, and meets deprecated ones of torch.
    warnings.filterwarnings("ignore", category=FutureWarning, module="nicegui")
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=_PATIENCE, lifespan="on")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn raises it again after it has ended
        pass
    finally:
        if site.desk.current is not None:
            say(f"stopping: {site.desk.current.title}; its work is being saved")
        site.close()


def tell(host: str, port: int, key: str, say: Callable[[str], object]) -> str:
    """Say how to open and to end the page, with a warning if other machines can reach it; returns its address."""
    address = f"http://{_shown(host)}:{port}{OPENING}{key}"
    if host not in LOCAL:
        say(
            f"warning: the page is open to other machines at {host}, without encryption; everyone who has its address "
            "with the key can read and write your files; --host 127.0.0.1 closes it"
        )
    say(f"open this page   {address}")
    say("press Ctrl-C to end; a running training is saved first")
    return address


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None) or 0  # negative for a name that is not found
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot listen at {host}, port {port}: {reason}; give another --port or --host") from error


def _shown(host: str) -> str:
    """The host in an address: this machine's own name where the server listens everywhere."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) or os.uname().sysname == "Darwin"
