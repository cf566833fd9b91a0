"""A recording of named values: one signal, and what is stated of it beside it under whatever names."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .ecg_channels_etp import check_names, names_wanted
from .ecg_facts_etp import (
    all_leads,
    as_plain,
    as_texts,
    fact_key,
    one_of,
    stated_names,
    stated_rate,
    stated_unit,
    without_marks,
)
from .ecg_gains_etp import GAIN_KEYS, OFFSET_KEYS, SIZE_KEYS, in_millivolts
from .ecg_rates_etp import INTERVAL_KEYS, RateFacts, add_arrays, is_rate
from .ecg_recording_etp import EcgContentError, EcgRecording, age_in_years, make_recording, sex_name
from .ecg_times_etp import Times, times_key
from .ecg_units_etp import unit_size
from .leads_etp import STANDARD_LEADS, canonical_lead

# What people call the signal; names are compared by `fact_key`.
SIGNAL_KEYS = {"signal", "signals", "sig", "ecg", "ekg", "val", "data", "psignal", "dsignal", "array", "ecgdata", "ecgsignal", "ecgsignals", "waveform", "waveforms", "leads", "channels", "tracing", "tracings"}  # fmt: skip
_NAME_KEYS = {"leadnames", "leadname", "leads", "lead", "sig", "signame", "signames", "signalnames", "signalname", "signallabels", "siglabels", "channelnames", "channelname", "channellabels", "channels", "channel", "chnames", "chname", "leadlabels", "leadorder", "leadlist", "ecgleads", "ecgleadnames", "derivations"}  # fmt: skip
_UNIT_KEYS = {"units", "unit", "sigunits", "sigunit", "signalunits", "physicalunits", "physunits", "physicaldimension", "channelunits", "leadunits", "ecgunits", "ecgunit", "voltageunit"}  # fmt: skip
_LENGTH_KEYS = {"siglen", "nsamp", "nsamples", "numsamples", "signallength"}
_COUNT_KEYS = {"nsig", "nleads", "numleads", "nchannels", "numchannels", "nchan", "nsignals"}
_MISSING_KEYS = {"missing", "invalid", "nanmask", "missingmask", "isnan", "invalidmask", "mask"}
_VALID_KEYS = {"valid", "validmask", "isvalid"}
_SHIFT_KEYS = {"skew", "leadoffsets", "leadskew", "timeoffsets", "startoffsets", "delays"}


_MOST_ROWS = 64  # leads of an ECG; the most that are recorded at once are fewer


def recording_from_arrays(
    arrays: Mapping[str, Any],
    source: str,
    file_format: str,
    *,
    sampling_rate: Any = None,
    lead_names: Any = None,
    units: Any = None,
    notes: Sequence[str] = (),
) -> EcgRecording:
    """Make a recording of named values.

    Args:
        arrays: The signal, `(leads, samples)`, under one of the usual names or as the only matrix, or one vector a lead
            under its name; and with it perhaps its rate, leads, units, gains and times. Dicts in it are looked into.
        sampling_rate, lead_names, units: What the caller states where the file doesn't.
        notes: What the reader has left out or assumed by now.

    Raises:
        EcgContentError: If there isn't one signal, its rate or unit stays unknown, a fact isn't understood, or two
            contradict each other.
    """
    given_names, given_units = stated_names(lead_names, source), stated_unit(units, source)
    facts = _Facts(arrays, source)
    facts.notes.extend(notes)
    signal, names = facts.signal()
    signal = facts.upright(signal)
    names = facts.names(len(signal), given_names) if names is None else names
    expected = next((len(some) for some in (given_names, names) if some is not None), len(STANDARD_LEADS))
    if signal.shape[0] != expected and signal.shape[1] == expected:
        raise EcgContentError(
            source,
            f"expected shape ({expected}, samples), got {signal.shape}. It looks transposed: save its transpose.",
        )
    check_names(names, given_names, source)
    facts.check_lengths(signal)
    rate, times = facts.rate(signal.shape[1], stated_rate(sampling_rate, source))
    signal = facts.without_missing(signal)
    if times is not None:
        signal = times.spread(signal.T).T
        facts.notes.extend(times.notes)
    final_names = given_names or names
    signal = in_millivolts(
        signal, facts.units(len(signal), final_names), given_units, facts.scaling(), facts.is_physical, source,
        final_names, facts.notes,
    )  # fmt: skip
    metadata = {"format": file_format, **facts.person()}
    facts.note_unread()
    return make_recording(
        source, signal, [rate] * len(signal), names, metadata, lead_names=given_names, notes=facts.notes
    )


class _Facts:
    """Named values that are taken out one by one, so that what is left is known.

    Args:
        arrays: Values by name, dicts among them.
        source: What errors call the file.
    """

    def __init__(self, arrays: Mapping[str, Any], source: str):
        self.source = source
        self.notes: list[str] = []
        self.is_physical = False
        self._is_wfdb = False
        self._left = dict(_flat(arrays))

    def _take(self, wanted: Callable[[str, Any], bool]) -> dict[str, Any]:
        taken = {name: value for name, value in self._left.items() if wanted(name.rpartition(".")[2], value)}
        for name in taken:
            del self._left[name]
        return taken

    def _take_keys(self, keys: set[str]) -> dict[str, Any]:
        return self._take(lambda name, _: fact_key(name) in keys)

    def signal(self) -> tuple[np.ndarray, list[str] | None]:
        """The signal, and the names of its rows if each row had its own."""
        called = {
            name: value for name, value in self._left.items() if fact_key(name.rpartition(".")[2]) in SIGNAL_KEYS
        }
        found = {name: value for name, value in called.items() if _is_signal(value)}
        # What WFDB calls p_signal is physical; its d_signal are the same as counts.
        physical = next((name for name in found if fact_key(name.rpartition(".")[2]) == "psignal"), None)
        if physical is not None and len(found) > 1:
            others = [name for name in found if name != physical]
            self.notes.append(f"Read {physical!r}, not {', '.join(map(repr, others))}.")
            self._left = {name: value for name, value in self._left.items() if name not in others}
            found = {physical: found[physical]}
        if not found:
            rows = self._take(lambda name, value: canonical_lead(name) is not None and _is_vector(value))
            if any(canonical_lead(name.rpartition(".")[2]) in STANDARD_LEADS for name in rows):
                return self._stacked(rows)
            self._left.update(rows)
            found = {name: value for name, value in self._left.items() if _is_matrix(value) and not is_fact(name)}
        if not found and len(called) == 1 and isinstance(next(iter(called.values())), np.ndarray):
            found = called  # of another shape, which is said below
        if len(found) != 1 and not _all_equal(list(found.values())):
            which = f"it has several: {', '.join(list(found)[:20])}" if found else f"it has {sorted(self._left)[:20]}"
            raise EcgContentError(
                self.source,
                f"expected one matrix called signal, ecg, val, data or p_signal, {which}. Save the ECG alone under one "
                "of these names.",
            )
        for name in found:
            self._left.pop(name, None)
        name = next(iter(found))
        self.is_physical = fact_key(name.rpartition(".")[2]) == "psignal"
        self._is_wfdb = fact_key(name.rpartition(".")[2]) in ("psignal", "dsignal")
        return self._as_leads(found[name]), None

    def upright(self, signal: np.ndarray) -> np.ndarray:
        """The signal as `(leads, samples)`; WFDB's `p_signal` and `d_signal` are the other way round.

        Raises:
            EcgContentError: If what is not WFDB's has more rows than an ECG has leads.
        """
        rows, columns = signal.shape
        if rows <= columns or rows <= _MOST_ROWS:
            return signal
        if self._is_wfdb and any(len(as_texts(value) or []) == columns for value in self._left.values()):
            self.notes.append("Its signal is (samples, leads), as WFDB has it.")
            return signal.T
        raise EcgContentError(
            self.source,
            f"expected shape (leads, samples), got {signal.shape}. It looks transposed: save its transpose.",
        )

    def _as_leads(self, value: Any) -> np.ndarray:
        if isinstance(value, np.ma.MaskedArray) and (missing := int(np.ma.count_masked(value))):
            self.notes.append(f"{missing} values are masked and count as no sample.")
            value = np.ma.filled(value.astype(np.float64), np.nan)
        signal = np.asarray(value)
        if signal.ndim == 1 or (signal.ndim == 2 and signal.shape[1] == 1 and signal.shape[0] > len(STANDARD_LEADS)):
            signal = signal.reshape(1, -1)  # a vector is one lead, whichever way it lies
        if signal.ndim != 2 or signal.dtype.kind not in "fiu":
            raise EcgContentError(
                self.source,
                f"expected numbers of shape (leads, samples), got {signal.dtype} of shape {signal.shape}. "
                "Save one ECG so.",
            )
        return signal

    def _stacked(self, rows: dict[str, Any]) -> tuple[np.ndarray, list[str]]:
        lengths = {name: np.asarray(row).size for name, row in rows.items()}
        if len(set(lengths.values())) > 1:
            raise EcgContentError(
                self.source, f"its leads have different numbers of samples: {lengths}. Save equal ones."
            )
        signals = [
            self._as_leads(np.ma.ravel(row) if isinstance(row, np.ma.MaskedArray) else np.ravel(row))[0]
            for row in rows.values()
        ]
        return np.stack(signals), [name.rpartition(".")[2] for name in rows]

    def names(self, count: int, given: Sequence[str] | None) -> list[str] | None:
        """Names of the rows, by what they are called or by what they are."""
        by_key = self._take_keys(_NAME_KEYS)
        found = {}
        for name, value in by_key.items():
            plain = as_plain(value)
            if isinstance(plain, (int, float)) and plain == count and count != 1:
                continue  # their number
            texts = as_texts(value)
            if texts is None and _is_empty(value):
                continue
            if texts is not None and len(texts) == count:
                found[name] = texts
            elif given is None:
                raise EcgContentError(
                    self.source,
                    f"its {name!r} is {str(plain)[:80]}, expected the names of its {count} rows. Pass them in order, "
                    f"{names_wanted(count)}.",
                )
        if not found:
            taken = self._take(
                lambda _, value: (texts := as_texts(value)) is not None and len(texts) == count and all_leads(texts)
            )
            found = {name: as_texts(value) or [] for name, value in taken.items()}
            self.notes.extend(f"Names of leads are taken from {name!r}." for name in found)
        leads = {name: texts for name, texts in found.items() if all_leads(texts)}
        compared = {
            repr(name): ", ".join(canonical_lead(text) or text for text in texts)
            for name, texts in (leads or found).items()
        }
        one_of(compared, "sets of lead names", self.source)
        return next(iter((leads or found).values()), None)

    def check_lengths(self, signal: np.ndarray) -> None:
        for axis, keys, what in ((1, _LENGTH_KEYS, "samples"), (0, _COUNT_KEYS, "leads")):
            for name, value in self._take_keys(keys).items():
                plain = as_plain(value)
                if isinstance(plain, (int, float)) and plain != signal.shape[axis]:
                    raise EcgContentError(
                        self.source,
                        f"its {name!r} is {plain:g}, its signal has {signal.shape[axis]} {what}. Save it again.",
                    )

    def rate(self, length: int, given: float | None) -> tuple[float, Times | None]:
        """Hz, and the times of the samples if there are any."""
        intervals = [name for name in self._left if fact_key(name.rpartition(".")[2]) in INTERVAL_KEYS]
        units = {name: self._left.pop(f"{name}_units", None) for name in intervals}
        taken = self._take(
            lambda name, value: is_rate(name, value) or fact_key(name) in INTERVAL_KEYS or times_key(name)[0]
        )
        rates = RateFacts(self.source)
        left = add_arrays(rates, taken, length, units)
        self._left.update({name: taken[name] for name in left})
        decided = rates.decide(given, "the sampling rate isn't in the file. Pass it, e.g. `sampling_rate=500` (Hz).")
        self.notes.extend(rates.notes)
        return decided

    def without_missing(self, signal: np.ndarray) -> np.ndarray:
        for name, value in self._take_keys(_SHIFT_KEYS).items():
            if np.size(value) and np.any(np.asarray(as_plain(value)) != 0):
                raise EcgContentError(
                    self.source, f"its leads are shifted by {name!r} {as_plain(value)}. Save them aligned."
                )
        missing = self._take_keys(_MISSING_KEYS)
        valid = self._take_keys(_VALID_KEYS)
        for name, value in {**missing, **valid}.items():
            marks = np.asarray(value)
            if (
                marks.shape not in (signal.shape, signal.shape[1:], (1, signal.shape[1]))
                or marks.dtype.kind not in "biu"
            ):
                self._left[name] = value
                continue
            marks = np.broadcast_to(marks.astype(bool) == (name in missing), signal.shape)
            if fact_key(name) == "mask" and marks.any() and not marks.all():
                raise EcgContentError(
                    self.source,
                    f"its {name!r} marks {int(marks.sum())} values without saying as what. Save it as 'missing' or 'valid'.",
                )
            if fact_key(name) != "mask" and marks.any():
                signal = np.where(marks, np.nan, signal)
                self.notes.append(f"{int(marks.sum())} values that {name!r} marks count as no sample.")
        signal, count = without_marks(signal)
        if count:
            self.notes.append(f"{count} values that are the lowest of their type count as no sample.")
        return signal

    def units(self, count: int, names: Sequence[str] | None) -> list[str | None]:
        """What the file says of each row, `None` where nothing or of a row that is no lead."""
        found: dict[str, list[str]] = {}
        for name, value in self._take_keys(_UNIT_KEYS).items():
            if _is_empty(value):
                continue
            texts = as_texts(value)
            if texts is None or len(texts) not in (1, count):
                raise EcgContentError(
                    self.source,
                    f"its {name!r} is {str(as_plain(value))[:80]}, expected a unit of voltage, one or {count}. Correct it.",
                )
            found[name] = texts * count if len(texts) == 1 else texts
        if not found:
            taken = self._take(lambda _, value: _are_units(as_texts(value), count))
            found = {
                name: list(as_texts(value) or []) * (count if len(as_texts(value) or []) == 1 else 1)
                for name, value in taken.items()
            }
        sizes = {
            repr(name): ", ".join(str(unit_size(text) or text) for text in texts) for name, texts in found.items()
        }
        one_of(sizes, "units", self.source)
        own: list[str | None] = [*next(iter(found.values()), [None] * count)]
        if names is not None and len(names) == count:
            own = [
                unit if canonical_lead(name) or unit_size(unit) else "mV"
                for unit, name in zip(own, names, strict=True)
            ]
        return own

    def scaling(self) -> dict[str, dict[str, Any]]:
        """Gains, sizes of a count and offsets, by kind."""
        if any(fact_key(name.rpartition(".")[2]) == "baseline" for name in self._left):
            # Of WFDB's two, the baseline is the count of 0 mV; the other is the middle of the converter's range.
            self._take_keys({"adczero"})
        kinds = {"gain": GAIN_KEYS, "size": SIZE_KEYS, "offset": OFFSET_KEYS}
        return {
            kind: {name: value for name, value in self._take_keys(keys).items() if not _is_empty(value)}
            for kind, keys in kinds.items()
        }

    def person(self) -> dict[str, Any]:
        taken = self._take_keys({"age", "sex", "gender"})
        metadata: dict[str, Any] = {}
        for name, value in taken.items():
            plain = as_plain(value)
            if fact_key(name) == "age":
                metadata |= {} if (age := age_in_years(plain)) is None else {"age": age}
            elif sex := sex_name(plain):
                metadata["sex"] = sex
        return metadata

    def note_unread(self) -> None:
        if self._left:
            names = [repr(name) for name in self._left]
            self.notes.append(f"Not read: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}.")


def _flat(arrays: Mapping[str, Any], prefix: str = "", depth: int = 4) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in arrays.items():
        if isinstance(value, Mapping) and depth:
            pairs.extend(_flat(value, f"{prefix}{name}.", depth - 1))
        else:
            pairs.append((f"{prefix}{name}", value))
    return pairs


def is_fact(name: str) -> bool:
    """Whether a name is one under which something is stated of a signal, or the signal itself."""
    key = fact_key(name.rpartition(".")[2])
    known = (_NAME_KEYS - SIGNAL_KEYS, _UNIT_KEYS, INTERVAL_KEYS, _LENGTH_KEYS, _COUNT_KEYS, _MISSING_KEYS, _VALID_KEYS, _SHIFT_KEYS, GAIN_KEYS, SIZE_KEYS, OFFSET_KEYS)  # fmt: skip
    return any(key in keys for keys in known) or times_key(name)[0] or is_rate(name, 500)


def _is_matrix(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and value.size > 1 and value.dtype.kind in "fiu"


def _is_vector(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.size > 1
        and max(value.shape) == value.size
        and value.dtype.kind in "fiu"
    )


def _is_signal(value: Any) -> bool:
    return _is_matrix(value) or (_is_vector(value) and value.size > len(STANDARD_LEADS))


def _all_equal(values: Sequence[np.ndarray]) -> bool:
    return bool(values) and all(
        value.shape == values[0].shape and np.array_equal(value, values[0]) for value in values
    )


def _is_empty(value: Any) -> bool:
    plain = as_plain(value)
    return plain is None or (isinstance(plain, (str, list, np.ndarray)) and len(plain) == 0)


def _are_units(texts: list[str] | None, count: int) -> bool:
    return texts is not None and len(texts) in (1, count) and all(unit_size(text) is not None for text in texts)


__all__ = ["SIGNAL_KEYS", "is_fact", "recording_from_arrays"]
