"""Progress of long work: a bar in a terminal or notebook, now and then a line everywhere else."""

import errno
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm.auto import tqdm

Item = TypeVar("Item")
LINE_SECONDS = 30.0  # between two lines
QUIET_SECONDS = 5.0  # work that is done sooner needs no line
_FALLBACK = (80, 24)  # columns and rows of a terminal that doesn't say
_NARROW = 110  # columns below which a bar shows the first figures only
_NARROW_FIGURES = 2
_WITH_FIGURES = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"  # which say the speed


class Progress:
    """What `tqdm` does, and lines where nobody sees a bar move: files of logs keep every state of one.

    A bar within another goes when it is done. Use it as a context manager.

    Args:
        description: In front of the bar, or of the line.
        total: Units of the whole work.
        unit: Singular.
        initial: Units that are done already.
        shown: Whether this process shows anything.
    """

    def __init__(self, description: str, *, total: int, unit: str, initial: int = 0, shown: bool = True):
        self.description, self._total, self._unit = description, total, unit
        self._done, self._figures = initial, ""
        self._in_lines = shown and not bars_are_seen()
        self._started = self._said = time.monotonic()
        self._bar = tqdm(
            total=total,
            desc=description,
            initial=initial,
            unit=unit,
            disable=not (shown and bars_are_seen()),
            ncols=_FALLBACK[0] if _states_no_size() else None,
            nrows=_FALLBACK[1] if _states_no_size() else None,
            dynamic_ncols=not _states_no_size(),
            leave=None,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        with _while_the_terminal_is_there():
            self._bar.close()
        if kind is None and time.monotonic() - self._started >= QUIET_SECONDS and self._total:
            self._say()

    def update(self, count: int = 1) -> None:
        self._done += count
        with _while_the_terminal_is_there():
            self._bar.update(count)
        if time.monotonic() - self._said >= LINE_SECONDS and self._done < self._total:
            self._say()

    def describe(self, description: str) -> None:
        self.description = description
        with _while_the_terminal_is_there():
            self._bar.set_description(description)

    def show_figures(self, figures: Mapping[str, str]) -> None:
        """Figures behind the bar, or in the line, the most important first; a narrow terminal gets the first ones."""
        words = [f"{name} {value}" for name, value in figures.items()]
        self._figures = ", ".join(words)
        self._bar.bar_format = _WITH_FIGURES
        narrow = shutil.get_terminal_size().columns < _NARROW
        with _while_the_terminal_is_there():
            self._bar.set_postfix_str(", ".join(words[:_NARROW_FIGURES]) if narrow else self._figures)

    def _say(self) -> None:
        self._said = time.monotonic()
        if self._in_lines:
            figures = f", {self._figures}" if self._figures else ""
            seconds = self._said - self._started
            done = f"{self._done} of {self._total} {self._unit}s"
            print(f"{self.description}: {done} after {seconds:.0f} s{figures}", file=sys.stderr, flush=True)


def progress(items: Iterable[Item], description: str, *, total: int, unit: str, shown: bool = True) -> Iterator[Item]:
    """The items, with progress that is shown while they are used."""
    with Progress(description, total=total, unit=unit, shown=shown) as bar:
        for item in items:
            yield item
            bar.update()


def write_line(text: str) -> None:
    """Print a line on stdout, above the bars that are being shown."""
    with _while_the_terminal_is_there():
        tqdm.write(text)


@contextmanager
def _while_the_terminal_is_there() -> Iterator[None]:
    """A terminal that was closed refuses what is written, before SIGHUP tells the program so, or where that is ignored."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


def bars_are_seen() -> bool:
    """Whether a bar can move where it is written: in a terminal, or in a notebook."""
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    """Whether a kernel runs this; that `ipykernel` is imported says nothing, tools that start kernels import it too."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None


def _states_no_size() -> bool:
    """Whether this is a terminal that says it has no columns, as in a container: `tqdm` would draw nothing."""
    return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns == 0


class BarSafeHandler(logging.Handler):
    """Writes log records above the bars that are being shown, not into them."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:  # as every handler of `logging` does
            self.handleError(record)


def log_beside_bars(level: int) -> None:
    """Send logs and warnings of all libraries above the bars, and their own bars nowhere that none is seen."""
    import datasets
    import huggingface_hub
    import transformers

    logging.basicConfig(level=level, format="%(message)s", handlers=[BarSafeHandler()])
    logging.captureWarnings(True)
    for library in (transformers, datasets):
        library.utils.logging.enable_propagation()  # to the handler above, in place of
        logging.getLogger(library.__name__).handlers.clear()
    if not bars_are_seen():
        transformers.utils.logging.disable_progress_bar()
        datasets.disable_progress_bars()
        huggingface_hub.utils.disable_progress_bars()
