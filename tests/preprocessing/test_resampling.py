"""Resampling against scipy's, at the rates of recorders and at odd ones."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import resample_poly

from modeling_etp.resampling_etp import resample


def wandering(*shape: int, seed: int = 0) -> np.ndarray:
    """A random walk on an offset of 3 mV, float32."""
    return (np.random.default_rng(seed).normal(size=shape).cumsum(axis=-1) * 0.01 + 3).astype(np.float32)


@pytest.mark.parametrize(
    "rate",
    [
        Fraction(1, 5),
        Fraction(1, 10),
        Fraction(2, 5),
        Fraction(100, 257),
        Fraction(25, 32),
        Fraction(1000, 3599),
        Fraction(5, 1),
        Fraction(125, 64),
        Fraction(9999, 9998),
    ],
    ids=str,
)
@pytest.mark.parametrize("samples", [2, 17, 1000, 4999, 5000, 5003])
def test_every_rate_and_length_gives_what_scipy_gives(rate, samples):
    signal = wandering(3, samples)
    expected = resample_poly(signal.astype(np.float64), rate.numerator, rate.denominator, axis=-1, padtype="line")
    found = resample(signal, rate)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_batch_gives_what_its_records_give():
    batch = wandering(4, 12, 2500)
    np.testing.assert_allclose(
        resample(batch, Fraction(1, 5)), [resample(one, Fraction(1, 5)) for one in batch], atol=1e-5
    )


def test_missing_samples_stay_near_where_they_were():
    signal = wandering(1, 5000)
    signal[:, 2500] = np.nan
    missing = np.isnan(resample(signal, Fraction(1, 5))[0])
    assert missing[500]
    assert not missing[:400].any()
    assert not missing[600:].any()
