"""Windows of long recordings, prepared a few at a time so that a day fits in memory."""

import numpy as np
import pytest
import torch

from modeling_etp import ecg_windows_etp
from modeling_etp.ecg_inputs_etp import open_ecg
from modeling_etp.ecg_windows_etp import pool_windows, windows_of
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor


class Counting(ETPFeatureExtractor):
    """Notes how many windows it is given at once."""

    def __call__(self, ecg, **kwargs):
        self.__dict__.setdefault("sizes", []).append(len(ecg))
        return super().__call__(ecg, **kwargs)


@pytest.fixture
def ecgs(make_ecg):
    """One of six windows, one of another rate, one short, one of six again."""
    stated = [(60, 100), (12, 500), (4, 100), (60, 100)]
    return [
        open_ecg(make_ecg(seed, seconds=seconds, rate=rate), sampling_rate=rate)
        for seed, (seconds, rate) in enumerate(stated)
    ]


@pytest.mark.parametrize("most", [1, 4, 5, 128])
def test_how_many_windows_are_prepared_at_a_time_changes_nothing_else(ecgs, monkeypatch, most):
    monkeypatch.setattr(ecg_windows_etp, "WINDOWS_AT_A_TIME", most)
    extractor = Counting()
    prepared = windows_of(ecgs, extractor, overlap=0)
    assert [len(own) for own in prepared["seconds"]] == [6, 2, 1, 6]
    assert max(extractor.sizes) == min(most, 12)
    assert sum(extractor.sizes) == 15
    row = 0
    for ecg, own in zip(ecgs, prepared["seconds"], strict=True):
        for start, end in own:
            cut = ecg.signal[:, round(start * ecg.sampling_rate) : round(end * ecg.sampling_rate)]
            alone = ETPFeatureExtractor()(cut, sampling_rate=ecg.sampling_rate)["input_values"][0]
            np.testing.assert_array_equal(prepared["input_values"][row], alone)
            row += 1
    assert row == len(prepared["input_values"]) == 15


@pytest.mark.parametrize(("pooling", "expected"), [("mean", [[2.0], [4.0]]), ("max", [[3.0], [4.0]])])
def test_windows_are_pooled_by_recording(pooling, expected):
    values = torch.tensor([[1.0], [3.0], [4.0]])
    assert pool_windows(values, [2, 1], pooling).tolist() == expected
    assert pool_windows(values, [1, 1, 1], pooling) is values
