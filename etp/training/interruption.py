"""Finish the current step on SIGINT, SIGTERM or SIGHUP."""

import os
import signal
from types import FrameType
from typing import Any


class Interruption:
    """Context in which the first signal is noted and a second one of SIGINT raises `KeyboardInterrupt`.

    SIGHUP says that the terminal is gone: what is printed after it goes nowhere. Where it is ignored, as under `nohup`,
    it stays ignored.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))

    def __init__(self):
        self.signal_number: int | None = None
        self._previous: dict[int, Any] = {}
        self._terminals: list[int] = []

    @property
    def requested(self) -> bool:
        return self.signal_number is not None

    def __enter__(self) -> "Interruption":
        self._terminals = [descriptor for descriptor in (1, 2) if _is_terminal(descriptor)]
        for number in self.SIGNALS:
            ignored = signal.getsignal(number) == signal.SIG_IGN
            if not ignored or number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        if number not in (signal.SIGINT, signal.SIGTERM):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for descriptor in self._terminals:  # writing to a terminal that is gone is an error
                os.dup2(nowhere, descriptor)
            os.close(nowhere)
        self.signal_number = number


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:  # closed
        return False
