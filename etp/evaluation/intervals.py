"""Bootstrap intervals whose resamples draw whole patients, not single records."""

import numpy as np

NUM_RESAMPLES = 1000
LEVEL = 0.95


def bootstrap_weights(patient: np.ndarray, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each record is drawn in each resample.

    Args:
        patient: Patient number of each record, from 0, shape `(records,)`; see [`~etp.scoring.patients.patient_numbers`].
        num_resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        float64 of shape `(records, num_resamples)`; every resample draws as many patients as there are.
    """
    num_patients = int(patient.max()) + 1
    draws = np.random.default_rng(seed).integers(num_patients, size=(num_resamples, num_patients))
    flat = draws + np.arange(num_resamples)[:, None] * num_patients
    counts = np.bincount(flat.ravel(), minlength=num_resamples * num_patients).reshape(num_resamples, num_patients)
    return np.ascontiguousarray(counts.T[patient], dtype=np.float64)


def percentile_interval(values: np.ndarray) -> np.ndarray:
    """Lower and upper end of the 95% interval over the resamples `(resamples, …)`, stacked as `(2, …)`.

    Resamples without a value are left out; both ends are NaN where no resample has one.
    """
    result = np.full((2, *values.shape[1:]), np.nan)
    defined = ~np.isnan(values).all(axis=0)
    ends = [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2]
    result[:, defined] = np.nanpercentile(values[:, defined], ends, axis=0)
    return result
