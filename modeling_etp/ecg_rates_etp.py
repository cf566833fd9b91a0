"""The one sampling rate of all that a file and its caller say about it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .ecg_facts_etp import as_plain, fact_key, hertz, one_of, seconds
from .ecg_recording_etp import EcgContentError
from .ecg_times_etp import Times, believable_rate, layout_to_unit, rate_of_step, rate_of_times, times_key

INTERVAL_KEYS = {"dt", "samplinginterval", "sampleinterval", "samplingperiod", "sampleperiod", "isi", "timestep"}

_RATE_NAME = re.compile(
    r"samp\w*?[\s_]*(?:rate|freq)|^(?:fs|sfreq|freq|frequency|sr|sf|srate|hz|fsamp)$|^fs[^a-z]|[^a-z](?:fs|hz)$|^f_?s(?:amp)?$"
)
_OTHER_RATE = re.compile(r"filt|cut|low|high|notch|line|mains|band|target|new|orig|heart|source|hr|resp|rate_?unit")
_FASTEST_HEART = 250  # beats a minute


def is_rate(name: str, value: Any) -> bool:
    """Whether a name is that of a sampling rate; `rate` alone may be the heart's."""
    lower = name.lower()
    if lower == "rate":
        rate = hertz(value)
        return rate is not None and (rate >= _FASTEST_HEART or isinstance(as_plain(value), str))
    return bool(_RATE_NAME.search(lower)) and not _OTHER_RATE.search(lower)


class RateFacts:
    """What is stated about one sampling rate, and what of it can't be believed.

    Args:
        source: What errors call the file.
    """

    def __init__(self, source: str):
        self.source = source
        self.notes: list[str] = []
        self._stated: dict[str, float] = {}
        self._problems: list[EcgContentError] = []
        self._times: Times | None = None

    def add(self, name: str, rate: float) -> None:
        """A rate in Hz that is stated under a name."""
        self._try(name, lambda: believable_rate(rate, name, self.source))

    def add_value(self, name: str, value: Any) -> None:
        """A rate as people write it.

        Raises:
            EcgContentError: If it isn't understood.
        """
        rate = hertz(value)
        if rate is None:
            raise EcgContentError(
                self.source, f"its {name} is {str(as_plain(value))[:60]!r}, expected a rate in Hz. Save a number."
            )
        self.add(f"its {name}", rate * 1000 if "khz" in fact_key(name) and rate < 100 else rate)

    def add_interval(self, name: str, value: Any, unit: Any = None) -> None:
        """A distance between samples, in s unless something else is said."""
        plain = as_plain(value)
        if isinstance(plain, (int, float)) and plain > 0 and unit is None:
            self._try(name, lambda: self._noted(*rate_of_step(float(plain), None, name, self.source)))
            return
        step = seconds(value, unit)
        if step is None or step <= 0:
            raise EcgContentError(
                self.source,
                f"{name} is {str(plain)[:60]!r}, expected seconds. Correct it, or leave it out of the file.",
            )
        self.add(name, 1 / step)

    def add_times(self, name: str, times: np.ndarray, unit: str | None) -> None:
        """A time for each sample."""

        def read() -> float:
            found = rate_of_times(times, unit, name, self.source)
            if self._times is None or (self._times.rows is None and found.rows is not None):
                self._times = found
            return found.rate

        self._try(name, read)

    def _try(self, name: str, read: Callable[[], float]) -> None:
        try:
            self._stated[name] = read()
        except EcgContentError as error:
            self._problems.append(error)

    def _noted(self, rate: float, note: str | None) -> float:
        self.notes.extend([note] if note else [])
        return rate

    def decide(self, given: float | None, missing: str) -> tuple[float, Times | None]:
        """Hz, and the times of the samples if there are any.

        Args:
            given: What the caller says.
            missing: The error if nothing is known.

        Raises:
            EcgContentError: If nothing is known, or two facts contradict each other.
        """
        rate = one_of(
            {name: round(rate, 6) for name, rate in self._stated.items()}, "sampling rates (Hz)", self.source
        )
        if given is not None and rate is not None:
            if not np.isclose(rate, given, rtol=2e-3):
                raise EcgContentError(
                    self.source,
                    f"{next(iter(self._stated))} and `sampling_rate` disagree: its sampling rate is {rate:g} Hz, "
                    f"`sampling_rate` says {given:g}. Leave `sampling_rate` out.",
                )
            return given, self._times
        # What the argument cures is said in the error; what is left is wrong whatever the rate.
        lasting = [error for error in self._problems if "`sampling_rate" not in error.problem]
        if given is not None and not lasting:
            self.notes.extend(f"Not used, as the sampling rate was given: {_what(error)}." for error in self._problems)
            return given, None
        if rate is None:
            raise (lasting or self._problems or [EcgContentError(self.source, missing)])[0]
        self.notes.extend(f"Not used: {_what(error)}." for error in self._problems)
        whole = [value for value in self._stated.values() if float(value).is_integer()]
        return (whole[0] if whole else rate), self._times


def _what(error: EcgContentError) -> str:
    return re.split(r"[.,:] |\.$", error.problem)[0]


def add_arrays(facts: RateFacts, taken: Mapping[str, Any], length: int, units: Mapping[str, Any]) -> list[str]:
    """Add what named values say about the rate.

    Args:
        facts: Receives it.
        taken: Rates, intervals and times by name.
        length: Samples of the signal.
        units: Of intervals, by name.

    Returns:
        Names of those that say nothing.
    """
    left = []
    for name, value in taken.items():
        last = name.rpartition(".")[2]
        plain = as_plain(value)
        if plain is None or (isinstance(plain, (str, list, np.ndarray)) and len(plain) == 0):
            continue
        if is_rate(last, value):
            facts.add_value(f"{name!r}", value)
        elif fact_key(last) in INTERVAL_KEYS:
            facts.add_interval(f"its {name!r}", value, units.get(name))
        elif np.size(value) == length > 1 and np.asarray(value).dtype.kind in "fiu":
            times = np.asarray(value, dtype=np.float64).ravel()
            facts.add_times(f"its {name!r}", times, layout_to_unit(times_key(last)[1]))
        else:
            left.append(name)
    return left


__all__ = ["INTERVAL_KEYS", "RateFacts", "add_arrays", "is_rate"]
