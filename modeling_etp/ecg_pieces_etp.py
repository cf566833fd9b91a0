"""Pieces of one recording: simultaneous leads put together, and the time between pieces left as gaps."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from .ecg_recording_etp import MAX_UNPACKED_VALUES, EcgContentError, EcgUnsafeError, tidy_rate
from .ecg_resample_etp import resample_with_gaps
from .leads_etp import STANDARD_LEADS

# Two recordings of one lead are the same if they differ by at most this, which is above the rounding of any recorder.
_SAME_MV = 0.02


@dataclass
class Piece:
    """Leads that were recorded together.

    Attributes:
        name: What notes call it.
        start: Of the first sample, seconds on a time axis that all pieces of a file share.
        rate: Hz.
        lead_names: Spelled as in `STANDARD_LEADS`.
        signal: Shape `(leads, samples)`, mV.
    """

    name: str
    start: float
    rate: float
    lead_names: tuple[str, ...]
    signal: np.ndarray

    @property
    def seconds(self) -> float:
        return self.signal.shape[1] / self.rate

    @property
    def stop(self) -> float:
        return self.start + self.seconds


def put_together(source: str | os.PathLike, pieces: Sequence[Piece]) -> tuple[Piece, list[str]]:
    """Put the pieces of a file onto one time axis at their highest rate, NaN where a lead has no sample.

    The piece with the most of the twelve leads, and of these the longest, is the main one. Another adds the leads that
    the main one lacks; at other times it adds the same leads again. What only repeats some of the main leads outside
    its time, such as a longer rhythm strip, is left out.

    Returns:
        One piece, and notes on what was joined, resampled and left out.
    """
    pieces, notes = _at_one_rate(source, pieces)
    order = sorted(pieces, key=lambda piece: (-_standard(piece.lead_names), -piece.signal.shape[1]))
    joined, left_out = order[0], []
    gaps = False
    for piece in order[1:]:
        apart = piece.start >= joined.stop - 0.5 / piece.rate or piece.stop <= joined.start + 0.5 / piece.rate
        fresh = [name for name in piece.lead_names if name not in joined.lead_names]
        whole = set(joined.lead_names) <= set(piece.lead_names)
        if (differing := _differing_leads(joined, piece)) and not fresh:
            left_out.append(f"{piece.name}, whose {', '.join(differing)} differ from those of {joined.name}")
            continue
        if differing:
            left_out.append(f"{', '.join(differing)} of {piece.name}, which differ from those of {joined.name}")
            piece = _only(piece, [name for name in piece.lead_names if name not in differing])
        if not (whole or (apart and fresh)) and (outside := _outside(joined, piece)):
            left_out.append(f"{outside:g} s of {piece.name} ({', '.join(piece.lead_names)}) outside {joined.name}")
            piece = _within(piece, joined)
        if piece.signal.shape[1] and (fresh or _outside(joined, piece) or np.isnan(joined.signal).any()):
            grown = _union(joined, piece)
            if grown is None:
                left_out.append(f"{piece.name}, {piece.seconds:g} s from {piece.start:g} s on, too far from the rest")
                continue
            joined, gaps = grown, gaps or apart
            notes.append(f"Joined: {piece.name} ({', '.join(piece.lead_names)}).")
    if gaps and (missing := np.isnan(joined.signal).mean()):
        notes.append(f"Its pieces are from different times; {missing:.1%} of all samples are missing (NaN).")
    notes.extend(f"Left out: {part}." for part in left_out)
    return joined, notes


def _standard(names: Sequence[str]) -> int:
    return sum(name in STANDARD_LEADS for name in names)


def _at_one_rate(source, pieces: Sequence[Piece]) -> tuple[list[Piece], list[str]]:
    highest = max(tidy_rate(piece.rate, source) for piece in pieces)
    result, notes = [], []
    for piece in pieces:
        if piece.rate != highest:
            factor = Fraction(highest / piece.rate).limit_denominator(1000)
            if abs(float(factor) * piece.rate / highest - 1) > 1e-6:
                raise EcgContentError(
                    source,
                    f"{piece.name} has {piece.rate:g} Hz and another piece {highest:g}. Export them with one rate.",
                )
            if piece.signal.size * factor > max(MAX_UNPACKED_VALUES, 8 * piece.signal.size):
                raise EcgUnsafeError(
                    source, f"{piece.name} would unfold from {piece.rate:g} to {highest:g} Hz. Export it alone."
                )
            notes.append(f"Resampled from {piece.rate:g} to {highest:g} Hz: {', '.join(piece.lead_names)}.")
            signal = np.array([resample_with_gaps(lead, factor) for lead in piece.signal])
            piece = replace(piece, rate=highest, signal=signal)
        result.append(piece)
    return result, notes


def _only(piece: Piece, names: Sequence[str]) -> Piece:
    rows = [piece.lead_names.index(name) for name in names]
    return replace(piece, lead_names=tuple(names), signal=piece.signal[rows])


def _at(start: float, axis: Piece) -> int:
    return round((start - axis.start) * axis.rate)


def _outside(joined: Piece, piece: Piece) -> float:
    """Seconds of `piece` before and after `joined`."""
    first, last = _at(piece.start, joined), _at(piece.start, joined) + piece.signal.shape[1]
    inside = max(0, min(last, joined.signal.shape[1]) - max(first, 0))
    return (piece.signal.shape[1] - inside) / piece.rate


def _within(piece: Piece, joined: Piece) -> Piece:
    first = _at(piece.start, joined)
    skip = max(-first, 0)
    signal = piece.signal[:, skip : max(joined.signal.shape[1] - first, skip)]
    return replace(piece, start=piece.start + skip / piece.rate, signal=signal)


def _differing_leads(joined: Piece, piece: Piece) -> list[str]:
    """Leads that both have with other values at the same time."""
    part = _within(piece, joined)
    first = max(_at(part.start, joined), 0)
    there = joined.signal[:, first : first + part.signal.shape[1]]
    differing = []
    for name in part.lead_names:
        if name in joined.lead_names:
            difference = there[joined.lead_names.index(name)] - part.signal[part.lead_names.index(name)]
            if (np.abs(difference[np.isfinite(difference)]) > _SAME_MV).any():
                differing.append(name)
    return differing


def _union(joined: Piece, piece: Piece) -> Piece | None:
    """Both on one axis; `None` if nearly all of it would be gaps that take more memory than the samples."""
    names = list(dict.fromkeys((*joined.lead_names, *piece.lead_names)))
    start = min(joined.start, piece.start)
    places = [(round((one.start - start) * joined.rate), one) for one in (piece, joined)]
    length = max(at + one.signal.shape[1] for at, one in places)
    if len(names) * length > max(MAX_UNPACKED_VALUES, 4 * (joined.signal.size + piece.signal.size)):
        return None
    signal = np.full((len(names), length), np.nan, np.float32)
    for at, one in places:  # where both have a sample, that of the main piece stays
        for name, lead in zip(one.lead_names, one.signal, strict=True):
            row = signal[names.index(name), at : at + len(lead)]
            np.copyto(row, lead, where=~np.isnan(lead))
    return Piece(joined.name, start, joined.rate, tuple(names), signal)
