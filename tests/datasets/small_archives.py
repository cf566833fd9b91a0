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


def write_csn(root: Path, records: dict[str, dict]) -> Path:
    """Write the arrhythmia database of Chapman, Shaoxing and Ningbo: record -> `signal`, `age`, `sex`, `dx`, `head`."""
    conditions = "Acronym Name,Full Name,Snomed_CT\n1AVB,1 degree atrioventricular block,270492004\n"
    conditions += "MI,myocardial infarction,164865005\nMIFW,Myocardial infarction in the front wall,164865005\n"
    conditions += "SB,Sinus Bradycardia,426177001\nAFIB,Atrial Fibrillation,164889003\n"
    for name, record in records.items():
        number = int(name[2:])
        folder = root / "WFDBRecords" / f"{number // 1000 + 1:02d}" / f"{number // 100 % 10:02d}0"
        write_challenge_record(folder, name, record["signal"], **{key: record[key] for key in ("age", "sex", "dx")})
        if "head" in record:
            header = folder / f"{name}.hea"
            header.write_text(header.read_text().replace(f"{name} 12", record["head"], 1))
    (root / "ConditionNames_SNOMED-CT.csv").write_text(conditions)
    return root


MIMIC_REPORTS = [f"report_{number}" for number in range(18)]
MIMIC_MEASURED = "rr_interval p_onset p_end qrs_onset qrs_end t_end p_axis qrs_axis t_axis".split()
MIMIC_LEADS = ["I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6"]


def write_mimic(root: Path, records: list[tuple[int, int, list[str], dict[str, int]]]) -> Path:
    """Write MIMIC-IV-ECG: per record patient, study, sentences and measurements; 200 units per mV, aVF before aVL."""
    root.mkdir(parents=True, exist_ok=True)
    listed = [["subject_id", "study_id", "file_name", "ecg_time", "path"]]
    columns = [
        "subject_id",
        "study_id",
        "cart_id",
        "ecg_time",
        *MIMIC_REPORTS,
        "bandwidth",
        "filtering",
        *MIMIC_MEASURED,
    ]
    measured = [columns]
    for subject, study, sentences, values in records:
        path = f"files/p{str(subject)[:4]}/p{subject}/s{study}/{study}"
        listed.append([subject, study, study, "2180-07-23 08:44:00", path])
        reports = sentences + [""] * (18 - len(sentences))
        numbers = [values.get(name, 29999) for name in MIMIC_MEASURED]
        row = [subject, study, 6848296, "2180-07-23 08:44:00", *reports, "0.005-150 Hz", "60 Hz notch", *numbers]
        measured.append(row)
        units = signal_of(study, 5000) // 5
        order = [LEADS.index(lead.upper()) for lead in MIMIC_LEADS]
        gains = {"adc_gain": [200.0] * 12, "sig_name": MIMIC_LEADS}
        write_record((root / path).parent, str(study), units[order], rate=500, **gains)
    for name, rows in (("record_list.csv", listed), ("machine_measurements.csv", measured)):
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return root


CODE15_COLUMNS = (
    "exam_id age is_male nn_predicted_age 1dAVb RBBB LBBB SB ST AF patient_id death timey normal_ecg trace_file"
).split()


def write_code15(root: Path, records: list[dict]) -> Path:
    """Write CODE-15%: per record `exam_id`, `patient_id`, `signal` (12, samples) in µV, and columns of exams.csv."""
    import h5py

    root.mkdir(parents=True, exist_ok=True)
    by_part: dict[str, list[dict]] = {}
    with (root / "exams.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, CODE15_COLUMNS, restval="False")
        table.writeheader()
        for record in records:
            table.writerow({"age": 50, "is_male": "True", **{k: v for k, v in record.items() if k != "signal"}})
            by_part.setdefault(record["trace_file"], []).append(record)
    for name, own in by_part.items():
        tracings = np.zeros((len(own) + 1, 4096, 12), dtype=np.float32)  # a row of zeros ends each part
        for row, record in enumerate(own):
            samples = record["signal"].shape[1]
            start = (4096 - samples) // 2
            tracings[row, start : start + samples] = record["signal"].T / 100  # units of 1e-4 V
        with h5py.File(root / name, "w") as part:
            part["exam_id"] = np.array([*(record["exam_id"] for record in own), 0])
            part["tracings"] = tracings
    return root
