"""WFDB records."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .ecg_recording_etp import (
    EcgContentError,
    EcgFormatError,
    EcgRecording,
    LeadChoice,
    age_in_years,
    choose_leads,
    recording_of,
    sex_name,
)
from .ecg_wfdb_header_etp import WfdbHeader, gain_faults, read_wfdb_header, signal_names
from .ecg_wfdb_segments_etp import join_segments
from .ecg_wfdb_signals_etp import is_plain, read_channels, read_plain


def read_wfdb(
    header_path: str | os.PathLike,
    *,
    lead_names: Sequence[str] | None = None,
    units: str | None = None,
    verify_checksum: bool = True,
) -> EcgRecording:
    """Read one record.

    Args:
        header_path: The `.hea` file.
        lead_names: Names for all channels, instead of those in the header.
        units: Of leads whose unit in the header is unknown, such as `adu`.
        verify_checksum: Refuse samples that don't add up to the checksum in the header.

    Raises:
        EcgFileError: One of its kinds, naming the header.
    """
    header = read_wfdb_header(header_path)
    choice: LeadChoice
    channels: np.ndarray | list[np.ndarray]
    if header.segments:
        choice, channels, rates, gains, notes = join_segments(
            header_path, header, lead_names=lead_names, units=units, verify_checksum=verify_checksum
        )
    else:
        choice = choose_leads(
            header_path,
            signal_names(header),
            header.units,
            lead_names=lead_names,
            stated_units=units,
            faults=gain_faults(header),
        )
        channels, notes = read_channels(
            header_path, header, choice.rows, choice.millivolts, verify_checksum=verify_checksum
        )
        rates = [header.sampling_rate * header.samples_per_frame[row] for row in choice.rows]
        gains = [scale / header.gains[row] for row, scale in zip(choice.rows, choice.millivolts, strict=True)]
    metadata = {"format": "WFDB", "record_id": header.record_name, **_comment_metadata(header.comments)}
    return recording_of(header_path, choice, channels, rates, metadata, gains=gains, notes=notes)


def read_wfdb_int16(header_path: str | os.PathLike, *, verify_checksum: bool = True) -> tuple[np.ndarray, WfdbHeader]:
    """Read a record in format 16 as it is stored, without scaling: the fast path of the dataset builders.

    Returns:
        Stored units, int16 of shape `(leads, samples)` with `NO_SAMPLE` where there is none, and the header: mV are
        `(stored - baseline) / gain`.

    Raises:
        EcgFormatError: If the record isn't in plain format 16; `read_wfdb` reads it.
        EcgFileError: Another of its kinds, naming the header.
    """
    header = read_wfdb_header(header_path)
    if header.segments or not is_plain(header):
        raise EcgFormatError(
            header_path,
            f"expected plain format 16, got {sorted(set(header.formats))}. Use `read_ecg` for this record.",
        )
    if faults := gain_faults(header):
        raise EcgContentError(header_path, next(iter(faults.values())))
    return read_plain(header_path, header, verify_checksum), header


def _comment_metadata(comments: list[str]) -> dict:
    """Age and sex from comments such as `Age: 74`, `Sex: Male`, and all comments as they are."""
    metadata: dict[str, Any] = {"comments": comments} if comments else {}
    for comment in comments:
        key, colon, value = comment.lstrip("<").partition(":")
        key = key.strip(" >").lower()
        value = value.lstrip("> ")
        if colon and key == "age" and (age := age_in_years(value)) is not None:
            metadata["age"] = age
        elif colon and key in ("sex", "gender") and (sex := sex_name(value)):
            metadata["sex"] = sex
    return metadata
