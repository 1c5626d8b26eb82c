"""Decides which requests may reach the page: those of a browser that was opened with the server's key.

A page on this machine can be reached by every web site that the user visits and by every user of the machine. So each
request needs a cookie with a random key, which the browser gets by the address that the terminal prints. Requests that
other sites start are refused by their `Origin` header, also for WebSockets, to which browsers apply no such rule.
Names that another site could point to this machine (DNS rebinding) are refused by the `Host` header.
"""

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL = ("127.0.0.1", "localhost", "::1")
"""Names of this machine for itself."""
_SAFE = ("GET", "HEAD", "OPTIONS")
_LONGEST_BODY = 1 << 20
"""Maximum size in bytes of a request's body; uploads have a limit of their own."""
OPENING = "/open/"
"""Start of the path by which a browser brings the key."""
UPLOADS = "/upload/"
"""Start of the paths of uploads."""


class Guard:
    """ASGI middleware that refuses requests without the key, of other sites, and under other names."""

    def __init__(self, app: ASGIApp, *, key: str, host: str, port: int) -> None:
        """`host` is the address at which the server listens. If it is not local, any name of the machine is allowed."""
        self._app, self._key = app, key
        self._hosts = frozenset(LOCAL) if host in LOCAL else None
        self._cookie = f"recycle-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with the reason for its refusal."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        reason = self._foreign(headers, scope)
        if not reason and not self._knows_key(headers):
            if scope["type"] == "http" and scope["method"] == "GET" and self._brings_key(scope["path"]):
                await self._admitted()(scope, receive, send)
                return
            reason = "this page needs the address that the terminal shows, with its key; open that address"
        if not reason:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            await PlainTextResponse(reason, status_code=403)(scope, receive, send)

    def _foreign(self, headers: Headers, scope: Scope) -> str:
        """Why the request is not one of this page's own; '' if it is."""
        host = headers.get("host", "")
        if self._hosts is not None and urlsplit(f"//{host}").hostname not in self._hosts:
            return f"this server is not called {host[:100]}"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "requests of other web sites are refused"
        if origin is None and (scope["type"] == "websocket" or scope["method"] not in _SAFE):
            return "requests without an origin are refused"
        size = headers.get("content-length", "0")
        if not scope["path"].startswith(UPLOADS) and not (size.isdecimal() and int(size) <= _LONGEST_BODY):
            return "the request is too large"
        return ""

    def _knows_key(self, headers: Headers) -> bool:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return found is not None and secrets.compare_digest(found.value.encode(), self._key.encode())

    def _brings_key(self, path: str) -> bool:
        return secrets.compare_digest(path.encode(), f"{OPENING}{self._key}".encode())

    def _admitted(self) -> RedirectResponse:
        """Give the browser the key as a cookie, which scripts cannot read, and open the page without it."""
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(self._cookie, self._key, httponly=True, samesite="lax")
        return answer
