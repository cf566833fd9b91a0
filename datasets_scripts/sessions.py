"""HTTP sessions whose answers have to get on: a server that drips bytes is given up, a slow one is waited for."""

import io
import time
from http.client import HTTPResponse

import requests
import urllib3
from requests.adapters import HTTPAdapter

WINDOW_SECONDS = 120
WINDOW_BYTES = 250_000  # in that time: 2 kB/s, with which a record of 100 Hz takes 12 s


class _GettingOn(io.RawIOBase):
    """Reads a connection as long as enough comes in every window of time."""

    def __init__(self, raw: io.RawIOBase):
        self._raw, self._since, self._came = raw, time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int | None:
        seconds = time.monotonic() - self._since
        if seconds > WINDOW_SECONDS:
            if self._came < WINDOW_BYTES:
                raise ConnectionError(f"{self._came:,} bytes came in {seconds:.0f} s, which is too slow to wait for")
            self._since, self._came = time.monotonic(), 0
        count = self._raw.readinto(buffer)
        self._came += count or 0
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fp = io.BufferedReader(_GettingOn(self.fp.detach()))  # headers too


class _HTTPConnection(urllib3.connection.HTTPConnection):
    response_class = _Response


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    response_class = _Response


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args, **kwargs):
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def make_session() -> requests.Session:
    """A session that keeps its connection open from file to file."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    session.hooks["response"].append(_without_body_of_redirection)
    return session


def _without_body_of_redirection(response: requests.Response, **_) -> None:
    """`requests` would read it whole, however long it is."""
    if response.is_redirect:
        response.raw.close()
        response._content = b""
