"""What a visitor may send is bounded before it is written: of a request, of an address, and of all."""

import asyncio
import itertools
import os
import time
import tracemalloc

import gradio as gr
import pytest
from starlette.testclient import TestClient

from etp.app import limits
from etp.app.interface import build_interface, launch_options
from etp.app.upload_folder import UploadFolder

UPLOAD = "/gradio_api/upload"
MB = 1_000_000


@pytest.fixture
def server(handlers, uploads):
    options = launch_options()
    interface = build_interface(handlers.scorer)
    interface.max_file_size = options["max_file_size"]
    return gr.routes.App.create_app(interface, app_kwargs=options["app_kwargs"])


@pytest.fixture
def visit(server):
    """Visitors of one server, by address."""
    return lambda address="192.0.2.1": TestClient(server, client=(address, 1))


NUMBERS = itertools.count()  # one content under one name would be one file


def send(client, *sizes: int):
    return client.post(UPLOAD, files=[("files", (f"{next(NUMBERS)}.npy", bytes(size))) for size in sizes])


def written(uploads) -> int:
    return sum(path.stat().st_size for path in uploads.rglob("*") if path.is_file())


def test_an_upload_within_the_limits_is_taken(visit, uploads):
    assert send(visit(), 5 * MB, 4 * MB).status_code == 200
    assert written(uploads) == 9 * MB


@pytest.mark.parametrize("sizes", [[9 * MB] * 20, [9 * MB] * 2, [1] * 9, [1] * 400], ids=str)
def test_too_much_in_one_request_is_refused_unwritten(visit, uploads, sizes):
    answer = send(visit(), *sizes)
    assert answer.status_code == 413
    assert "maximum allowed size" in answer.text or "expected at most 8" in answer.text
    assert written(uploads) == 0
    assert not list(uploads.rglob("*"))


def test_a_body_that_does_not_state_its_length_is_bounded_too(visit, uploads):
    sent = 0

    def body():
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.npy"\r\n\r\n'
        for _ in range(40):
            sent += MB
            yield bytes(MB)
        yield b"\r\n--x--\r\n"

    answer = visit().post(UPLOAD, content=body(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413
    assert not list(uploads.rglob("*"))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nhalf'),
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("application/octet-stream", b"content"),
    ],
)  # fmt: skip
def test_an_upload_that_is_no_whole_form_is_refused_unwritten(visit, uploads, kind, body):
    assert visit().post(UPLOAD, content=body, headers={"Content-Type": kind}).status_code == 400
    assert not list(uploads.rglob("*"))


@pytest.mark.parametrize(
    ("other", "is_same"),
    [("192.0.2.1", True), ("::ffff:192.0.2.1", True), ("192.0.2.2", False)],
)
def test_one_address_has_its_share_and_another_its_own(visit, uploads, other, is_same):
    statuses = [send(visit(), 9 * MB).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert written(uploads) <= limits.VISITOR_BYTES
    assert send(visit(other), 9 * MB).status_code == (429 if is_same else 200)


def test_addresses_of_one_ipv6_network_are_one_visitor(visit):
    for number in range(8):
        assert send(visit(f"2001:db8::{number}"), *[1] * 8).status_code == 200
    refused = send(visit("2001:db8::ffff"), 1)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert send(visit("2001:db8:0:1::1"), 1).status_code == 200


def test_requests_of_an_address_are_bounded_too(visit, monkeypatch):
    monkeypatch.setattr(limits, "VISITOR_REQUESTS", 5)
    client = visit()
    answers = [client.post("/gradio_api/queue/join", json={"data": []}) for _ in range(6)]
    assert [answer.status_code for answer in answers][4:] == [answers[0].status_code, 429]
    assert visit("192.0.2.2").post("/gradio_api/queue/join", json={"data": []}).status_code != 429


def test_a_minute_later_there_is_room_again(visit, monkeypatch):
    for _ in range(6):
        last = send(visit(), 9 * MB)
    assert last.status_code == 429
    now = time.monotonic()
    monkeypatch.setattr(limits.time, "monotonic", lambda: now + 61)
    assert send(visit(), 9 * MB).status_code == 200


def test_all_uploads_together_are_bounded(visit, uploads, monkeypatch):
    monkeypatch.setattr(limits, "TOTAL_BYTES", 30 * MB)
    statuses = [send(visit(f"192.0.2.{number}"), 9 * MB).status_code for number in range(5)]
    assert statuses == [200, 200, 200, 503, 503]
    assert written(uploads) == 27 * MB
    for path in uploads.rglob("*.npy"):
        path.unlink()
    time.sleep(1.1)  # the folder is measured once a second
    assert send(visit("192.0.2.9"), 9 * MB).status_code == 200


def test_what_is_on_its_way_counts_too(server, uploads, monkeypatch):
    """Many slow requests at once would otherwise each see an empty folder."""
    monkeypatch.setattr(limits, "TOTAL_BYTES", 30 * MB)

    async def attack():
        requests = [Drip(server, f"198.51.100.{number}", chunk=MB, count=9, pause=0.02) for number in range(8)]
        await asyncio.gather(*(request.run() for request in requests))
        return [request.status for request in requests]

    statuses = asyncio.run(attack())
    assert set(statuses) == {200, 503}
    assert written(uploads) <= 30 * MB


def test_requests_that_begin_together_share_the_limits_of_their_address(server, uploads):
    """A visitor nothing of whom has come yet was forgotten, and the next request counted for a new one."""

    async def attack():
        requests = [Drip(server, "192.0.2.1", chunk=MB, count=9, pause=0.02) for _ in range(12)]
        await asyncio.gather(*(request.run() for request in requests))
        return [request.status for request in requests]

    statuses = asyncio.run(attack())
    assert set(statuses) == {200, 429}
    assert written(uploads) <= limits.VISITOR_BYTES


def test_what_is_refused_is_not_kept_while_the_rest_is_read(server, monkeypatch):
    held = []

    async def drain(_):
        held.append(tracemalloc.get_traced_memory()[0])

    monkeypatch.setattr(limits, "_drain", drain)
    request = Drip(server, "192.0.2.1", chunk=MB, count=12, pause=0)
    tracemalloc.start()
    try:
        asyncio.run(request.run())
    finally:
        tracemalloc.stop()
    assert request.status == 413
    assert len(held) == 1
    assert held[0] < 5 * MB


def test_requests_that_are_still_coming_count_too(server, monkeypatch):
    monkeypatch.setattr(limits, "VISITOR_REQUESTS", 5)

    async def attack():
        requests = [Drip(server, "192.0.2.1", chunk=1, count=1, pause=0.05) for _ in range(8)]
        await asyncio.gather(*(request.run() for request in requests))
        return sorted(request.status for request in requests)

    assert asyncio.run(attack()) == [200] * 5 + [429] * 3


def test_a_request_that_drips_is_given_up(server, uploads, monkeypatch):
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.5)
    request = Drip(server, "192.0.2.1", chunk=1, count=1000, pause=0.05)
    started = time.monotonic()
    asyncio.run(request.run())
    assert request.status == 408
    assert time.monotonic() - started < 10
    assert not list(uploads.rglob("*"))


def test_orphans_and_what_the_server_left_go_within_a_minute(uploads):
    outside = uploads.parent / "outside.npy"
    outside.write_bytes(b"x")
    (uploads / "a").mkdir(parents=True)
    (uploads / "a" / "a.npy").write_bytes(b"x")
    (uploads / "tmp-of-gradio").write_bytes(b"")
    (uploads / "link").symlink_to(uploads.parent)
    (uploads / "a" / "link.npy").symlink_to(outside)
    folder = UploadFolder(uploads)
    folder.sweep(limits.ORPHAN_SECONDS)
    assert folder.usage()[0] == 4
    folder.sweep(-1)  # everything is older than in a second from now
    assert folder.usage() == (0, 0)
    folder.sweep(-1)
    assert not list(uploads.iterdir())
    assert outside.read_bytes() == b"x"
    assert limits.ORPHAN_SECONDS + limits.SWEEP_SECONDS < 60


def test_the_server_sweeps(server, uploads, monkeypatch):
    monkeypatch.setattr(limits, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(limits, "ORPHAN_SECONDS", 0.2)
    with TestClient(server) as client:
        assert send(client, 1000).status_code == 200
        deadline = time.monotonic() + 10
        while list(uploads.rglob("*")) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not list(uploads.rglob("*"))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/file=http://192.0.2.1/"),
        ("GET", "/gradio_api/proxy=http://192.0.2.1/"),
        ("GET", "/gradio_api/deep_link?session_hash=a"),
        ("GET", "/gradio_api/upload_progress?upload_id=a"),
        ("GET", "/gradio_api/heartbeat/" + "a" * 101),
        ("GET", "/assets/" + "a" * 201),
        ("GET", "/monitoring"),
        ("GET", "/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
        ("GET", "/gradio_api/upload"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/run/predict"),
        ("POST", "/gradio_api/call/upload"),
        ("POST", "/gradio_api/vibe-edit"),
        ("POST", "/gradio_api/upload/"),
        ("POST", "//gradio_api/upload"),
        ("PUT", "/gradio_api/upload"),
    ],
)
def test_routes_that_the_page_does_not_need_are_closed(visit, method, path):
    answer = visit().request(method, path)
    assert (answer.status_code, answer.text) == (404, "This page has no such address.")


@pytest.mark.parametrize(("query", "server_header"), [("deep_link=a", "x"), ("", "::::")], ids=str)
def test_what_the_page_never_asks_changes_nothing(visit, query, server_header):
    """Gradio looks for saved links, and fails at an address of itself that is none, with a traceback in the log."""
    expected = visit().get("/config")
    asked = visit().get(f"/config?{query}", headers={"X-Gradio-Server": server_header})
    assert (asked.status_code, asked.json()) == (200, expected.json())


def test_gradio_keeps_no_name_of_an_upload(visit, monkeypatch):
    kept = []
    monkeypatch.setattr(gr.route_utils.FileUploadProgress, "track", lambda _, upload_id: kept.append(upload_id))
    form = {"files": ("a.npy", b"content")}
    assert visit().post(f"{UPLOAD}?upload_id={'a' * 5000}", files=form).status_code == 200
    assert kept == []


@pytest.mark.parametrize("path", ["/config", "/gradio_api/info", "/gradio_api/app_id"])
def test_routes_of_the_page_are_open(visit, path):
    assert visit().get(path).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"data": ["' + b"x" * 310_000 + b'"]}', 413),
        (b"[" * 100_000, 400),
        (b'{"session_hash": "' + b"x" * 1000 + b'"}', 400),
        (b"{", 400),
        (b'{"data": [[{"path": "HTTP://192.0.2.1/a", "meta": {"_type": "gradio.FileData"}}]]}', 400),
        (b'{"data": [{"path": "http://192.0.2.1/a", "meta": {"_type": "gradio.FileData"}}]}', 400),
    ],
    ids=["large", "deep", "long session", "half", "address", "address in another field"],
)
def test_a_request_that_is_too_large_too_deep_or_wants_something_fetched_is_refused(visit, body, status):
    answer = visit().post("/gradio_api/queue/join", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status


class Drip:
    """An upload that comes in pieces, as ASGI hands it over; `status` is what it was answered."""

    def __init__(self, app, address: str, *, chunk: int, count: int, pause: float):
        self.app, self.pause, self.status = app, pause, None
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.npy"\r\n\r\n'
        self.parts = [head, *[os.urandom(chunk) for _ in range(count)], b"\r\n--x--\r\n"]
        self.scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": UPLOAD, "raw_path": UPLOAD.encode(), "query_string": b"", "root_path": "",
            "headers": [(b"host", b"page"), (b"content-type", b"multipart/form-data; boundary=x")],
            "client": (address, 1), "server": ("page", 80),
        }  # fmt: skip

    async def run(self) -> None:
        await self.app(self.scope, self._receive, self._send)

    async def _receive(self) -> dict:
        await asyncio.sleep(self.pause)
        if not self.parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self.parts.pop(0), "more_body": bool(self.parts)}

    async def _send(self, message: dict) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
