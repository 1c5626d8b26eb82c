"""The guard refuses other sites, other users and other names, and lets the opened browser in."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from recycle.ui.guard import Guard

KEY = "a-secret"
HOME = {"host": "127.0.0.1:8472"}
OWN = HOME | {"cookie": f"other=1; recycle-8472={KEY}"}
SAME = OWN | {"origin": "http://127.0.0.1:8472"}


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"} if scope["type"] == "websocket" else {"type": "http.response.start"})


def ask(
    headers: dict[str, str], method: str = "GET", path: str = "/", *, kind: str = "http", host: str = "127.0.0.1"
) -> dict[str, Any]:
    """The first message of the answer."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "method": method, "path": path, "headers": pairs, "query_string": b""}
    asyncio.run(Guard(inside, key=KEY, host=host, port=8472)(scope, receive, send))
    return dict(sent[0])


def admitted(answer: dict[str, Any]) -> bool:
    return "status" not in answer and answer["type"] != "websocket.close"


def test_the_printed_address_gives_a_cookie_that_scripts_and_other_sites_cannot_use() -> None:
    answer = ask(HOME, path=f"/open/{KEY}")
    headers = dict(answer["headers"])
    assert (answer["status"], headers[b"location"]) == (303, b"/")
    cookie = headers[b"set-cookie"].decode()
    assert cookie.startswith(f"recycle-8472={KEY};")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert admitted(ask(OWN))
    assert admitted(ask(SAME, "POST"))
    assert admitted(ask(SAME, kind="websocket"))


@pytest.mark.parametrize("path", ["/", "/open/", "/open/wrong", "/files/x/y", "/ui/page.css", "/_nicegui/x"])
def test_without_the_key_nothing_is_served(path: str) -> None:
    assert ask(HOME, path=path)["status"] == 403
    assert ask(HOME | {"cookie": "recycle-8472=wrong"}, path=path)["status"] == 403
    assert ask(HOME | {"cookie": "recycle-1="}, path=path)["status"] == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://localhost:8472"])
def test_other_sites_are_refused_even_with_the_key(origin: str) -> None:
    for method in ("GET", "POST", "PUT"):
        assert ask(OWN | {"origin": origin}, method)["status"] == 403
    assert ask(OWN | {"origin": origin}, kind="websocket")["type"] == "websocket.close"


def test_changes_and_websockets_need_an_origin() -> None:
    assert ask(OWN, "POST")["status"] == 403
    assert ask(OWN, "PUT", "/upload/x/y")["status"] == 403
    assert ask(OWN, kind="websocket")["type"] == "websocket.close"


@pytest.mark.parametrize("host", ["evil.example:8472", "127.0.0.1.evil.example:8472", ""])
def test_other_names_of_this_machine_are_refused_at_a_local_host(host: str) -> None:
    assert ask(OWN | {"host": host})["status"] == 403
    for local in ("localhost:8472", "[::1]:8472", "127.0.0.1"):
        assert admitted(ask(OWN | {"host": local}))
    assert admitted(ask(OWN | {"host": "workstation.lan:8472"}, host="0.0.0.0"))


def test_large_bodies_are_only_for_uploads() -> None:
    large = SAME | {"content-length": str(2 << 20)}
    assert ask(large, "POST", "/_nicegui_ws/socket.io/")["status"] == 403
    assert ask(SAME | {"content-length": "-1"}, "POST")["status"] == 403
    assert admitted(ask(large, "PUT", "/upload/slot/film.mp4"))
