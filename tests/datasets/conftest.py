"""Fixtures of the archive builders' tests."""

import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
from small_archives import (
    signal_of,
    write_challenge_record,
    write_code15,
    write_csn,
    write_mimic,
    write_original_record,
    write_ptb_xl,
    write_record,
)


@pytest.fixture(autouse=True)
def quiet_datasets():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture(scope="session")
def ptb_xl_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written once, because wfdb takes its time; tests change copies of it."""
    return write_ptb_xl(tmp_path_factory.mktemp("template") / "ptb-xl")


@pytest.fixture
def ptb_xl(tmp_path: Path, ptb_xl_template: Path) -> Path:
    """Six records at 100 Hz in PTB-XL's layout: three for training, two for validation, one for test."""
    return Path(shutil.copytree(ptb_xl_template, tmp_path / "ptb-xl"))


@pytest.fixture
def cpsc2018(tmp_path: Path) -> Path:
    """Records of CPSC2018 in both forms, with all three ways to write labels."""
    root = tmp_path / "cpsc2018"
    challenge = root / "training" / "cpsc_2018"
    write_challenge_record(challenge / "g1", "A0001", signal_of(1, 3000), age="74", sex="Male", dx="59118001")
    write_challenge_record(challenge / "g1", "A0002", signal_of(2, 3500), age="NaN", sex="Female", dx="Normal")
    write_challenge_record(challenge / "g2", "A0015", signal_of(3, 3000), age="49", sex="Female", dx="AF,STD")
    write_original_record(root / "original", "A0025", signal_of(4, 4000), age=61, sex="Male")
    (root / "REFERENCE.csv").write_text(
        "Recording,First_label,Second_label,Third_label\nA0001,5,,\nA0002,1,,\nA0025,7,3,\nA0015,2,8,\n"
    )
    return root


@pytest.fixture
def ecg_folder(tmp_path: Path) -> Path:
    """An archive of one's own: WFDB records, an array and a table of values, of several rates and lengths."""
    root = tmp_path / "own"
    write_record(root / "2024", "a1", signal_of(1, 1000), rate=100)
    write_record(root / "2024", "a2", signal_of(2, 5000), rate=500)
    np.save(root / "b1.npy", signal_of(3, 2000)[[0, 1, *range(6, 12)]])
    columns = ["I [uV]", "II [uV]", *(f"V{number} [uV]" for number in range(1, 7))]
    rows = [",".join(columns), *(",".join(map(str, row)) for row in signal_of(4, 2500)[[0, 1, *range(6, 12)]].T)]
    (root / "b2.csv").write_text("\n".join(rows) + "\n")
    (root / "records.csv").write_text(
        "file,patient_id,report,labels,age,sex,split,sampling_rate,units,lead_names\n"
        '2024/a1,p1,"Sinus rhythm. Left axis deviation.",LAD|SR,61.0,F,train,,,\n'
        "2024/a2,p1,Atrial fibrillation,AFIB,62,female,train,,,\n"
        "b1.npy,p2,Sinus rhythm,SR,,,validation,250,uV,I II V1 V2 V3 V4 V5 V6\n"
        "b2.csv,,,,45,m,test,250,,\n"
    )
    return root


@pytest.fixture
def archive_of(request, tmp_path: Path):
    """A small archive of any name that is known."""

    def archive_of(name: str) -> Path:
        root = tmp_path / f"small-{name}"
        record = {"signal": signal_of(1, 5000), "age": "85", "sex": "Male", "dx": "164889003"}
        if name in ("ptb_xl", "cpsc2018"):
            return request.getfixturevalue(name)
        if name == "folder":
            return request.getfixturevalue("ecg_folder")
        if name == "challenge":
            write_challenge_record(root / "training/georgia/g1", "E00001", **record)
            return root
        if name == "csn":
            return write_csn(root, {"JS00001": record, "JS00011": record})
        if name == "mimic_iv_ecg":
            return write_mimic(root, [(10000032, 40689238, ["Sinus rhythm"], {"rr_interval": 659})])
        if name == "code15":
            signal = np.full((12, 2800), 5, np.int16)
            exam = {"exam_id": 1, "patient_id": 2, "signal": signal, "trace_file": "exams_part0.hdf5", "AF": "True"}
            return write_code15(root, [exam])
        raise ValueError(name)

    return archive_of
