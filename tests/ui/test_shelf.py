"""Files are served only by the addresses that the page has made; uploads have limits and safe names."""

import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from recycle.ui import shelf as module
from recycle.ui.shelf import Shelf, file_name


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "uploads")


@pytest.fixture
def client(shelf: Shelf) -> TestClient:
    app = FastAPI()
    app.include_router(shelf.router)
    return TestClient(app)


def test_only_files_with_an_address_are_served_in_parts_or_as_a_download(
    shelf: Shelf, client: TestClient, tmp_path: Path
) -> None:
    film, secret = tmp_path / "fi lm.mp4", tmp_path / "secret"
    film.write_bytes(bytes(range(100)))
    secret.write_text("secret")
    url = shelf.url(film)
    assert shelf.url(film) == url
    assert client.get(url).content == film.read_bytes()
    part = client.get(url, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    assert "attachment" in client.get(shelf.url(film, download=True)).headers["content-disposition"]
    token = url.split("/")[2]
    for path in (f"/files/{token}x/a", "/files/x/secret", f"/files/{quote(str(secret), safe='')}/secret"):
        assert client.get(path).status_code == 404
    assert client.get(f"/files/{token}/../../secret").status_code == 404
    film.unlink()
    assert client.get(url).status_code == 404


def test_an_address_holds_for_any_key_and_any_name(
    shelf: Shelf, client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_urlsafe", lambda size: "a0xb")
    film = tmp_path / "10x.mp4"
    film.write_bytes(b"film")
    url = shelf.url(film)
    assert client.get(url).content == b"film"
    assert "/10x.mp4?" in url


def test_a_file_that_is_gone_has_an_address_where_nothing_is(shelf: Shelf, client: TestClient, tmp_path: Path) -> None:
    assert client.get(shelf.url(tmp_path / "gone.png")).status_code == 404


def test_uploads_arrive_in_the_folder_of_their_slot(shelf: Shelf, client: TestClient) -> None:
    address, folder = shelf.slot("a")
    assert client.put(f"{address}/..%2F..%2Ffilm.mp4", content=b"film").status_code in (204, 404)
    assert client.put(f"{address}/film.mp4", content=b"film").status_code == 204
    assert client.put(f"{address}/.hidden", content=b"x").status_code == 204
    assert sorted(path.name for path in folder.iterdir()) == ["film.mp4", "hidden"]
    assert (folder / "film.mp4").read_bytes() == b"film"
    assert client.put("/upload/unknown/film.mp4", content=b"film").status_code == 404


def test_uploads_that_are_too_large_too_many_or_fill_the_disk_leave_nothing(
    shelf: Shelf, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = shelf.slot("a")
    monkeypatch.setattr(module, "MOST", 10)
    assert client.put(f"{address}/a.mp4", content=b"12345678901").status_code == 413
    assert client.put(f"{address}/a.mp4", content=(part for part in [b"123456", b"78901"])).status_code == 413
    free = shutil.disk_usage(folder).free
    monkeypatch.setattr(module, "FREE", free + (1 << 40))
    assert client.put(f"{address}/a.mp4", content=b"1234").status_code == 507
    monkeypatch.setattr(module, "FREE", 0)
    monkeypatch.setattr(module, "MOST_FILES", 1)
    assert client.put(f"{address}/a.mp4", content=b"1234").status_code == 204
    assert client.put(f"{address}/b.mp4", content=b"1234").status_code == 413
    assert [path.name for path in folder.iterdir()] == ["a.mp4"]


@given(st.text(max_size=300))
def test_names_of_uploads_are_single_visible_path_parts(name: str) -> None:
    safe = file_name(name)
    assert safe == Path(safe).name
    assert not safe.startswith(".")
    assert 0 < len(safe) <= 200
    assert not set(safe) & {chr(n) for n in range(32)}
