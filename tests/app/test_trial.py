"""Uploads that may crash the library that reads them are tried in a process of their own."""

import io
import sys

import h5py
import numpy as np
import pytest
from ecg_writers import make_microvolts

from etp.app import trial
from etp.app.sources import AppError, UploadedEcg

MILLIVOLTS = make_microvolts() / 1000


@pytest.fixture
def hdf5() -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["ecg"], file["fs"], file["units"] = MILLIVOLTS, 100, "mV"
    return stream.getvalue()


@pytest.fixture
def python_that(tmp_path, monkeypatch):
    """Put a program in Python's place, which does something else."""

    def become(script: str) -> None:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))

    return become


def test_a_whole_file_is_read(hdf5):
    assert UploadedEcg({"ecg.h5": hdf5}).read(lead_names=None).signal.shape[0] == 12


def test_a_damaged_file_is_refused_in_the_reader_s_words(hdf5):
    with pytest.raises(AppError, match=r"ecg\.h5: h5py can't read it"):
        UploadedEcg({"ecg.h5": hdf5[: len(hdf5) // 2]}).read()


@pytest.mark.parametrize("script", ["kill -SEGV $$", "exec sleep 60"], ids=["crashes", "hangs"])
def test_the_page_outlives_a_file_that_its_library_does_not(script, hdf5, python_that, monkeypatch):
    monkeypatch.setattr(trial, "SECONDS", 1.0)
    python_that(script)
    with pytest.raises(AppError, match=r"ecg\.h5: it is damaged so badly that reading it doesn't end well"):
        UploadedEcg({"ecg.h5": hdf5}).read()


def test_other_kinds_start_no_process(python_that):
    python_that("exit 1")
    stream = io.BytesIO()
    np.save(stream, MILLIVOLTS)
    assert UploadedEcg({"ecg.npy": stream.getvalue()}).read(sampling_rate=100, units="mV").sampling_rate == 100
    with pytest.raises(AppError, match="empty"):
        UploadedEcg({"ecg.h5": b""}).read()
