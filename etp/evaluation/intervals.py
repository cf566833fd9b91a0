"""Bootstrap intervals whose resamples draw whole patients, not single records."""

from collections.abc import Sequence

import numpy as np

NUM_RESAMPLES = 1000
LEVEL = 0.95


def clusters(patient_ids: Sequence[str | None]) -> np.ndarray:
    """Number the patients of the records, shape `(records,)`; a record of unknown patient is a cluster of its own."""
    names = [("record", row) if patient is None else ("patient", patient) for row, patient in enumerate(patient_ids)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def bootstrap_weights(cluster: np.ndarray, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each record is drawn in each resample.

    Args:
        cluster: Cluster number of each record, from 0, shape `(records,)`; see [`clusters`].
        num_resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        float64 of shape `(records, num_resamples)`; every resample draws as many clusters as there are.
    """
    num_clusters = int(cluster.max()) + 1
    draws = np.random.default_rng(seed).integers(num_clusters, size=(num_resamples, num_clusters))
    flat = draws + np.arange(num_resamples)[:, None] * num_clusters
    counts = np.bincount(flat.ravel(), minlength=num_resamples * num_clusters).reshape(num_resamples, num_clusters)
    return np.ascontiguousarray(counts.T[cluster], dtype=np.float64)


def percentile_interval(values: np.ndarray) -> np.ndarray:
    """Lower and upper end of the 95% interval over the resamples `(resamples, …)`, stacked as `(2, …)`.

    Resamples without a value are left out; both ends are NaN where no resample has one.
    """
    result = np.full((2, *values.shape[1:]), np.nan)
    defined = ~np.isnan(values).all(axis=0)
    ends = [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2]
    result[:, defined] = np.nanpercentile(values[:, defined], ends, axis=0)
    return result
