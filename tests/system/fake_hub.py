"""A local server that speaks as much of the Hugging Face Hub's HTTP API as the real client needs."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit


class Hub:
    """Models by name: their files by revision. The newest revision is also main."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []
        """Paths of all requests."""
        self.refuses = False
        """Whether it refuses to write, as without a token."""
        self.address = ""

    def commit(self, name: str, files: dict[str, bytes]) -> str:
        revisions = self.files.setdefault(name, {})
        merged = {**(list(revisions.values())[-1] if revisions else {}), **files}
        sha = hashlib.sha1(repr(sorted(merged.items())).encode()).hexdigest()
        revisions[sha] = merged
        self.private.setdefault(name, False)
        return sha

    def found(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        revisions = self.files.get(name, {})
        sha = (list(revisions) or [""])[-1] if revision == "main" else revision
        return (sha, revisions[sha]) if sha in revisions else None


class Reply(NamedTuple):
    code: int
    body: Any = b""
    headers: Mapping[str, str] = {}


def missing(code: str) -> Reply:
    return Reply(404, {"error": code}, {"X-Error-Code": code})


def described(hub: Hub, name: str, rest: list[str]) -> Reply:
    if name not in hub.private:
        return missing("RepoNotFound")
    found = hub.found(name, rest[1] if len(rest) > 1 else "main")
    if found is None and rest:
        return missing("RevisionNotFound")
    sha, files = found or ("0" * 40, {})
    if rest[:1] == ["tree"]:
        listed = {path: {"size": len(data), "oid": hashlib.sha1(data).hexdigest()} for path, data in files.items()}
        return Reply(200, [{"type": "file", "path": path, **facts} for path, facts in listed.items()])
    siblings = [{"rfilename": path} for path in files]
    return Reply(200, {"id": name, "sha": sha, "private": hub.private[name], "siblings": siblings, "tags": []})


def sent(hub: Hub, name: str, revision: str, path: str) -> Reply:
    found = hub.found(name, revision)
    if found is None or path not in found[1]:
        return missing("EntryNotFound")
    data = found[1][path]
    return Reply(200, data, {"X-Repo-Commit": found[0], "ETag": f'"{hashlib.sha1(data).hexdigest()}"'})


def written(hub: Hub, path: str, body: bytes) -> Reply:
    words = path.strip("/").split("/")
    if path == "/api/validate-yaml":
        return Reply(200, {"errors": [], "warnings": []})
    if hub.refuses:
        return Reply(401, {"error": "Invalid username or password."})
    if path == "/api/repos/create":
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        known = name in hub.private
        hub.private.setdefault(name, asked.get("visibility") == "private")
        return Reply(409 if known else 200, {"url": f"{hub.address}/{name}", "name": name})
    name = "/".join(words[2:4])
    if words[4] == "preupload":
        paths = [file["path"] for file in json.loads(body)["files"]]
        return Reply(200, {"files": [{"path": each, "uploadMode": "regular", "shouldIgnore": False} for each in paths]})
    values = [line["value"] for line in map(json.loads, body.splitlines()) if line["key"] == "file"]
    sha = hub.commit(name, {value["path"]: base64.b64decode(value["content"]) for value in values})
    return Reply(200, {"commitUrl": f"{hub.address}/{name}/commit/{sha}", "commitOid": sha})


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path_asked()
            words = path.strip("/").split("/")
            if words[:2] == ["api", "models"]:
                self.answer(described(hub, "/".join(words[2:4]), words[4:]))
            elif len(words) > 4 and words[2] == "resolve":
                self.answer(sent(hub, "/".join(words[:2]), words[3], "/".join(words[4:])))
            else:
                self.answer(missing("EntryNotFound"))

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            path = self.path_asked()
            self.answer(written(hub, path, self.rfile.read(int(self.headers.get("Content-Length", 0)))))

        def path_asked(self) -> str:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(path)
            return path

        def answer(self, reply: Reply) -> None:
            data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.code)
            for key, value in reply.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
