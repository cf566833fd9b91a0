"""What a visitor may send: the routes that the page needs, and bounded requests, before anything of them is written."""

import asyncio
import ipaddress
import json
import re
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from gradio.utils import get_upload_folder
from python_multipart.multipart import parse_options_header
from starlette.responses import PlainTextResponse

from .sources import MAX_FILES, MAX_UPLOAD_BYTES
from .upload_folder import UploadFolder

MAX_REQUEST_BYTES = MAX_UPLOAD_BYTES + 100_000  # what stands around 8 files, with room
MAX_OTHER_BYTES = 300_000  # of a request that uploads nothing: labels and fields
MAX_SESSION_NAME = 100  # characters; Gradio remembers 2,000 of them
WINDOW_SECONDS = 60
VISITOR_REQUESTS, VISITOR_FILES, VISITOR_BYTES = 300, 64, 50_000_000  # of one address in that time
TOTAL_FILES, TOTAL_BYTES = 1000, 250_000_000  # of all uploads on the disk and on their way
IDLE_SECONDS, REQUEST_SECONDS = 30, 300  # without a byte, and for all of a request
ORPHAN_SECONDS, SWEEP_SECONDS = 40, 10  # an upload that nobody's page asked for is gone within a minute
DRAIN_BYTES, DRAIN_SECONDS = (
    256_000_000,
    20,
)  # read and forgotten of a request that is refused, so that the answer arrives

# Other routes of Gradio would give files away, fetch addresses, write files, or go around the queue.
_GET = re.compile(
    r"/|/(?:config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)|/(?:assets|static|svelte)/(?!.*\.\./).{1,200}"
    rf"|/gradio_api/(?:info|app_id|startup-events|login_check|theme\.css|queue/data|heartbeat/[^/]{{1,{MAX_SESSION_NAME}}})"
)
_POST = re.compile(r"/gradio_api/(?:upload|queue/join|cancel|reset)")
_UPLOAD = "/gradio_api/upload"
_PARAMETERS = ("session_hash",)  # of a query; by others Gradio tracks uploads for good and opens saved pages
_HEADERS_NOT_PASSED_ON = (b"x-gradio-server",)  # where Gradio says it is; no proxy sends it
_URL = re.compile(r"\s*[a-z][a-z0-9+.-]*:", re.IGNORECASE)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _RefusedError(Exception):
    """A request that is not passed on: the status and one sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@dataclass
class _Visitor:
    """What one address sent: in the last minute as `(time, files, bytes)`, and what is on its way.

    `requests` are being read or dealt with; as long as there are any, all of the address count for this one object.
    """

    taken: deque[tuple[float, int, int]] = field(default_factory=deque)
    on_its_way: int = 0
    requests: int = 0

    def forget(self, now: float) -> None:
        while self.taken and self.taken[0][0] <= now - WINDOW_SECONDS:
            self.taken.popleft()


class UploadLimits:
    """ASGI middleware in front of Gradio's routes.

    A request is read whole, and into memory, before Gradio sees it; so what is too much never reaches the disk.

    Args:
        app: Gradio's.
    """

    def __init__(self, app: Callable):
        self._app = app
        self._uploads = UploadFolder(get_upload_folder())
        self._visitors: defaultdict[str, _Visitor] = defaultdict(_Visitor)
        self._writing = 0  # bytes that Gradio has and may have written
        self._usage: tuple[float, int, int] = (0.0, 0, 0)  # when the folder was measured, files, bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            async with self._sweeping():
                await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._handle(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = _as_the_page_asks(scope)
        path, incoming = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/")), _Incoming(receive)
        try:
            if scope["method"] == "OPTIONS" or (scope["method"] in ("GET", "HEAD") and _GET.fullmatch(path)):
                await self._app(scope, receive, send)
            elif scope["method"] != "POST" or not _POST.fullmatch(path):
                raise _RefusedError(404, "This page has no such address.")
            else:
                with self._visit(scope) as visitor:
                    await self._pass_on(scope, incoming, send, visitor, is_upload=path == _UPLOAD)
        except _RefusedError as error:
            if error.status != 408:
                await _drain(incoming)
            headers = {"Retry-After": str(WINDOW_SECONDS)} if error.status in (429, 503) else {}
            await PlainTextResponse(error.sentence, error.status, headers)(scope, receive, send)

    async def _pass_on(
        self, scope: Scope, incoming: "_Incoming", send: Send, visitor: _Visitor, *, is_upload: bool
    ) -> None:
        """Read a request, and let Gradio have it."""
        if is_upload:
            async with self._upload(scope, incoming, visitor) as body:
                await self._app(scope, _replay(body, incoming), send)
            return
        body = b"".join([part async for part in _parts(scope, incoming, MAX_OTHER_BYTES)])
        _check_fields(body)
        visitor.taken.append((time.monotonic(), 0, 0))
        await self._app(scope, _replay(body, incoming), send)

    @asynccontextmanager
    async def _upload(self, scope: Scope, incoming: "_Incoming", visitor: _Visitor) -> AsyncIterator[bytes]:
        """The body of an upload that keeps all limits; it counts as on its way until it is dealt with."""
        body, size = bytearray(), 0
        try:
            self._check_room(visitor, _announced(scope, MAX_REQUEST_BYTES) or 0)
            async for part in _parts(scope, incoming, MAX_REQUEST_BYTES):
                self._check_room(visitor, len(part))
                body += part
                size += len(part)
                visitor.on_its_way += len(part)
            files = _count_files(scope, body)
            if sum(count for _, count, _ in visitor.taken) + files > VISITOR_FILES:
                raise _RefusedError(429, f"More than {VISITOR_FILES} files a minute came from your address. Wait one.")
            visitor.taken.append((time.monotonic(), files, size))
        except BaseException:
            body.clear()  # the error would hold it as long as the rest of the request is read and forgotten
            raise
        finally:
            visitor.on_its_way -= size
        self._writing += size
        try:
            yield bytes(body)
        finally:
            self._writing -= size
            self._usage = (0.0, 0, 0)

    @contextmanager
    def _visit(self, scope: Scope) -> Iterator[_Visitor]:
        """Whose request it is, as long as it takes.

        Raises:
            _RefusedError: If too many of the same address came, or are still coming.
        """
        now = time.monotonic()
        for address, other in list(self._visitors.items()):
            other.forget(now)
            if not other.taken and not other.requests:
                del self._visitors[address]
        visitor = self._visitors[_address(scope)]
        if len(visitor.taken) + visitor.requests >= VISITOR_REQUESTS:
            raise _RefusedError(
                429, f"More than {VISITOR_REQUESTS} requests a minute came from your address. Wait one."
            )
        visitor.requests += 1
        try:
            yield visitor
        finally:
            visitor.requests -= 1

    def _check_room(self, visitor: _Visitor, coming: int) -> None:
        mine = visitor.on_its_way + sum(size for _, _, size in visitor.taken)
        if mine + coming > VISITOR_BYTES:
            raise _RefusedError(
                429, f"More than {VISITOR_BYTES / 1e6:g} MB a minute came from your address. Wait one."
            )
        if time.monotonic() > self._usage[0] + 1:
            self._usage = (time.monotonic(), *self._uploads.usage())
        _, files, size = self._usage
        size += self._writing + sum(other.on_its_way for other in self._visitors.values())
        if files >= TOTAL_FILES or size + coming > TOTAL_BYTES:
            raise _RefusedError(503, "Too many uploads are waiting on this server. Try again in a minute.")

    @asynccontextmanager
    async def _sweeping(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await asyncio.to_thread(self._uploads.sweep, ORPHAN_SECONDS)


def _as_the_page_asks(scope: Scope) -> Scope:
    """A request without what the page never sends."""
    asked = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
    known = [(name, value[:MAX_SESSION_NAME]) for name, value in asked if name in _PARAMETERS]
    headers = [header for header in scope["headers"] if header[0].lower() not in _HEADERS_NOT_PASSED_ON]
    return {**scope, "query_string": urlencode(known).encode(), "headers": headers}


def _address(scope: Scope) -> str:
    """Whom a request counts for: an IPv4 address, or the /64 network that one IPv6 visitor has."""
    host = (scope.get("client") or ("unknown", 0))[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((int(address) >> 64 << 64, 64)))


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)


def _announced(scope: Scope, limit: int) -> int | None:
    """What the request says of its length."""
    value = _header(scope, b"content-length")
    if value is None:
        return None
    if not re.fullmatch(rb"[0-9]{1,15}", value):
        raise _RefusedError(400, "The length that the request states is no number.")
    if int(value) > limit:
        raise _too_large(limit)
    return int(value)


def _too_large(limit: int) -> _RefusedError:
    return _RefusedError(413, f"The request is larger than {limit / 1e6:g} MB, the maximum allowed size.")


async def _parts(scope: Scope, receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """The body of a request as it comes, as long as it keeps limit and time."""
    _announced(scope, limit)
    size, deadline, more = 0, time.monotonic() + REQUEST_SECONDS, True
    while more:
        try:
            message = await asyncio.wait_for(receive(), min(IDLE_SECONDS, max(deadline - time.monotonic(), 0.001)))
        except asyncio.TimeoutError as error:
            raise _RefusedError(408, "The request came too slowly. Try again, or with a smaller file.") from error
        if message["type"] == "http.disconnect":
            raise _RefusedError(400, "The request broke off.")
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        yield part


def _count_files(scope: Scope, body: bytearray) -> int:
    """Parts of a multipart body, each of which becomes a file.

    Raises:
        _RefusedError: If there are too many, or the body isn't whole.
    """
    kind, options = parse_options_header(_header(scope, b"content-type") or b"")
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise _RefusedError(400, "Expected an upload as multipart/form-data with a boundary.")
    if not body.rstrip(b"\r\n").endswith(b"--" + boundary + b"--"):
        raise _RefusedError(400, "The upload broke off. Choose the file again.")
    count = body.count(b"--" + boundary) - 1
    if count < 1:
        raise _RefusedError(400, "No file came. Choose one.")
    if count > MAX_FILES:
        raise _RefusedError(413, f"{count} files came, expected at most {MAX_FILES}. Choose the files of one ECG.")
    return count


def _check_fields(body: bytes) -> None:
    """Refuse what Gradio would keep for long, or fetch: a file whose path is an address, and without a limit."""
    try:
        content = json.loads(body or b"null")
    except (ValueError, RecursionError) as error:
        raise _RefusedError(400, "Expected JSON.") from error
    if isinstance(content, dict) and len(str(content.get("session_hash"))) > MAX_SESSION_NAME:
        raise _RefusedError(400, f"The name of a session has up to {MAX_SESSION_NAME} characters.")
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
            if isinstance(path := value.get("path"), str) and _URL.match(path):
                raise _RefusedError(400, "This page fetches no addresses. Download the file and upload it.")
        elif isinstance(value, list):
            waiting += value


class _Incoming:
    """Receives a request, and knows when it has come whole."""

    def __init__(self, receive: Receive):
        self._receive, self.finished = receive, False

    async def __call__(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self.finished = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message


def _replay(body: bytes, receive: Receive) -> Receive:
    """A request whose body has been read already."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> MutableMapping[str, Any]:
        return next(messages, None) or await receive()

    return replay


async def _drain(incoming: _Incoming) -> None:
    """Read and forget what still comes, because a client that is sending doesn't listen."""
    left, deadline = DRAIN_BYTES, time.monotonic() + DRAIN_SECONDS
    with suppress(asyncio.TimeoutError):
        while not incoming.finished and left > 0 and time.monotonic() < deadline:
            left -= len((await asyncio.wait_for(incoming(), 5)).get("body", b""))
