"""Fetching archives: a file is whole or refused, a slow server is waited for and a dripping one isn't, no password is shown."""

import gzip
import hashlib
import logging
import time

import pytest
from raw_server import RawServer, answer, drip, whole

from datasets_scripts import download, sessions
from datasets_scripts.archive_errors import ArchiveError
from datasets_scripts.download import RemoteFile, fetch_files, fetch_listed_files

CONTENT = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(download, "_FIRST_PAUSE", 0.01)


@pytest.fixture
def server():
    server = RawServer()
    yield server
    server.close()


def fetch(server, folder, **file):
    fetch_files([RemoteFile(server.url("/a.zip"), "a.zip", **file)], folder)
    return (folder / "a.zip").read_bytes()


def in_pieces(body: bytes, *, end: bytes = b"0\r\n\r\n") -> bytes:
    return answer(b"%x\r\n%s\r\n" % (len(body), body) + end, "Transfer-Encoding: chunked")


@pytest.mark.parametrize("frame", [whole, in_pieces], ids=["length", "chunked"])
def test_what_comes_whole_is_kept(server, tmp_path, frame):
    server.answers = {"/a.zip": frame(CONTENT)}
    assert fetch(server, tmp_path) == CONTENT


BROKEN_OFF = {
    "fewer bytes than announced": answer(CONTENT[:1000], f"Content-Length: {len(CONTENT)}"),
    "a length that is none": answer(CONTENT[:1000], "Content-Length: abc"),
    "pieces without the last": in_pieces(CONTENT, end=b""),
    "pieces cut in the middle": in_pieces(CONTENT)[:-2000],
    "neither length nor checksum": answer(CONTENT[:1000]),
    "a range that ends too early": answer(
        CONTENT[:1000], "Content-Length: 1000", f"Content-Range: bytes 0-999/{len(CONTENT)}", status="206 Partial Content"
    ),
    "packed though asked not to": answer(
        packed := gzip.compress(CONTENT), f"Content-Length: {len(packed)}", "Content-Encoding: gzip"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN_OFF)
def test_what_broke_off_never_gets_the_files_name(server, tmp_path, kind):
    server.answers = {"/a.zip": BROKEN_OFF[kind]}
    with pytest.raises(ArchiveError, match=r"/a\.zip could not be fetched in 5 attempts: "):
        fetch(server, tmp_path)
    assert not (tmp_path / "a.zip").exists()


def test_a_checksum_is_as_good_as_a_length(server, tmp_path):
    server.answers = {"/a.zip": answer(CONTENT)}
    assert fetch(server, tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest()) == CONTENT


@pytest.mark.parametrize("where", ["headers", "body", "pieces"])
def test_a_server_that_drips_is_given_up_and_what_came_is_kept(server, tmp_path, monkeypatch, where):
    monkeypatch.setattr(sessions, "WINDOW_SECONDS", 0.2)
    at_once, dripping = {
        "headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 500),
        "body": (answer(b"", f"Content-Length: {len(CONTENT)}"), CONTENT[:2000]),
        "pieces": (answer(b"", "Transfer-Encoding: chunked"), b"1\r\nx\r\n" * 500),
    }[where]

    class Dripping:
        def __iter__(self):
            yield at_once
            yield from drip(dripping, 0.005)

    server.answers = {"/a.zip": Dripping()}
    started = time.monotonic()
    with pytest.raises(ArchiveError, match="too slow to wait for"):
        fetch(server, tmp_path)
    assert time.monotonic() - started < 8
    assert (where == "headers") != (tmp_path / "a.zip.part").exists()


def test_a_slow_server_that_gets_on_is_waited_for(server, tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "WINDOW_SECONDS", 0.1)
    monkeypatch.setattr(sessions, "WINDOW_BYTES", 2_000)

    def slowly():
        yield answer(b"", f"Content-Length: {len(CONTENT)}")
        for start in range(0, len(CONTENT), 1_000):
            time.sleep(0.01)
            yield CONTENT[start : start + 1_000]

    server.answers = {"/a.zip": slowly()}
    assert fetch(server, tmp_path) == CONTENT
    assert len(server.asked) == 1


def test_a_large_file_may_take_more_connections_than_there_are_attempts(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_PROGRESS_BYTES", 10_000)

    class Cut:
        """Ten thousand bytes from where it was asked, then the end of the connection."""

        def __iter__(self):
            head = server.asked[-1]
            have = int(head.partition("bytes=")[2].partition("-")[0] or 0)
            length = f"Content-Length: {len(CONTENT) - have}"
            stated = f"Content-Range: bytes {have}-{len(CONTENT) - 1}/{len(CONTENT)}"
            ranged = have > 0
            status = "206 Partial Content" if ranged else "200 OK"
            yield answer(CONTENT[have : have + 10_000], length, *[stated] * ranged, status=status)

    server.answers = {"/a.zip": Cut()}
    assert fetch(server, tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest()) == CONTENT
    assert len(server.asked) > 8


def test_an_endless_file_is_refused(server, tmp_path):
    class Endless:
        def __iter__(self):
            yield answer(b"", "Transfer-Encoding: chunked")
            while True:
                yield b"10000\r\n" + bytes(0x10000) + b"\r\n"

    server.answers = {"/a.zip": Endless()}
    with pytest.raises(ArchiveError, match=r"a\.zip: more than 3,000,000 bytes"):
        fetch(server, tmp_path, max_bytes=3_000_000)
    assert (tmp_path / "a.zip.part").stat().st_size <= 3_000_000


def test_the_body_of_a_redirection_is_not_read(server, tmp_path):
    class Endless:
        def __iter__(self):
            yield answer(b"", "Location: /b.zip", "Content-Length: 100000000000", status="302 Found")
            while True:
                yield bytes(1 << 20)

    server.answers = {"/a.zip": Endless(), "/b.zip": whole(CONTENT)}
    assert fetch(server, tmp_path) == CONTENT


@pytest.mark.parametrize("password", ["pa55word", "pa55/word", "pa55 word", "pa55%2Fword"])
def test_a_password_is_shown_nowhere(server, tmp_path, caplog, password):
    caplog.set_level(logging.DEBUG)
    answers = [
        answer(b"", "Content-Length: 0", status="404 Not Found"),
        answer(b"x", "Content-Length: 9"),
        whole(b"<html>\n"),
        whole(b""),
    ]
    for number, content in enumerate(answers):
        server.answers = {"/SHA256SUMS.txt": content}
        base = server.url().replace("//", f"//ann:{password}@")
        with pytest.raises(ArchiveError) as error:
            fetch_listed_files(base, tmp_path / str(number), wanted=bool)
        told = f"{error.value} {caplog.text}"
        assert "SHA256SUMS.txt" in told
        assert [word for word in ("pa55", "word") if word in told.replace("password", "")] == []
