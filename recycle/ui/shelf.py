"""The files that the page shows and takes: results by random addresses, and uploads of limited size."""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse

from recycle.safe_text import printable

MOST = 8 << 30
"""Maximum size of an uploaded file in bytes."""
MOST_FILES = 200
"""Maximum number of files of one upload."""
FREE = 1 << 30
"""Bytes of the disk that uploads leave free."""
_LONGEST_NAME = 120


class Shelf:
    """Serves the files that the page has put on it, and nothing else; receives uploads."""

    def __init__(self, uploads: Path) -> None:
        """`uploads` is the folder in which each upload gets a folder of its own."""
        self._uploads = uploads
        self._files: dict[str, Path] = {}
        self._names: dict[Path, str] = {}
        self._slots: dict[str, Path] = {}
        self.router = APIRouter()
        self.router.get("/files/{token}/{name:path}")(self._send)
        self.router.put("/upload/{slot}/{name}")(self._receive)

    def url(self, path: Path, *, download: bool = False) -> str:
        """The address of a file; that of the same path differs only by its version, the file's time of change."""
        path = path.absolute()
        if path not in self._names:
            self._names[path] = secrets.token_urlsafe(16)
            self._files[self._names[path]] = path
        version = 0
        with suppress(OSError):
            version = path.stat().st_mtime_ns
        name = quote(printable(path.name), safe="")
        return f"/files/{self._names[path]}/{name}?{'download&' if download else ''}v={version:x}"

    def slot(self, name: str) -> tuple[str, Path]:
        """The address for a new upload, and the folder that its files come to; both are named after `name`."""
        token = secrets.token_urlsafe(16)
        self._slots[token] = self._uploads / f"{name}-{token[:6]}"
        return f"/upload/{token}", self._slots[token]

    def _send(self, token: str, name: str, request: Request) -> Response:
        path = self._files.get(token)
        if path is None or not path.is_file():
            raise HTTPException(404, "this file is gone")
        kept = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache"}
        as_download = path.name if "download" in request.query_params else None
        return FileResponse(path, filename=as_download, headers=kept)

    async def _receive(self, slot: str, name: str, request: Request) -> Response:
        folder = self._slots.get(slot)
        if folder is None:
            raise HTTPException(404, "this upload is closed; load the page again")
        safe = file_name(name)
        size = int(request.headers.get("content-length", "0") or 0)
        folder.mkdir(parents=True, exist_ok=True)
        if size > MOST:
            raise HTTPException(413, f"{safe} is larger than {MOST >> 30} GiB")
        if len(os.listdir(folder)) >= MOST_FILES:  # noqa: PTH208 (the number only)
            raise HTTPException(413, f"at most {MOST_FILES} files can be uploaded together")
        if size > shutil.disk_usage(folder).free - FREE:
            raise HTTPException(507, "there is not enough space on the disk of the server")
        partial = folder / f".{safe}.partial"
        done = 0
        try:
            with partial.open("wb") as file:
                async for block in request.stream():
                    done += len(block)
                    if done > min(MOST, size or MOST):
                        raise HTTPException(413, f"{safe} is larger than it said, or than {MOST >> 30} GiB")
                    file.write(block)
            partial.replace(folder / safe)
        finally:
            partial.unlink(missing_ok=True)
        return Response(status_code=204)


def file_name(name: str) -> str:
    """A safe name for an uploaded file: the last part of `name`, without hidden, control or very long names."""
    last = printable(name.replace("\\", "/").rpartition("/")[2]).strip().lstrip(".")
    stem, dot, suffix = last.rpartition(".")
    short = f"{stem[:_LONGEST_NAME]}{dot}{suffix[:12]}" if dot else last[:_LONGEST_NAME]
    return short or "upload"
