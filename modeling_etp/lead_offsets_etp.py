"""The constant that an electrode or an amplifier adds to a lead."""

import numpy as np

LARGEST_DEFLECTION_MV = 3.0  # of most QRS complexes; larger ones are rare and short


def lead_offsets(signals: np.ndarray) -> np.ndarray:
    """The constant that each lead lies above zero: its mean, to which an artefact adds no more than a QRS complex does.

    Samples further than `LARGEST_DEFLECTION_MV` from the lead's median count as that far from it.

    Args:
        signals: mV, shape `(…, leads, samples)`.

    Returns:
        mV, float32 of shape `(…, leads)`.
    """
    offsets = signals.mean(axis=-1, dtype=np.float64)
    wide = np.ptp(signals, axis=-1) > LARGEST_DEFLECTION_MV  # in others no sample is that far away
    if wide.any():
        median = np.median(signals[wide], axis=-1, keepdims=True)
        near = np.clip(signals[wide] - median, -LARGEST_DEFLECTION_MV, LARGEST_DEFLECTION_MV)
        offsets[wide] = median[..., 0] + near.mean(axis=-1, dtype=np.float64)
    return offsets.astype(np.float32)


__all__ = ["lead_offsets"]
