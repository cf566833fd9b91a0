"""Small archives in the publishers' layouts."""

import csv
from pathlib import Path

import numpy as np
import wfdb
from scipy.io import savemat

LEADS = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]

PTB_XL_COLUMNS = "ecg_id patient_id age sex recording_date report scp_codes strat_fold filename_lr filename_hr".split()
# ecg_id, patient_id, age, sex, report, scp_codes, strat_fold
PTB_XL_RECORDS = [
    (
        1,
        "15709.0",
        "56.0",
        "1",
        "sinusrhythmus periphere niederspannung",
        "{'NORM': 100.0, 'LVOLT': 0.0, 'SR': 0.0}",
        3,
    ),
    (2, "13243.0", "300.0", "0", "sinus rhythm. normal ecg.", "{'NORM': 80.0, 'SR': 0.0}", 1),
    (17, "13619.0", "", "0", "sinusrhythmus", "{'IMI': 35.0, 'ISCAL': 0.0, 'ABQRS': 0.0}", 8),
    (21, "17014.0", "24.0", "1", "vorhofflimmern", "{'AFIB': 0.0}", 9),
    (1001, "17014.0", "24.0", "1", "sinusrhythmus", "{'LAFB': 100.0, 'IRBBB': 100.0, 'SR': 0.0}", 9),
    (1002, "9.0", "19.0", "1", "sinusrhythmus", "{'NDT': 100.0, 'SR': 0.0}", 10),
]


def write_record(folder: Path, name: str, signal: np.ndarray, *, rate: int, **options) -> None:
    """Write int16 units of shape `(12, samples)` with the publisher's own tool."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"fmt": ["16"] * 12, "adc_gain": [1000.0] * 12, "baseline": [0] * 12, "sig_name": LEADS} | options
    wfdb.wrsamp(
        name,
        fs=rate,
        units=["mV"] * 12,
        d_signal=np.ascontiguousarray(signal.T),
        write_dir=str(folder),
        **settings,
    )


def signal_of(seed: int, samples: int) -> np.ndarray:
    """Int16 µV of shape `(12, samples)`, different for every seed."""
    walk = np.random.default_rng(seed).integers(-20, 21, (12, samples)).cumsum(axis=1)
    return np.clip(walk, -5000, 5000).astype(np.int16)


def write_ptb_xl(root: Path, *, rates=(100,), records=PTB_XL_RECORDS) -> Path:
    """Write an archive of a few records in PTB-XL's layout."""
    root.mkdir(parents=True)
    with (root / "ptbxl_database.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(PTB_XL_COLUMNS)
        for ecg_id, patient, age, sex, report, codes, fold in records:
            stem = f"{ecg_id // 1000 * 1000:05d}/{ecg_id:05d}"
            names = [f"records100/{stem}_lr", f"records500/{stem}_hr"]
            table.writerow([ecg_id, patient, age, sex, "1984-11-09 09:17:34", report, codes, fold, *names])
            for rate in rates:
                path = root / names[rate == 500]
                write_record(path.parent, path.name, signal_of(ecg_id, 10 * rate), rate=rate)
    with (root / "scp_statements.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["", "description", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"])
        table.writerow(["NORM", "normal ECG", "1.0", "", "", "NORM", "NORM"])
        table.writerow(["NDT", "non-diagnostic T abnormalities", "1.0", "1.0", "", "STTC", "STTC"])
        table.writerow(["SR", "sinus rhythm", "", "", "1.0", "", ""])
    return root


def write_challenge_record(folder: Path, name: str, signal: np.ndarray, *, age: str, sex: str, dx: str) -> None:
    """Write a record in the form of the Challenge 2020, header by hand as published."""
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / f"{name}.mat", {"val": signal}, format="4")
    lines = [f"{name} 12 500 {signal.shape[1]} 12-May-2020 12:33:59"]
    for lead, samples in zip(LEADS, signal, strict=True):
        spelled = "a" + lead[1:] if lead.startswith("A") else lead
        checksum = int(samples.sum(dtype=np.int16))
        lines.append(f"{name}.mat 16+24 1000/mV 16 0 {samples[0]} {checksum} 0 {spelled}")
    lines += [f"#Age: {age}", f"#Sex: {sex}", f"#Dx: {dx}", "#Rx: Unknown", "#Hx: Unknown", "#Sx: Unknown"]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")


def write_original_record(folder: Path, name: str, signal: np.ndarray, *, age: int, sex: str) -> None:
    """Write a record in the form of CPSC2018."""
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / f"{name}.mat", {"ECG": {"sex": sex, "age": age, "data": signal / 1000}})
