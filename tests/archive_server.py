"""A loopback server of an archive that fails in all the ways servers do."""

import hashlib
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class ArchiveServer(ThreadingHTTPServer):
    """Serve a folder with byte ranges; `faults` names what goes wrong with the next requests for a path.

    A fault is `"cut"` (the connection ends half way), `"damaged"` (one byte is wrong), `"slow"` (a pause in the
    middle), `"no ranges"` (the whole file whatever was asked) or a status code.
    """

    def __init__(self, root: Path):
        super().__init__(("127.0.0.1", 0), _ArchiveHandler)
        self.root = root
        self.faults: dict[str, list] = {}
        self.requests: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _ArchiveHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ArchiveServer

    def do_GET(self):
        path = self.path.lstrip("/")
        asked = self.headers.get("Range")
        self.server.requests.append((path, asked))
        fault = self.server.faults[path].pop(0) if self.server.faults.get(path) else None
        target = self.server.root / path
        if isinstance(fault, int) or not target.is_file():
            self.send_response(fault if isinstance(fault, int) else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = target.read_bytes()
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and fault != "no ranges" else 0
        if asked and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = content[start:]
        self.send_response(206 if asked and fault != "no ranges" else 200)
        if asked and fault != "no ranges":
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "damaged":
            body = body[:-1] + bytes([body[-1] ^ 1])
        half = len(body) // 2
        self.wfile.write(body[:half])
        if fault == "cut":
            self.close_connection = True
            return
        if fault == "slow":
            self.wfile.flush()
            time.sleep(0.3)
        self.wfile.write(body[half:])

    def log_message(self, *args):
        """Keep the test output clean."""


def write_sums(root: Path) -> None:
    """Write the SHA256SUMS.txt of a folder, as PhysioNet does."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != "SHA256SUMS.txt")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.relative_to(root).as_posix()}" for path in files]
    (root / "SHA256SUMS.txt").write_text("\n".join(lines) + "\n")
