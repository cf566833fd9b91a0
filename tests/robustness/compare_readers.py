"""Read simulated files, and real ones if a folder is given, with `read_ecg` and with another reader of the format; count values and the largest difference.

PYTHONPATH=.:tests python tests/robustness/compare_readers.py 100 [FOLDER_OF_WFDB_RECORDS …]
"""

import io
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import edfio
import numpy as np
import pydicom
import pyedflib
import wfdb
from container_writers import dicom_group, dicom_object
from ecg_writers import aecg_xml, edf_bytes, muse_xml
from ecgdatakit.parsing.parsers.ge_muse_xml import GEMuseXMLParser
from ecgdatakit.parsing.parsers.hl7_aecg import HL7aECGParser

from modeling_etp.ecg_files_etp import STANDARD_LEADS, read_ecg

Pair = tuple[np.ndarray, np.ndarray]  # what both readers make of one file, mV


def main(count: int, folders: list[str]) -> dict[str, dict[str, float]]:
    warnings.simplefilter("ignore")
    kinds: dict[str, Callable[[int], Pair]] = {
        "WFDB 212, 24, 32, 80, 516 of wfdb, by hand": _wfdb_formats,
        "EDF of edfio, by pyedflib": lambda seed: _edf(seed, bdf=False),
        "BDF of edfio, by pyedflib": lambda seed: _edf(seed, bdf=True),
        "EDF+ and BDF+ of pyedflib, by edfio": _pyedflib,
        "DICOM of two groups, by pydicom": _dicom,
        "aECG, by ecgdatakit": lambda seed: _xml(seed, aecg_xml, HL7aECGParser, ".xml"),
        "MUSE, by ecgdatakit": lambda seed: _xml(seed, muse_xml, GEMuseXMLParser, ".xml"),
    }
    table = {kind: _compare(make(seed) for seed in range(count)) for kind, make in kinds.items()}
    for folder in folders:
        table[f"WFDB of {Path(folder).name}, by wfdb"] = _compare(_real(Path(folder), count))
    return table


def _compare(pairs: Iterator[Pair]) -> dict[str, float]:
    files, values, largest = 0, 0, 0.0
    for ours, theirs in pairs:
        if ours.shape != theirs.shape or not np.array_equal(np.isnan(ours), np.isnan(theirs)):
            raise AssertionError(f"shapes {ours.shape} and {theirs.shape}, or other samples missing")
        files, values = files + 1, values + ours.size
        largest = max(largest, float(np.nanmax(np.abs(ours - theirs))))
    return {"files": files, "values": values, "largest difference, µV": round(1000 * largest, 4)}


def _microvolts(seed: int, samples: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(0, 40, (12, samples)), axis=1).round().astype(np.int16)


def _wfdb_formats(seed: int) -> Pair:
    fmt = ("212", "24", "32", "80", "516")[seed % 5]
    rng = np.random.default_rng(seed)
    limit = {"212": 2047, "80": 127}.get(fmt, 32767)
    stored = np.clip(_microvolts(seed) // 4, -limit, limit).astype(int)
    gain, baseline = float(rng.uniform(50, 1000)), int(rng.integers(-50, 50))
    with tempfile.TemporaryDirectory() as folder:
        wfdb.wrsamp(
            "r", fs=500, units=["mV"] * 12, sig_name=list(STANDARD_LEADS), d_signal=stored.T, fmt=[fmt] * 12,
            adc_gain=[gain] * 12, baseline=[baseline] * 12, write_dir=folder,
        )  # fmt: skip
        return read_ecg(Path(folder) / "r").signal, (stored - baseline) / gain


def _edf(seed: int, *, bdf: bool) -> Pair:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("r.bdf" if bdf else "r.edf")
        path.write_bytes(edf_bytes(_microvolts(seed) / 1000, bdf=bdf))
        with pyedflib.EdfReader(str(path)) as reader:
            theirs = np.array([reader.readSignal(row) for row in range(reader.signals_in_file)]) / 1000
        return read_ecg(path).signal, theirs


def _pyedflib(seed: int) -> Pair:
    millivolts = _microvolts(seed) / 1000
    kind = (pyedflib.FILETYPE_EDFPLUS, pyedflib.FILETYPE_BDFPLUS)[seed % 2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r"
        with pyedflib.EdfWriter(str(path), 12, file_type=kind) as writer:
            writer.setSignalHeaders(
                [
                    {
                        "label": f"ECG {name}", "dimension": "mV", "sample_frequency": 100, "physical_min": -20 - row, "physical_max": 20,
                        "digital_min": -32768, "digital_max": 32767, "transducer": "", "prefilter": "",
                    }
                    for row, name in enumerate(STANDARD_LEADS)
                ]
            )  # fmt: skip
            writer.writeSamples(list(millivolts))
        read = edfio.read_bdf if seed % 2 else edfio.read_edf
        return read_ecg(path).signal, np.array([signal.data for signal in read(path).signals])


def _dicom(seed: int) -> Pair:
    stored = _microvolts(seed)
    rng = np.random.default_rng(seed)
    channel = {
        name: {"ChannelSensitivity": f"{rng.uniform(0.5, 5):.4g}", "ChannelBaseline": f"{rng.uniform(-90, 90):.4g}"}
        for name in STANDARD_LEADS
    }
    content = dicom_object(
        *(dicom_group(stored[rows], STANDARD_LEADS[rows], channel=channel) for rows in (slice(0, 6), slice(6, 12)))
    )
    dataset = pydicom.dcmread(io.BytesIO(content))
    theirs = np.concatenate([dataset.waveform_array(number).T for number in range(2)]) / 1000
    return read_ecg(content).signal, theirs


def _xml(seed: int, write: Callable[..., str], parser: type, suffix: str) -> Pair:
    content = write(_microvolts(seed)).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"r{suffix}"
        path.write_bytes(content)
        record = parser().parse(path)
    recording = read_ecg(content)
    theirs = {lead.label: _physical(lead) for lead in record.leads}
    shared = [name for name in recording.lead_names if name in theirs]
    ours = np.array([recording.signal[recording.lead_names.index(name)] for name in shared])
    return ours, np.array([theirs[name] for name in shared])


def _physical(lead) -> np.ndarray:
    """mV of a lead of `ecgdatakit`, which keeps stored numbers and says what one is worth."""
    unit = {"uv": 1e-3, "mv": 1.0, "nv": 1e-6, "v": 1e3}[
        (lead.resolution_unit or lead.units).lower().replace("µ", "u")
    ]
    return (lead.samples * lead.resolution + (lead.offset or 0.0)) * unit if lead.is_raw else lead.samples * unit


def _real(folder: Path, count: int) -> Iterator[Pair]:
    headers = sorted(folder.rglob("*.hea"))
    for header in headers[:: max(len(headers) // count, 1)][:count]:
        theirs = wfdb.rdrecord(str(header.with_suffix(""))).p_signal.T
        yield read_ecg(header).signal, theirs.astype(np.float32)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2:]), indent=1, ensure_ascii=False))
