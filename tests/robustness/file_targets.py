"""Fuzzing targets for every file reader: valid files, what is done to them, and what must hold of an answer."""

import binascii
import random
import struct
from pathlib import Path
from typing import Any

import ecg_writers
import numpy as np
import pydicom
import wfdb
from container_writers import dicom_group, dicom_object, edf_by_hand
from ecg_writers import dicom_bytes, edf_bytes, saved, scp_bytes, table
from fuzzing import Target, mutate
from pydicom.data import get_testdata_file
from scipy.io import savemat

from modeling_etp.ecg_files_etp import STANDARD_LEADS, EcgFileError, EcgRecording, read_ecg

_UV = ecg_writers.make_microvolts()
_MV = (_UV / 1000).astype(np.float32)
_STATED = {"sampling_rate": 100, "units": "mV"}


def bytes_target(kind: str, folder: Path) -> Target:
    """One format that is read from a single file; `folder` is where temporary files go."""
    corpus = _CORPORA[kind]()

    def make(rng: random.Random) -> tuple[bytes, dict]:
        content = mutate(rng.choice(corpus), rng)
        if kind == "scp" and rng.random() < 0.7 and len(content) > 6:  # else the checksum refuses nearly all
            content = struct.pack("<H", binascii.crc_hqx(content[2:], 0xFFFF)) + content[2:]
        asks = kind in ("npy", "npz", "matlab", "table") and rng.random() < 0.8
        return content, _STATED if asks else {}

    def run(value: tuple[bytes, dict]) -> EcgRecording:
        return read_ecg(value[0], **value[1])

    # ecgdatakit takes only paths, so SCP-ECG, and what looks like it once it is damaged, goes through a temporary file.
    return Target(make, run, check_recording, (EcgFileError,), folder, writes=True)


def wfdb_target(folder: Path) -> Target:
    """WFDB records of all storage formats, of several segments, and with their signal file damaged too."""
    corpus = WfdbCorpus(folder)

    def make(rng: random.Random) -> tuple[Path, bool]:
        header, signal = corpus.make(rng)
        return corpus.write(header, signal), rng.random() < 0.3

    def run(value: tuple[Path, bool]) -> EcgRecording:
        return read_ecg(value[0], verify_checksum=value[1])

    return Target(make, run, check_recording, (EcgFileError,), folder)


class WfdbCorpus:
    """Valid headers and signal files of a record called `record`, and the segments they refer to.

    Args:
        folder: Receives the record, input by input.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        lines = [f"record.dat 16 1000(0)/mV 16 0 {lead[0]} {int(lead.sum()) % 65536} 0 {name}" for lead, name in zip(_UV, STANDARD_LEADS, strict=True)]  # fmt: skip
        plain = "\n".join(["record 12 100 200", *lines, "#Age: 74", "#Sex: Male"]) + "\n"
        self.headers = [plain, *(plain.replace("dat 16", f"dat {kind}") for kind in _FORMATS)]
        self.signals = [_UV.T.astype("<i2").tobytes()]
        self._add_flac()
        self._add_segments()

    def make(self, rng: random.Random) -> tuple[bytes, bytes]:
        """A header and the content of its signal file."""
        header = mutate(rng.choice(self.headers).encode(), rng)
        signal = rng.choice(self.signals)
        return header, mutate(signal, rng) if rng.random() < 0.3 else signal

    def write(self, header: bytes, signal: bytes) -> Path:
        (self.folder / "record.dat").write_bytes(signal)
        path = self.folder / "record.hea"
        path.write_bytes(header)
        return path

    def _add_flac(self) -> None:
        samples = (_UV[:2] // 20).T.astype(int)
        wfdb.wrsamp(
            "flac", fs=100, units=["mV"] * 2, sig_name=["I", "II"], d_signal=samples, fmt=["508"] * 2,
            adc_gain=[50.0] * 2, baseline=[0, 0], write_dir=str(self.folder),
        )  # fmt: skip
        self.headers.append((self.folder / "flac.hea").read_text().replace("flac", "record"))
        self.signals.append((self.folder / "flac.dat").read_bytes())

    def _add_segments(self) -> None:
        for name in "ab":
            (self.folder / f"{name}.dat").write_bytes(_UV[:2].T.astype("<i2").tobytes())
            lines = [f"{name}.dat 16 1000 16 0 0 {int(_UV[k].sum()) % 65536} 0 {STANDARD_LEADS[k]}" for k in (0, 1)]
            (self.folder / f"{name}.hea").write_text("\n".join([f"{name} 2 100 200", *lines]) + "\n")
        layout = ["layout 3 100 0", *(f"~ 0 200 16 0 0 0 0 {lead}" for lead in ("I", "II", "V1"))]
        (self.folder / "layout.hea").write_text("\n".join(layout) + "\n")
        self.headers += ["record/2 2 100 400\na 200\nb 200\n", "record/3 2 100 450\na 200\n~ 50\nb 200\n"]
        self.headers.append("record/3 3 100 400\nlayout 0\na 200\nb 200\n")


def check_recording(value: Any, recording: EcgRecording) -> None:
    """An answer is a signal in mV with a name for each lead; NaN stands for no sample, and nothing else isn't finite."""
    signal = recording.signal
    assert signal.dtype == np.float32
    assert signal.ndim == 2
    assert signal.size
    assert not np.isinf(signal).any()
    assert len(recording.lead_names) == len(set(recording.lead_names)) == len(signal)
    assert 0 < recording.sampling_rate < float("inf")


_STAMPS = ["+0", "+0.5", "+3", "+3.5"]
_FORMATS = ("212", "24", "508", "80", "8", "310", "311", "160", "32", "524")


def _tables() -> list[bytes]:
    time = np.arange(30) / 100
    elapsed = [f"'0:{k / 100:06.3f}',{_UV[1, k]},{_UV[10, k]}" for k in range(30)]
    return [
        table(np.column_stack([time, _MV.T[:30]]), ",", ["time", *STANDARD_LEADS]),
        table(_MV.T[:30], ";", decimal=","),
        "\n".join(["'Elapsed time','MLII','V5'", "'hh:mm:ss.mmm','uV','uV'", *elapsed]).encode(),
    ]


def _matlab() -> list[bytes]:
    return [
        saved(savemat, {"val": _UV}, format="4"),
        saved(savemat, {"ECG": {"sex": "Male", "age": 50, "data": _MV}}),
        saved(savemat, {"ecg": _MV, "fs": 100.0, "leads": np.array(STANDARD_LEADS, object)}, do_compression=True),
    ]


def _dicom() -> list[bytes]:
    def shorten(dataset: pydicom.Dataset) -> None:
        group = dataset.WaveformSequence[0]
        group.NumberOfWaveformSamples = 50
        group.WaveformData = group.WaveformData[: 50 * 24]
        dataset.WaveformSequence = [group]

    skewed = {"II": {"ChannelSampleSkew": "3", "ChannelBaseline": "5"}}
    groups = [
        dicom_group(_UV[:2, :60], ["I", "II"], rate=100, channel=skewed, MultiplexGroupTimeOffset="200"),
        dicom_group(_UV[6:8, :30], ["V1", "V2"], rate=50, WaveformPaddingValue=0),
    ]
    return [dicom_bytes(pydicom.dcmread(get_testdata_file("waveform_ecg.dcm")), shorten), dicom_object(*groups)]


_CORPORA = {
    "npy": lambda: [saved(np.save, _MV), saved(np.save, _UV)],
    "npz": lambda: [
        saved(np.savez, ecg=_MV, fs=100),
        saved(np.savez_compressed, ecg=_MV, fs=100, leads=list(STANDARD_LEADS), units="mV"),
    ],
    "matlab": _matlab,
    "table": _tables,
    "edf": lambda: [
        edf_bytes(_MV),
        edf_bytes(_MV, bdf=True),
        edf_bytes(_MV[:3], names=["ECG II", "Resp", "ECG V5"], rates={"Resp": 10}),
        *(
            edf_by_hand(
                [np.split(lead, 4) for lead in _UV[:2]], labels=["I", "II"], kind=kind, onsets=_STAMPS, seconds=0.5
            )
            for kind in ("EDF+D", "BDF+D")
        ),
    ],
    "scp": lambda: [scp_bytes(_UV), scp_bytes(_UV, rows=(0, 1, *range(6, 12)), codes=range(1, 9))],
    "xml": lambda: [ecg_writers.muse_xml(_UV).encode(), ecg_writers.aecg_xml(_UV).encode()],
    "dicom": _dicom,
}
FILE_KINDS = tuple(_CORPORA)
