"""Raw ECGs in any rate, unit and lead order -> the model's `input_values`."""

from collections.abc import Sequence
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np
from transformers import BatchFeature, SequenceFeatureExtractor
from transformers.utils import TensorType, is_torch_tensor

from .ecg_checks_etp import bridge_short_gaps, check_amplitude, check_finite
from .ecg_recording_etp import millivolts_per
from .lead_offsets_etp import lead_offsets
from .leads_etp import LIMB_LEADS, STANDARD_LEADS, canonical_lead, limb_lead_weights
from .resampling_etp import resample

# An ECG sampled more slowly holds no QRS complex, and a faster one doesn't exist: the number is in another unit.
LOWEST_RATE, HIGHEST_RATE = 50, 100_000
LONGEST_SECONDS = 86_400  # a day; what a file from a stranger says is allocated for every record


class ETPFeatureExtractor(SequenceFeatureExtractor):
    """Bring ECGs to the model's sampling rate, length and lead order; the amplitude stays in mV.

    Of each record, in this order: leads are put in order by name, limb leads that follow from two known ones are
    derived (Einthoven, Goldberger), other missing leads are zero; values are converted to mV and checked; the rate is
    changed with an anti-aliasing filter; a record longer than `num_samples` is cropped, a shorter one padded at the
    end; the offset of each lead, its mean over what is kept, is subtracted. No record is scaled by itself: voltage is
    diagnostic.

    Args:
        sampling_rate: Of the output, Hz.
        num_samples: Length of the output; 1000 is 10 s at 100 Hz.
        lead_names: Leads of the output, in order.
        crop: What is kept of a longer record: its `"start"` or its `"center"`.
        padding_value: What a shorter record is padded with at its end, mV.
        min_seconds: A shorter record is refused: below 1 s it may not hold one heartbeat.
        max_gap_seconds: Runs of NaN up to this long are bridged by a straight line; 0 refuses every NaN.
        derive_limb_leads: Whether missing limb leads are derived rather than left zero.
        remove_offset: Whether the offset of each lead is subtracted: electrodes and amplifiers make it, not the heart.
        feature_size: The number of leads; follows from `lead_names` and is stored for `transformers`.

    Example:
        >>> extractor = ETPFeatureExtractor()
        >>> time = np.arange(5000) / 500
        >>> ecg = np.sin(2 * np.pi * time) * np.ones((12, 1))
        >>> extractor(ecg, sampling_rate=500, return_tensors="pt")["input_values"].shape
        torch.Size([1, 12, 1000])
    """

    model_input_names = ["input_values"]

    def __init__(
        self,
        sampling_rate: int | float = 100,
        num_samples: int = 1000,
        lead_names: Sequence[str] = STANDARD_LEADS,
        crop: str = "start",
        padding_value: float = 0.0,
        min_seconds: float = 1.0,
        max_gap_seconds: float = 0.0,
        derive_limb_leads: bool = True,
        remove_offset: bool = True,
        feature_size: int | None = None,
        **kwargs,
    ):
        lead_names = list(lead_names)
        if feature_size not in (None, len(lead_names)):
            raise ValueError(
                f"`feature_size` is the number of `lead_names`, {len(lead_names)}, got {feature_size}. Leave it out."
            )
        if crop not in ("start", "center"):
            raise ValueError(f'`crop` must be "start" or "center", got {crop!r}.')
        if num_samples < 1 or not sampling_rate > 0:
            raise ValueError(
                f"`num_samples` and `sampling_rate` must be above 0, got {num_samples} and {sampling_rate}."
            )
        if num_samples > LONGEST_SECONDS * sampling_rate:
            raise ValueError(
                f"`num_samples` may be {LONGEST_SECONDS:,} s at most, got {num_samples / sampling_rate:g} s."
            )
        if not lead_names or [canonical_lead(name) for name in lead_names] != lead_names or _repeated(lead_names):
            raise ValueError(f"`lead_names` must be distinct leads spelled as in {STANDARD_LEADS}, got {lead_names}.")
        kwargs.setdefault("return_attention_mask", False)
        kwargs.pop("auto_map", None)  # describes the files of a checkpoint, not this object
        # The base class says int and keeps any number; a rate need not be whole.
        super().__init__(len(lead_names), sampling_rate, padding_value, **kwargs)  # type: ignore[arg-type]
        self.num_samples = num_samples
        self.lead_names = lead_names
        self.crop = crop
        self.min_seconds = min_seconds
        self.max_gap_seconds = max_gap_seconds
        self.derive_limb_leads = derive_limb_leads
        self.remove_offset = remove_offset

    def __call__(
        self,
        ecg: Any,
        *,
        sampling_rate: int | float | None = None,
        lead_names: Sequence[str] | None = None,
        units: str = "mV",
        record_ids: Sequence[str] | str | None = None,
        max_gap_seconds: float | None = None,
        return_lead_mask: bool = False,
        return_tensors: str | TensorType | None = None,
    ) -> BatchFeature:
        """Prepare one ECG or several.

        Args:
            ecg: One record of shape `(leads, samples)`, a batch `(batch, leads, samples)`, or a sequence of records
                of any lengths; NumPy arrays, tensors or lists of numbers.
            sampling_rate: Of `ecg`, Hz. Required: a wrong rate can't be seen later.
            lead_names: Names of the rows of every record, in order. `None`: they are `self.lead_names`.
            units: Of `ecg`: `"mV"`, `"uV"`, `"µV"` or `"V"`.
            record_ids: What errors call the records; `None` counts them from 0.
            max_gap_seconds: In place of `self.max_gap_seconds`, for this call.
            return_lead_mask: Also return `lead_mask`, bool `(batch, leads)`: which leads are given or derived.
            return_tensors: `"pt"`, or `"np"`; `None` gives NumPy arrays too.

        Returns:
            `input_values`, float32 of shape `(batch, len(self.lead_names), num_samples)` in mV.

        Raises:
            ValueError: If the rate is missing or impossible, leads are unknown or repeated, a shape is wrong, the
                amplitude can't be in the stated unit, or a record is empty, too short, flat, or not finite. Names the
                record and the lead.
        """
        rate = self._check_rate(sampling_rate)
        scale = millivolts_per(units)
        if scale is None:
            raise ValueError(f'`units` must be a unit of voltage such as "mV" or "uV", got {units!r}.')
        longest_gap = self.max_gap_seconds if max_gap_seconds is None else max_gap_seconds
        if isinstance(longest_gap, bool) or not isinstance(longest_gap, Real) or not longest_gap >= 0:
            raise ValueError(f"`max_gap_seconds` must be 0 or a number of seconds, got {longest_gap!r}. Use e.g. 0.1.")
        records = _as_records(ecg)
        record_names = _record_names(len(records), record_ids)
        plan = _LeadPlan(lead_names, self.lead_names, derive=self.derive_limb_leads)

        shape = (len(records), len(self.lead_names), self.num_samples)
        as_wanted = isinstance(records, np.ndarray) and plan.is_identity and records.shape == shape and rate == 1
        if as_wanted and not (longest_gap and np.isnan(records).any()):
            input_values = np.empty(shape, np.float32)
            with np.errstate(over="ignore"):
                np.multiply(records, np.float32(scale), out=input_values, casting="unsafe")
            self._check_values(input_values, record_names, self.lead_names, self.sampling_rate, longest_gap)
            self._center(input_values)
        else:
            input_values = np.full(shape, self.padding_value, np.float32)
            for record, name, out in zip(records, record_names, input_values, strict=True):
                self._prepare(record, name, plan, rate, scale, longest_gap, out)

        features = {"input_values": input_values}
        if return_lead_mask:
            features["lead_mask"] = np.broadcast_to(plan.mask, shape[:2]).copy()
        return BatchFeature(features, tensor_type=return_tensors)

    def save_pretrained(self, *args, **kwargs) -> list[str]:
        """Save as every feature extractor does; the `auto_map` of the saved files doesn't stay on the object."""
        saved = super().save_pretrained(*args, **kwargs)
        self.__dict__.pop("auto_map", None)
        return saved

    def _check_rate(self, sampling_rate: Any) -> Fraction:
        """Output samples per input sample."""
        if sampling_rate is None:
            raise ValueError("`sampling_rate` (Hz) of the ECG is missing. Pass it, e.g. `sampling_rate=500`.")
        try:
            rate = float(sampling_rate)
        except (TypeError, ValueError) as error:
            raise ValueError(f"`sampling_rate` must be a number of Hz, got {sampling_rate!r}.") from error
        if rate != self.sampling_rate and not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise ValueError(
                f"`sampling_rate` is in Hz and an ECG has {LOWEST_RATE} to {HIGHEST_RATE:,} of them, got {sampling_rate}."
            )
        # A rate such as 359.9 Hz is met within 1 part in 10^6; over 10 s that is a hundredth of a millisecond.
        return (Fraction(self.sampling_rate) / Fraction(rate)).limit_denominator(10_000)

    def _prepare(
        self,
        record: Any,
        name: str,
        plan: "_LeadPlan",
        rate: Fraction,
        scale: float,
        longest_gap: float,
        out: np.ndarray,
    ) -> None:
        """Write one record into `out`, shape `(leads, num_samples)`."""
        signal = plan.select(_as_signal(record, name), name) * scale
        shortest = min(self.min_seconds * self.sampling_rate, self.num_samples)
        if signal.shape[1] * rate < shortest:
            raise ValueError(
                f"{name}: expected at least {shortest / self.sampling_rate:g} s of signal, got {signal.shape[1]} samples"
                f" = {float(signal.shape[1] * rate) / self.sampling_rate:g} s. Use a longer recording, or check the rate."
            )
        if longest_gap and np.isnan(signal).any():
            signal = bridge_short_gaps(signal, int(round(longest_gap * self.sampling_rate / rate, 6)))
        with np.errstate(over="ignore"):
            signal = signal.astype(np.float32, copy=False)
        self._check_values(signal[None], [name], plan.given, float(self.sampling_rate / rate), longest_gap)
        signal = self._center(self._fit(signal, rate))
        plan.place(signal, out[:, : signal.shape[1]])

    def _check_values(
        self,
        signals: np.ndarray,
        record_names: Sequence[str],
        lead_names: Sequence[str],
        sampling_rate: float,
        longest_gap: float,
    ) -> None:
        """Refuse what can't be an ECG in mV; `signals` is float32 `(batch, leads, samples)`."""
        low, high = signals.min(axis=2), signals.max(axis=2)  # a NaN anywhere in a lead is in both
        check_finite(low, high, signals, record_names, lead_names, longest_gap, sampling_rate)
        check_amplitude(low, high, signals, record_names, sampling_rate)

    def _center(self, signals: np.ndarray) -> np.ndarray:
        """Subtract the offset of each lead in place; `signals` is float32 `(…, leads, samples)`."""
        if self.remove_offset:
            signals -= lead_offsets(signals)[..., None]
        return signals

    def _fit(self, signal: np.ndarray, rate: Fraction) -> np.ndarray:
        """Change the rate of `(leads, samples)` and crop it to at most `num_samples`."""
        total = -(-signal.shape[1] * rate.numerator // rate.denominator)  # rounded up, as resample_poly does
        surplus = max(total - self.num_samples, 0)
        first = surplus // 2 if self.crop == "center" else 0
        if rate == 1:
            return signal[:, first : first + self.num_samples]
        # Of a long recording, filter only the part that is kept and what the filter reaches around it.
        up, down = rate.numerator, rate.denominator
        reach = 10 * max(up, down) // up + 1  # half length of resample_poly's filter, in input samples
        blocks = -(-reach // down)
        start = max(first // up - blocks, 0)
        stop = -(-(first + self.num_samples) // up) + blocks
        signal = resample(signal[:, start * down : stop * down], rate)
        return signal[:, first - start * up :][:, : min(self.num_samples, total)]


class _LeadPlan:
    """Which rows of a record become which leads of the output.

    Attributes:
        given: Names of the rows that are used.
        mask: bool, one per output lead: given or derived.
        is_identity: Whether the rows are the output leads already.
    """

    def __init__(self, given: Sequence[str] | None, wanted: Sequence[str], *, derive: bool):
        stated = wanted if given is None else given
        names = list(wanted) if given is None else _canonical_names(given)
        self._rows = len(names)
        self._kept = [row for row, name in enumerate(names) if name in wanted or (derive and name in LIMB_LEADS)]
        self.given = [names[row] for row in self._kept]
        if not self.given:
            raise ValueError(f"none of the leads {list(stated)} is one of the model's: {list(wanted)}.")
        self.is_identity = names == list(wanted)
        self._copied = [(lead, self.given.index(name)) for lead, name in enumerate(wanted) if name in self.given]
        limbs = [name for name in self.given if name in LIMB_LEADS]
        self._limb_rows = [self.given.index(name) for name in limbs]
        self._derived: list[tuple[int, np.ndarray]] = []
        for lead, name in enumerate(wanted):
            if derive and name in LIMB_LEADS and name not in self.given:
                weights = limb_lead_weights(name, limbs)
                if weights is not None:
                    self._derived.append((lead, weights.astype(np.float32)))
        self.mask = np.zeros(len(wanted), dtype=bool)
        self.mask[[lead for lead, _ in (*self._copied, *self._derived)]] = True

    def select(self, signal: np.ndarray, name: str) -> np.ndarray:
        """The rows that are used, after a check of the shape."""
        if signal.ndim != 2 or signal.shape[0] != self._rows:
            transposed = signal.ndim == 2 and signal.shape[1] == self._rows
            hint = " It looks transposed: pass `ecg.T`." if transposed else ""
            hint = hint or " Pass the names of its rows as `lead_names`."
            raise ValueError(f"{name}: expected shape ({self._rows}, samples), got {signal.shape}.{hint}")
        return signal if len(self._kept) == self._rows else signal[self._kept]

    def place(self, signal: np.ndarray, out: np.ndarray) -> None:
        """Write the leads that are given, those that follow from them, and zeros for the others."""
        for lead, row in self._copied:
            out[lead] = signal[row]
        for lead, weights in self._derived:
            out[lead] = weights @ signal[self._limb_rows]
        out[~self.mask] = 0


def _canonical_names(names: Sequence[str]) -> list[str]:
    if isinstance(names, str):
        raise ValueError(f"`lead_names` must be a sequence of names, got the string {names!r}.")
    if not isinstance(names, (Sequence, np.ndarray)):
        raise ValueError(f"`lead_names` must be a sequence of names, got {names!r}.")
    leads = [canonical_lead(str(name)) for name in names]
    unknown = [str(name) for name, lead in zip(names, leads, strict=True) if lead is None]
    if unknown:
        raise ValueError(
            f"unknown lead(s) {', '.join(map(repr, unknown))}. Rename them to one of {', '.join(STANDARD_LEADS)}, or "
            "leave these rows out."
        )
    canonical = [lead for lead in leads if lead is not None]
    if repeated := _repeated(canonical):
        raise ValueError(f"lead(s) {', '.join(repeated)} occur more than once in `lead_names` {list(names)}.")
    return canonical


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _record_names(count: int, record_ids: Sequence[str] | str | None) -> list[str]:
    if record_ids is None:
        return [f"ECG {index}" for index in range(count)]
    record_ids = [record_ids] if isinstance(record_ids, str) else [str(name) for name in record_ids]
    if len(record_ids) != count:
        raise ValueError(f"`record_ids` has {len(record_ids)} names for {count} record(s).")
    return record_ids


def _as_array(values: Any, name: str) -> np.ndarray:
    """Numbers as an array, whatever they came as."""
    if is_torch_tensor(values):
        values = values.detach().cpu()
        values = (values if values.dtype.itemsize > 2 else values.float()).numpy()  # NumPy has no bfloat16
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: expected shape (leads, samples), got rows of different lengths.") from error
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name}: expected numbers, got {type(values).__name__} of type {array.dtype}.")
    return array


def _as_signal(record: Any, name: str) -> np.ndarray:
    array = _as_array(record, name)
    return (
        array
        if array.dtype in (np.float32, np.float64)
        else array.astype(np.float32 if array.itemsize < 4 else np.float64)
    )


def _as_records(ecg: Any) -> np.ndarray | list[Any]:
    """A batch as one array where it is one, else a list of records."""
    if not isinstance(ecg, (list, tuple)):
        array = _as_array(ecg, "ECG")
        if array.ndim != 3:
            return [array]
        if not len(array):
            raise ValueError(f"expected at least one ECG, got an array of shape {array.shape}.")
        return array
    if not ecg:
        raise ValueError("expected at least one ECG, got an empty list.")
    return [ecg] if _depth(ecg) == 2 else list(ecg)


def _depth(values: Any) -> int:
    """Number of axes of nested lists around numbers, arrays or tensors, judged by the first element."""
    if isinstance(values, (list, tuple)):
        return 1 + (_depth(values[0]) if values else 0)
    return np.ndim(values)
