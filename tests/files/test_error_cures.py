"""Errors name only arguments that there are, and following them works."""

import ast
import inspect
import re
from pathlib import Path

import ecg_writers
import numpy as np
import pytest
from ecg_writers import saved, table
from scipy.io import savemat

from modeling_etp.ecg_files_etp import STANDARD_LEADS, EcgFileError, EcgRecording, read_ecg
from modeling_etp.ecg_inputs_etp import open_ecg

LEADS = [*STANDARD_LEADS]
UV = ecg_writers.make_microvolts()
MV = UV / 1000
READERS = sorted(Path(inspect.getfile(read_ecg)).parent.glob("*.py"))
ARGUMENTS = {"sampling_rate", "lead_names", "units", "verify_checksum"}
# Of the model's side, or of functions that people write about.
_OTHER_INTERFACES = ("feature_extraction_etp", "ecg_checks_etp", "configuration_etp", "modeling_etp", "zero_shot_etp", "pipeline_etp", "pipeline_base_etp", "classification_pipeline_etp", "processing_etp", "loss_etp", "two_towers_etp", "text_tower_etp", "ecg_windows_etp")  # fmt: skip


def raised_texts(path: Path) -> list[str]:
    """All text of the calls that make errors, with what is put in left out."""
    texts = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and "Error" in ast.unparse(node.func) + ast.unparse(node)[:40]:
            parts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            texts.append(" ".join(part for part in parts if isinstance(part, str)))
    return texts


@pytest.mark.parametrize(
    "path", [path for path in READERS if path.stem not in _OTHER_INTERFACES], ids=lambda path: path.stem
)
def test_every_argument_that_an_error_names_is_one_of_every_interface(path):
    accepted = set(inspect.signature(read_ecg).parameters) & set(inspect.signature(open_ecg).parameters)
    assert accepted == ARGUMENTS
    for text in raised_texts(path):
        named = set(re.findall(r"(?<![\w.(,] )(?<![\w.(])`?(\w+)=(?=[\"\d\[])", text)) - {"dtype"}
        assert named <= accepted, text


def test_the_walk_finds_arguments():
    found = {
        name for path in READERS for text in raised_texts(path) for name in re.findall(r"`?(\w+)=(?=[\"\d\[])", text)
    }
    assert {"sampling_rate", "units"} <= found


def text_of(rows, header=None, **_) -> bytes:
    return table(rows, header=header)


def whole(rows, header=None) -> bytes:
    lines = [",".join(header)] if header else []
    return "\n".join([*lines, *(",".join(f"{value:.0f}" for value in row) for row in rows)]).encode()


SECONDS = np.arange(200)[:, None] / 100
INPUTS = {
    "npy without a rate": (lambda: saved(np.save, MV), {}),
    "npy in whole numbers": (lambda: saved(np.save, UV), {}),
    "npy in whole doubles": (lambda: saved(np.save, UV.astype(float)), {"sampling_rate": 500}),
    "npy of three rows": (lambda: saved(np.save, MV[:3]), {}),
    "npy of fourteen rows": (lambda: saved(np.save, np.concatenate([MV, MV[:2]])), {"lead_names": [*LEADS, "x1", "x2"]}),
    "npy of one row": (lambda: saved(np.save, MV[0]), {"sampling_rate": 500}),
    "npy, names as text": (lambda: saved(np.save, MV[:2]), {"lead_names": "I, II", "sampling_rate": 100}),
    "npy, a rate that is none": (lambda: saved(np.save, MV), {"sampling_rate": "fast"}),
    "npy, a unit that is none": (lambda: saved(np.save, MV), {"units": "furlong", "sampling_rate": 100}),
    "npy, too many names": (lambda: saved(np.save, MV), {"lead_names": LEADS[:3], "sampling_rate": 100}),
    "npz, names that are none": (lambda: saved(np.savez, ecg=MV[:2], fs=100, leads=["a", "b"]), {}),
    "npz, names for other rows": (lambda: saved(np.savez, ecg=MV[:2], fs=100, leads=LEADS), {}),
    "npz, a rate that none has": (lambda: saved(np.savez, ecg=MV, fs=0.5), {}),
    "npz, an interval that none has": (lambda: saved(np.savez, ecg=MV, dt=50), {}),
    "npz, times that stand still": (lambda: saved(np.savez, ecg=MV, time=np.zeros(200)), {}),
    "npz, another rate": (lambda: saved(np.savez, ecg=MV, fs=100), {"sampling_rate": 250}),
    "npz, another unit": (lambda: saved(np.savez, ecg=MV, fs=100, units="mV"), {"units": "uV"}),
    "npz, other names": (lambda: saved(np.savez, ecg=MV, fs=100, leads=LEADS), {"lead_names": LEADS[::-1]}),
    "npz, a gain": (lambda: saved(np.savez, ecg=MV, fs=100, gain=200), {}),
    "npz in counts of no size": (lambda: saved(np.savez, ecg=UV, fs=100, units="adu"), {}),
    "MATLAB of a challenge": (lambda: saved(savemat, {"val": UV}, format="4"), {}),
    "CPSC2018 with a rate": (lambda: saved(savemat, {"ECG": {"data": MV}}), {"sampling_rate": 250}),
    "CPSC2018 with a unit": (lambda: saved(savemat, {"ECG": {"data": MV}}), {"units": "uV"}),
    "table without a rate": (lambda: text_of(MV.T, LEADS), {}),
    "table without anything": (lambda: whole(UV.T[:, :3]), {}),
    "table in counts": (lambda: whole(UV.T, [f"{name} [adu]" for name in LEADS]), {"sampling_rate": 100}),
    "table of other names": (lambda: text_of(MV.T[:, :2], ["left", "right"]), {"sampling_rate": 100}),
    "table with a time that stands still": (lambda: text_of(np.column_stack([0 * SECONDS, MV.T]), ["time", *LEADS]), {}),
    "table with a time in days": (lambda: text_of(np.column_stack([SECONDS, MV.T]), ["time [d]", *LEADS]), {}),
    "table with a slow time": (lambda: text_of(np.column_stack([SECONDS * 5000, MV.T]), ["time", *LEADS]), {}),
    "table with a time in s or min": (lambda: text_of(np.column_stack([SECONDS / 60, MV.T]).round(9), ["time", *LEADS]), {}),
    "table with another rate": (lambda: text_of(np.column_stack([SECONDS, MV.T]), ["time", *LEADS]), {"sampling_rate": 500}),
    "table with another unit": (lambda: text_of(MV.T, [f"{name} [mV]" for name in LEADS]), {"units": "uV", "sampling_rate": 100}),
    "table with other names": (lambda: text_of(MV.T, LEADS), {"lead_names": LEADS[::-1], "sampling_rate": 100}),
    "rdsamp": (lambda: whole(np.column_stack([np.arange(200), UV.T[:, :2]])), {}),
    "rdsamp with too many names": (lambda: whole(np.column_stack([np.arange(200), UV.T[:, :2]])), {"lead_names": LEADS}),
    "Polar": (lambda: b"timestamp [ms];ecg [uV]\n" + b"\n".join(b"%d;%d" % (k * 8, v) for k, v in enumerate(UV[0])), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_following_the_errors_leads_to_a_recording(name):
    make, arguments = INPUTS[name]
    content = make()
    with pytest.raises(EcgFileError):
        read_ecg(content, **arguments)
    recording = follow(content, dict(arguments))
    assert len(recording.signal)


def follow(content: bytes, arguments: dict) -> EcgRecording:
    """Do what each error says, word by word, until the file is read."""
    problem = ""
    for _ in range(5):
        try:
            return read_ecg(content, **arguments)
        except EcgFileError as error:
            problem = error.problem
        changed = cured(problem, arguments)
        assert changed != arguments, f"{arguments}: {problem}"
        arguments = changed
    raise AssertionError(f"not read after five cures: {arguments}, {problem}")


def cured(problem: str, arguments: dict) -> dict:
    told = dict(re.findall(r"(sampling_rate|units)=(\"[^\"]+\"|\d+)", problem)[:1])
    told = {name: ast.literal_eval(value) for name, value in told.items()}
    if "eave" in problem and not told:
        left_out = [name for name in arguments if f"`{name}`" in problem] or list(arguments)
        return {name: value for name, value in arguments.items() if name not in left_out}
    if any(arguments.get(argument) != value for argument, value in told.items()):
        return arguments | told
    if "lead_names" in problem:
        example = re.search(r"(?:e\.g\. |lead_names=)(\[.*?\])", problem)
        count = re.search(r"(?:for|its|has) (\d+) (?:columns|rows|channels)|the file has (\d+) channels", problem)
        if example:
            return arguments | {"lead_names": ast.literal_eval(example[1])}
        return arguments | {"lead_names": LEADS[: int(next(filter(None, count.groups())))]} if count else arguments
    return arguments
