"""A seeded mutation fuzzer: changes valid inputs and watches time, memory, files and the type of every error."""

import collections
import contextlib
import json
import random
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_SECONDS = 1.0
MAX_GROWTH_MB = 500
MAX_MESSAGE = 20_000  # characters; transformers lists all of its model types in one

# What formats of ECGs give a meaning to, and what numbers parsers stumble over.
_WORDS = (
    b"0 -1 999999999999 1e308 nan inf 1_0 0x10 ../ / ~ \x00 16 212 508 8 80 310 x : + ( ) /mV # %s \xff , ; < > & \" ' 1 "
    b"http://127.0.0.1:9/a file:///etc/passwd \xef\xbb\xbf \xc2\xb2"
)
TOKENS = [*_WORDS.split(b" "), b" ", b"\n", b"\t", b"\r"]
_NUMBERS = [struct.pack("<I", 0xFFFFFFFF), struct.pack("<I", 0x7FFFFFFF), struct.pack("<H", 0xFFFF)]
_NUMBERS += [struct.pack("<q", 2**62), bytes(4), b"99999999"]


class TooSlowError(BaseException):
    """An input that kept the processor busy for five times its limit; no `except Exception` can swallow it."""


@dataclass
class Target:
    """What is fuzzed.

    Attributes:
        make: Draws one input, with the random numbers it is given.
        run: Takes the input; returns a result or raises.
        check: Raises `AssertionError` on a wrong result; takes input and result.
        errors: The types that may be raised.
        folder: The only folder outside the installation that may be read, if any may.
        writes: Whether files in it may be written too.
    """

    make: Callable[[random.Random], Any]
    run: Callable[[Any], Any]
    check: Callable[[Any, Any], None]
    errors: tuple[type[BaseException], ...]
    folder: Path | None = None
    writes: bool = False


@dataclass
class Report:
    """What fuzzing found; `failures` holds one line for each input that broke a promise."""

    inputs: int = 0
    outcomes: collections.Counter = field(default_factory=collections.Counter)
    failures: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    growth_mb: float = 0.0

    def as_json(self, **about: Any) -> str:
        return json.dumps(
            {
                **about,
                "inputs": self.inputs,
                "outcomes": dict(self.outcomes.most_common()),
                "failures": len(self.failures),
                "slowest_seconds": round(self.slowest_seconds, 3),
                "growth_mb": round(self.growth_mb, 1),
            }
        )


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Change bytes at one to eight places, mostly near the start, where headers are."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        length = max(len(changed), 1)
        at = rng.randrange(length) if rng.random() < 0.5 else min(length - 1, int(rng.expovariate(1 / 200)))
        kind = rng.randrange(7)
        if kind == 0 and changed:
            changed[at] = rng.randrange(256)
        elif kind == 1 and changed:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            changed[at:at] = rng.choice(TOKENS)
        elif kind == 3:
            del changed[at : at + rng.choice([1, 2, 8, 100])]
        elif kind == 4 and rng.random() < 0.3:
            del changed[at:]
        elif kind == 5:
            start = rng.randrange(length)
            changed[at:at] = changed[start : start + rng.choice([1, 4, 16, 200])]
        elif kind == 6:
            changed[at : at + rng.choice([1, 2, 4, 8])] = rng.choice(_NUMBERS)
    return bytes(changed)


def fuzz(target: Target, *, count: int, seed: int, seconds: float = float("inf")) -> Report:
    """Run `count` inputs, or as many as `seconds` allow; input `k` depends on `(seed, k)` alone."""
    report = Report()
    end = time.monotonic() + seconds
    before = _peak_mb()
    with _watch() as watched:
        for number in range(count):
            if time.monotonic() > end:
                break
            value = target.make(random.Random(f"{seed} {number}"))
            problem = _run_one(target, value, report, watched)
            report.inputs += 1
            if problem:
                report.failures.append(f"seed {seed}, input {number}: {problem}")
    report.growth_mb = _peak_mb() - before
    if report.growth_mb > MAX_GROWTH_MB:
        report.failures.append(f"memory grew by {report.growth_mb:.0f} MB")
    return report


def _run_one(target: Target, value: Any, report: Report, watched: "_Watched") -> str | None:
    watched.events.clear()
    signal.setitimer(signal.ITIMER_VIRTUAL, 5 * MAX_SECONDS)
    start = time.process_time()
    problem = None
    try:
        watched.active = True
        result = target.run(value)
        watched.active = False
        report.outcomes["answer"] += 1
        target.check(value, result)
    except target.errors as error:
        report.outcomes[type(error).__name__] += 1
        if not 0 < len(str(error)) < MAX_MESSAGE:
            problem = f"{type(error).__name__} of {len(str(error))} characters"
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        report.outcomes[f"untyped {type(error).__name__}"] += 1
        problem = f"{type(error).__name__}: {error}"[:300]
    finally:
        watched.active = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    spent = time.process_time() - start
    report.slowest_seconds = max(report.slowest_seconds, spent)
    if spent > MAX_SECONDS:
        problem = f"took {spent:.1f} s"
    outside = [event for event in watched.events if not _allowed(event, target)]
    return f"touched {outside[:3]}" if outside else problem


@dataclass
class _Watched:
    active: bool = False
    events: list[tuple[str, str, bool]] = field(default_factory=list)


_INSTALLED = tuple({sys.prefix, sys.base_prefix, "/usr", "/proc", "/sys", str(Path(__file__).resolve().parents[2])})
_OTHER_EVENTS = (
    "socket.connect",
    "socket.getaddrinfo",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "pickle.find_class",
)
_watched = _Watched()


def _hook(event: str, arguments: tuple) -> None:
    if not _watched.active:
        return
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        mode = arguments[1] or ""
        flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
        _watched.events.append(("open", str(arguments[0]), any(c in mode for c in "wax+") or bool(flags & 3)))
    elif event in _OTHER_EVENTS:
        _watched.events.append((event, str(arguments)[:100], True))


def _allowed(event: tuple[str, str, bool], target: Target) -> bool:
    kind, path, writes = event
    if kind != "open" or (writes and not target.writes):
        return False
    inside = target.folder is not None and Path(path).resolve().is_relative_to(target.folder.resolve())
    return inside or (not writes and path.startswith(_INSTALLED))


def _too_slow(number: int, frame: Any) -> None:
    raise TooSlowError(f"more than {5 * MAX_SECONDS} s of processor time")


_hooked = False


@contextlib.contextmanager
def _watch() -> Iterator[_Watched]:
    global _hooked
    if not _hooked:  # an audit hook can't be taken away again
        sys.addaudithook(_hook)
        _hooked = True
    previous = signal.signal(signal.SIGVTALRM, _too_slow)
    try:
        yield _watched
    finally:
        signal.signal(signal.SIGVTALRM, previous)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
