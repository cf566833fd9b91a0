"""ECGs behind URLs: whole or refused, in bounded time, from public hosts only where asked, and without passwords in words."""

import io
import logging
import socket
import time

import numpy as np
import pytest
from ecg_writers import edf_bytes, make_microvolts
from raw_server import RawServer, answer, drip, whole

from etp.cli import main
from etp.commands.models import make_classifier
from etp.loading import load_checkpoint
from modeling_etp import ecg_addresses_etp, ecg_urls_etp
from modeling_etp.ecg_addresses_etp import is_public, printable_url
from modeling_etp.ecg_files_etp import EcgFileError
from modeling_etp.ecg_inputs_etp import open_ecg
from modeling_etp.ecg_urls_etp import download, read_ecg_url

TABLE = "time,I,II\n" + "".join(f"{n / 500},0.{n % 7},0.{n % 5}\n" for n in range(5000))


@pytest.fixture
def server():
    server = RawServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.random.default_rng(0).normal(size=(12, 5000)).astype(np.float32))
    return file.getvalue()


@pytest.fixture(scope="module")
def classifier(checkpoint_dir):
    return make_classifier(load_checkpoint(checkpoint_dir, device="cpu"))


def chunked(body: bytes, *, end: bytes = b"0\r\n\r\n") -> bytes:
    pieces = [body[start : start + 10_000] for start in range(0, len(body), 10_000)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return answer(framed + end, "Transfer-Encoding: chunked")


@pytest.mark.parametrize("frame", [whole, chunked], ids=["length", "chunked"])
def test_what_comes_whole_is_read(server, frame, npy):
    server.answers = {"/1.csv": frame(TABLE.encode()), "/1.npy": frame(npy)}
    assert open_ecg(server.url("/1.csv")).signal.shape == (2, 5000)
    assert open_ecg(server.url("/1.npy"), sampling_rate=500).signal.shape == (12, 5000)


BROKEN_OFF = {
    "fewer bytes than announced": lambda body: answer(body[: body.index(b"\n", 30_000) + 1], f"Content-Length: {len(body)}"),
    "a length in two headers": lambda body: answer(body, f"Content-Length: {len(body)}", "Content-Length: 100"),
    "a length that is none": lambda body: answer(body, "Content-Length: abc"),
    "a length below zero": lambda body: answer(body, "Content-Length: -1"),
    "pieces without the last": lambda body: chunked(body, end=b""),
    "pieces cut in the size": lambda body: chunked(body, end=b"27"),
    "pieces cut in the middle": lambda body: chunked(body)[:30_000],
    "no length and cut at a line": lambda body: answer(body[: body.index(b"\n", 30_000) + 1]),
    "a range nobody asked for": lambda body: answer(
        body[:1000], "Content-Length: 1000", f"Content-Range: bytes 0-999/{len(body)}", status="206 Partial Content"
    ),
    "packed though asked not to": lambda body: answer(body, f"Content-Length: {len(body)}", "Content-Encoding: gzip"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN_OFF)
def test_what_broke_off_is_not_read_as_a_whole_ecg(server, kind):
    server.answers = {"/1.csv": BROKEN_OFF[kind](TABLE.encode())}
    with pytest.raises(EcgFileError, match=r"/1\.csv: "):
        open_ecg(server.url("/1.csv"))


def test_a_format_that_does_not_know_its_end_needs_a_length(server, npy):
    content = edf_bytes(make_microvolts() / 1000)
    server.answers = {"/a.edf": whole(content)}
    assert open_ecg(server.url("/a.edf")).signal.shape == (12, 200)
    server.answers = {"/a.edf": answer(content)}
    with pytest.raises(EcgFileError, match="says how long it is"):
        open_ecg(server.url("/a.edf"))
    server.answers = {"/a.npy": answer(npy)}
    assert open_ecg(server.url("/a.npy"), sampling_rate=500).signal.shape == (12, 5000)
    server.answers = {"/a.npy": answer(npy[:-1000])}
    with pytest.raises(EcgFileError):
        open_ecg(server.url("/a.npy"), sampling_rate=500)


def record(num_samples: str = "") -> tuple[bytes, bytes]:
    """A header and a signal file; without a checksum, as many writers leave it out."""
    signal = np.arange(24_000, dtype="<i2").tobytes()
    lines = [f"r1 2 500{num_samples}", "r1.dat 16 1000/mV 16 0", "r1.dat 16 1000/mV 16 0"]
    return ("\n".join(lines) + "\n").encode(), signal


def test_a_wfdb_record_is_held_to_what_its_header_states(server):
    header, signal = record(" 12000")
    cut = signal[:16_000]
    server.answers = {"/r1.hea": whole(header), "/r1.dat": answer(signal)}
    assert open_ecg(server.url("/r1.hea"), lead_names=["I", "II"]).signal.shape == (2, 12_000)
    for broken_off in (whole(cut), answer(cut), chunked(cut)):
        server.answers["/r1.dat"] = broken_off
        with pytest.raises(EcgFileError, match=r"should have 48,000 bytes of samples .* has 16,000"):
            open_ecg(server.url("/r1.hea"), lead_names=["I", "II"])


def test_a_wfdb_record_that_states_no_length_is_held_to_what_the_server_states(server):
    header, signal = record()
    server.answers = {"/r1.hea": whole(header), "/r1.dat": whole(signal)}
    assert open_ecg(server.url("/r1.hea"), lead_names=["I", "II"]).signal.shape == (2, 12_000)
    for broken_off in (answer(signal[:16_000]), answer(signal[:16_000], "Content-Length: 48000")):
        server.answers["/r1.dat"] = broken_off
        with pytest.raises(EcgFileError, match=r"r1\.dat: .*(16,000 of 48,000 bytes came|says how long it is)"):
            open_ecg(server.url("/r1.hea"), lead_names=["I", "II"])


def test_a_header_cut_in_its_last_line_is_not_read(server):
    header, signal = record(" 12000")
    server.answers = {"/r1.hea": answer(header[:-13]), "/r1.dat": whole(signal)}
    with pytest.raises(EcgFileError, match="says how long it is"):
        open_ecg(server.url("/r1.hea"), lead_names=["I", "II"])


@pytest.mark.parametrize("where", ["status line", "headers", "body", "chunks", "redirections", "signal file"])
def test_a_server_that_drips_is_given_up_in_bounded_time(server, monkeypatch, where):
    monkeypatch.setattr(ecg_urls_etp, "DOWNLOAD_TOTAL_SECONDS", 0.6)
    header, _ = record(" 12000")
    dripping = {
        "status line": lambda: drip(b"HTTP/1.1 200 " + b"O" * 200, 0.05),
        "headers": lambda: drip(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50, 0.05),
        "body": lambda: drip(answer(b"x" * 200, "Content-Length: 200"), 0.02),
        "chunks": lambda: drip(answer(b"1\r\nx\r\n" * 100, "Transfer-Encoding: chunked"), 0.02),
        "redirections": lambda: slowly(answer(b"", "Location: /1.csv", status="302 Found"), 0.2),
        "signal file": lambda: drip(answer(b"x" * 500, "Content-Length: 48000"), 0.02),
    }
    server.answers = {"/1.csv": Anew(dripping[where]), "/r1.hea": whole(header), "/r1.dat": Anew(dripping[where])}
    started = time.monotonic()
    with pytest.raises(EcgFileError, match=r"took longer than 0\.6 s in all|timed out"):
        open_ecg(server.url("/r1.hea" if where == "signal file" else "/1.csv"))
    assert time.monotonic() - started < 3


def slowly(content: bytes, seconds: float):
    time.sleep(seconds)
    yield content


class Anew:
    """An answer that is made anew for each request."""

    def __init__(self, make):
        self._make = make

    def __iter__(self):
        return iter(self._make())


def test_a_redirection_brings_no_endless_body_and_no_end(server):
    def endless():
        yield answer(b"", "Location: /1.csv", "Content-Length: 100000000000", status="302 Found")
        while True:
            yield bytes(1 << 20)

    server.answers = {"/1.csv": Anew(endless)}
    started = time.monotonic()
    with pytest.raises(EcgFileError, match="more than 10 redirections"):
        download(server.url("/1.csv"))
    assert time.monotonic() - started < 10


NOT_PUBLIC = """127.0.0.1 127.255.255.254 10.1.2.3 172.16.0.1 192.168.0.1 169.254.169.254 100.64.0.1 100.100.100.200 0.0.0.0
    224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 198.18.0.1 192.0.2.1 168.63.129.16 192.0.0.192 ::1 :: ::ffff:127.0.0.1
    ::ffff:10.0.0.1 ::127.0.0.1 fe80::1%lo fc00::1 fd00:ec2::254 fec0::1 ff02::1 64:ff9b::7f00:1 64:ff9b:1::1
    2002:7f00:1:: 2001:0:1::1 2001:db8::1""".split()


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_known(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_that_is_public_is_known(address):
    assert is_public(address)


HOSTS = ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0", "169.254.169.254"]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_private_hosts_are_refused_where_that_is_asked_for(server, host, npy, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url())  # which would fetch them for us
    server.answers = {"/": whole(npy), "/1.npy": whole(npy)}
    with pytest.raises(
        EcgFileError, match=r"is not one of the public internet|could not be downloaded \(.*(resol|know)"
    ):
        open_ecg(f"http://{host}:{server.port}/1.npy", sampling_rate=500, allow_private_addresses=False)
    assert server.asked == []


def test_the_variable_decides_where_nothing_is_stated(server, npy, monkeypatch):
    server.answers = {"/1.npy": whole(npy)}
    monkeypatch.setenv("ETP_ALLOW_PRIVATE_ADDRESSES", "0")
    with pytest.raises(EcgFileError, match="ETP_ALLOW_PRIVATE_ADDRESSES=1"):
        read_ecg_url(server.url("/1.npy"), sampling_rate=500)
    assert read_ecg_url(server.url("/1.npy"), sampling_rate=500, allow_private_addresses=True)
    monkeypatch.setenv("ETP_ALLOW_PRIVATE_ADDRESSES", "1")
    assert read_ecg_url(server.url("/1.npy"), sampling_rate=500)


def test_the_pipeline_takes_it(server, npy, classifier):
    server.answers = {"/1.npy": whole(npy)}
    options = {"candidate_labels": ["normal ecg"], "sampling_rate": 500}
    assert classifier(server.url("/1.npy"), **options)
    for ecgs in (server.url("/1.npy"), [server.url("/1.npy")]):
        with pytest.raises(ValueError, match="is not one of the public internet"):
            classifier(ecgs, **options, allow_private_addresses=False)


@pytest.fixture
def public(monkeypatch):
    """Names of hosts -> addresses, and whom a connection to a public address really reaches."""
    names: dict[str, list] = {}
    connected: list[str] = []
    real = socket.socket.connect

    def resolve(host, port, *args, **kwargs):
        answers = names[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    def connect(self, address):
        connected.append(address[0])
        real(self, ("127.0.0.1", address[1]))

    monkeypatch.setattr(ecg_addresses_etp.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(ecg_addresses_etp.socket.socket, "connect", connect)
    return names, connected


def test_what_was_checked_is_what_is_connected_to(server, npy, public):
    """A name that a moment later means the loopback address, so that a second look-up would reach it."""
    names, connected = public
    names["rebind.example"] = [["8.8.8.8"], ["127.0.0.1"]]
    server.answers = {"/1.npy": whole(npy)}
    url = f"http://rebind.example:{server.port}/1.npy"
    assert read_ecg_url(url, sampling_rate=500, allow_private_addresses=False)
    assert connected == ["8.8.8.8"]
    with pytest.raises(EcgFileError, match=r"its address 127\.0\.0\.1 is not one of the public"):
        read_ecg_url(url, sampling_rate=500, allow_private_addresses=False)
    assert connected == ["8.8.8.8"]


@pytest.mark.parametrize("host", ["127.0.0.1", "inside.example", "mixed.example"])
def test_a_redirection_from_a_public_host_to_a_private_one_is_refused(server, npy, public, host):
    names, connected = public
    names.update({"out.example": [["8.8.8.8"]], "inside.example": [["10.0.0.1"]], "127.0.0.1": [["127.0.0.1"]]})
    names["mixed.example"] = [["8.8.4.4", "192.168.0.1"]]
    location = f"Location: http://{host}:{server.port}/1.npy"
    server.answers = {"/to": answer(b"", location, "Content-Length: 0", status="302 Found"), "/1.npy": whole(npy)}
    with pytest.raises(EcgFileError, match="is not one of the public internet"):
        read_ecg_url(f"http://out.example:{server.port}/to", sampling_rate=500, allow_private_addresses=False)
    assert connected == ["8.8.8.8"]


SECRETS = ("pa55word", "pa55/word", "pa55@word", "pa55 word", "pa55?word", "pa55%2Fword", "5544/332211")


@pytest.mark.parametrize("password", SECRETS)
def test_a_password_is_shown_nowhere(server, caplog, capsys, password, checkpoint_dir):
    caplog.set_level(logging.DEBUG)
    pieces = [
        piece
        for piece in password.replace("%2F", "/").replace("@", "/").replace("?", "/").replace(" ", "/").split("/")
    ]
    lying = answer(b"", f"Location: ftp://ann:{password}@127.0.0.1/a", status="302 Found")
    server.answers = {
        "/cut.csv": answer(b"I,II\n", "Content-Length: 100"),
        "/bad.csv": whole(b"\0nothing"),
        "/to": lying,
    }
    server.answers["/none"] = answer(b"", "Content-Length: 0", status="404 Not Found")
    for path in ("/cut.csv", "/bad.csv", "/to", "/none"):
        url = server.url(path).replace("//", f"//ann:{password}@")
        with pytest.raises(EcgFileError) as error:
            open_ecg(url)
        assert main(["classify", url, "--model", str(checkpoint_dir), "--labels", "a", "--device", "cpu"]) == 1
        printed = "".join(capsys.readouterr())
        assert printed.count("127.0.0.1")
        told = f"{error.value} {error.value.source} {error.value.problem} {caplog.text} {printed}"
        assert [piece for piece in pieces if piece in told.replace(str(server.port), "")] == []


def test_a_secret_in_a_query_is_shown_nowhere(server, capsys, checkpoint_dir):
    server.answers = {"/none": answer(b"", "Content-Length: 0", status="404 Not Found")}
    url = server.url("/none?record=7&X-Amz-Signature=5ecret&access_token=5ecret")
    with pytest.raises(EcgFileError, match=r"record=7&X-Amz-Signature=\*\*\*&access_token=\*\*\*: ") as error:
        open_ecg(url)
    assert "5ecret" not in str(error.value)
    assert main(["classify", url, "--model", str(checkpoint_dir), "--labels", "a", "--device", "cpu"]) == 1
    assert "record=7" in (told := "".join(capsys.readouterr()))
    assert "5ecret" not in told


def test_a_login_in_a_url_is_used_and_handed_to_no_other_server(server, npy):
    def to(location):
        return answer(b"", f"Location: {location}", "Content-Length: 0", status="302 Found")

    elsewhere = server.url("/4.npy").replace("127.0.0.1", "localhost")
    server.answers = {"/1.npy": to("/2.npy"), "/2.npy": to(server.url("/3.npy")), "/3.npy": to(elsewhere)}
    server.answers["/4.npy"] = whole(npy)
    url = server.url("/1.npy").replace("//", "//ann:p%40ss@")
    assert open_ecg(url, sampling_rate=500).name == server.url("/1.npy")
    assert ["Authorization: Basic YW5uOnBAc3M=" in head for head in server.asked] == [True, True, True, False]


def test_a_url_is_shown_without_what_is_secret():
    assert printable_url("https://ann:pw@example.org/1.hea?a=1") == "https://example.org/1.hea?a=1"
    assert printable_url("https://example.org/1.hea?sig=1&b=2") == "https://example.org/1.hea?sig=***&b=2"
    assert printable_url("records/a@b.hea") == "records/a@b.hea"
