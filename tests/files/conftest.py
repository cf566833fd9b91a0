"""One small ECG, and the formats it is written in."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import ecg_writers
import numpy as np
import pytest

from modeling_etp.ecg_files_etp import STANDARD_LEADS


@pytest.fixture(scope="session")
def microvolts() -> np.ndarray:
    """Twelve distinct leads of 2 s at 100 Hz in whole µV, int16, that obey Einthoven and Goldberger."""
    return ecg_writers.make_microvolts()


@pytest.fixture(scope="session")
def millivolts(microvolts: np.ndarray) -> np.ndarray:
    return (microvolts / 1000).astype(np.float32)


@pytest.fixture
def write_wfdb16(tmp_path: Path, microvolts: np.ndarray) -> Callable[..., Path]:
    """Write a format-16 record by hand, so that every field of its header can be wrong."""

    def write(
        name: str = "record",
        *,
        stored: np.ndarray = microvolts,
        leads: Sequence[str] = STANDARD_LEADS,
        first_line: str | None = None,
        signal_line: str = "{name}.dat 16 1000(0)/mV 16 0 {first} {checksum} 0 {lead}",
        comments: str = "",
    ) -> Path:
        (tmp_path / f"{name}.dat").write_bytes(stored.T.astype("<i2").tobytes())
        lines = [first_line or f"{name} {len(stored)} 100 {stored.shape[1]}"]
        for lead, samples in zip(leads, stored.tolist(), strict=True):
            lines.append(signal_line.format(name=name, first=samples[0], checksum=sum(samples) % 65536, lead=lead))
        header = tmp_path / f"{name}.hea"
        header.write_text("\n".join(lines) + "\n" + comments)
        return header

    return write


@pytest.fixture
def muse_xml(microvolts: np.ndarray) -> Callable[..., str]:
    return functools.partial(ecg_writers.muse_xml, microvolts)


@pytest.fixture
def aecg_xml(microvolts: np.ndarray) -> Callable[..., str]:
    return functools.partial(ecg_writers.aecg_xml, microvolts)
