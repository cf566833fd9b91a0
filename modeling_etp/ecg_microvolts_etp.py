"""Voltages as the data sets keep them: int16 µV with a mark where there is no sample."""

import numpy as np

MICROVOLTS_PER_MILLIVOLT = 1000.0
NO_SAMPLE = -32768  # WFDB's mark in format 16, and that of the data sets' rows


def to_millivolts(microvolts: np.ndarray) -> np.ndarray:
    """Convert int16 µV of any shape to float32 mV; NaN where there is no sample."""
    millivolts = microvolts * np.float32(1e-3)
    millivolts[microvolts == NO_SAMPLE] = np.nan
    return millivolts


__all__ = ["MICROVOLTS_PER_MILLIVOLT", "NO_SAMPLE", "to_millivolts"]
