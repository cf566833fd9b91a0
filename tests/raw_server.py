"""A loopback server that answers with the very bytes it is told to: cut, dripping, lying."""

import socket
import threading
import time
from collections.abc import Iterable


class RawServer:
    """Answers a path with bytes, or with an iterable of them that are sent one by one, and closes the connection.

    Attributes:
        answers: Path -> what it is answered, HTTP head included.
        asked: The heads of the requests, in order.
    """

    def __init__(self):
        self.answers: dict[str, bytes | Iterable[bytes]] = {}
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head and (part := connection.recv(65536)):
                head += part
            self.asked.append(head.decode("latin-1"))
            answer = self.answers[head.split(b" ")[1].decode().partition("?")[0]]
            try:
                for part in [answer] if isinstance(answer, bytes) else answer:
                    connection.sendall(part)
            except OSError:  # who asked has had enough
                return


def whole(body: bytes) -> bytes:
    return answer(body, f"Content-Length: {len(body)}")


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def drip(body: bytes, seconds: float):
    """A byte at a time, with a pause before each."""
    for number in range(len(body)):
        time.sleep(seconds)
        yield body[number : number + 1]
