"""Errors name only arguments that the interface at hand has, in its words, and following them works."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import container_writers
import ecg_writers
import numpy as np
import pytest
from ecg_writers import saved, table
from reading_interfaces import CommandLine, Page, Python
from scipy.io import savemat

import modeling_etp
from etp.app.sources import FIELDS
from etp.cli import COMMANDS
from etp.cures import ARGUMENTS, as_flags, reworded
from etp.options import options_of
from modeling_etp.ecg_files_etp import STANDARD_LEADS

LEADS = [*STANDARD_LEADS]
UV = ecg_writers.make_microvolts()
MV = UV / 1000
FOLDER = Path(modeling_etp.__file__).parent
READERS = sorted(set(FOLDER.glob("ecg_*_etp.py")) - {FOLDER / "ecg_resnet_etp.py"})
EXTRACTOR = [FOLDER / "feature_extraction_etp.py", FOLDER / "ecg_checks_etp.py"]
ON_FILES = ("classify", "embed", "index", "search", "measure", "plot", "info")
ON_DATA_SETS = ("train", "finetune", "evaluate zero-shot", "check")


def texts_of_errors(path: Path) -> list[str]:
    """What a module raises outside of constructors, with what is put in left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constructors = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    inside = {id(node) for function in constructors for node in ast.walk(function)}
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and id(node) not in inside]
    made = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and "Error" in ast.unparse(node.func)]
    made = [node for node in made if id(node) not in inside]
    texts = []
    for node in [*filter(None, raised), *made]:
        for whole in ast.walk(node):
            if isinstance(whole, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in whole.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(whole, ast.Constant) and isinstance(whole.value, str):
                texts.append(whole.value)
    return texts


def options_named(command: str) -> set[str]:
    (found,) = (each[command] for each in COMMANDS.values() if command in each)
    module, _, name = found.arguments.partition(":")
    groups = getattr(__import__(module, fromlist=[name]), name)
    return set(options_of(groups if isinstance(groups, tuple) else (groups,)))


@pytest.mark.parametrize("path", [*READERS, *EXTRACTOR], ids=lambda path: path.stem)
def test_arguments_are_named_in_the_notation_that_interfaces_put_their_words_for(path):
    for text in texts_of_errors(path):
        assert not re.search(rf"(?<![`\w])(?:{'|'.join(ARGUMENTS)})=", text), text
        for name in re.findall(r"`([a-z_]+)=[^`]*`", text):
            assert name in ARGUMENTS, text
        assert not re.search(r"`…`", text), f"what a file calls something stands in quotes: {text}"


def test_the_walk_finds_arguments():
    texts = " ".join(text for path in [*READERS, *EXTRACTOR] for text in texts_of_errors(path))
    assert all(f"`{name}" in texts for name in {*ARGUMENTS} - {"on_error", "cache_dir"})


@pytest.mark.parametrize("path", [*READERS, *EXTRACTOR], ids=lambda path: path.stem)
def test_no_argument_of_python_is_named_on_a_command_line_or_on_the_page(path):
    options = {command: options_named(command) for command in ON_FILES}
    for text in texts_of_errors(path):
        for own in options.values():
            worded = as_flags(text, own)
            assert not re.search(rf"`(?:{'|'.join(ARGUMENTS)})\b", worded), worded
            assert set(re.findall(r"--(\w+)", worded)) <= own, worded
        about = re.match(r"`(\w+)` must be", text)
        if about and about[1] not in FIELDS:  # an argument that nobody can give there
            continue
        worded = reworded(text, dict.fromkeys(FIELDS, lambda value: "“…”"))
        assert not re.search(rf"`(?:{'|'.join(ARGUMENTS)})\b", worded), worded


@pytest.mark.parametrize("command", ON_DATA_SETS)
def test_what_is_no_ecg_names_only_options_of_commands_on_data_sets(command):
    own = options_named(command)
    assert "max_gap_seconds" in own
    assert "units" not in own
    for text in texts_of_errors(FOLDER / "ecg_checks_etp.py"):
        worded = as_flags(text, own)
        assert not re.search(rf"`(?:{'|'.join(ARGUMENTS)})\b", worded), worded


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("Pass `units=\"0.1 mV\"` for it.", {"units"}, "Pass --units '0.1 mV' for it."),
        ("Cut; to have it bridged, pass `max_gap_seconds=1.0` (now 0). More.", {"max_gap_seconds"}, "Cut; to have it bridged, pass --max_gap_seconds 1 (now 0). More."),
        ("Cut; to have it bridged, pass `max_gap_seconds=1.0` (now 0). More.", {"units"}, "Cut. More."),
        ("Get it; if known, read with `verify_checksum=False`.", {"verify_checksum"}, "Get it; if known, read with --verify_checksum false."),
        ("its 'units' is `units=x y`. Leave `units` out.", {"units"}, "its 'units' is `units=x y`. Leave --units out."),
    ],
)  # fmt: skip
def test_arguments_become_flags(text, options, expected):
    assert as_flags(text, options) == expected
    assert as_flags(expected, options) == expected


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
    "EDF in no unit": (lambda: container_writers.edf_by_hand([[UV[0]], [UV[1]]], labels=["I", "II"], units="LSB", seconds=2), {}),
    "EDF of other names": (lambda: container_writers.edf_by_hand([[UV[0]], [UV[1]]], labels=["a b", "c"], seconds=2), {}),
    "Polar": (lambda: b"timestamp [ms];ecg [uV]\n" + b"\n".join(b"%d;%d" % (k * 8, v) for k, v in enumerate(UV[0])), {}),
}  # fmt: skip


def whole_seconds(rows=12, rate=100) -> np.ndarray:
    """Ten seconds of waves of about 1 mV, which the feature extractor takes."""
    return np.sin(np.arange(10 * rate) / rate * 6 + np.arange(rows)[:, None])


def with_gap(samples: int) -> np.ndarray:
    ecg = whole_seconds()
    ecg[3, 100 : 100 + samples] = np.nan
    return ecg


def wfdb(checksum: int, *, names=("I", "II"), gain="1000") -> dict[str, bytes]:
    stored = np.round(whole_seconds(2) * 1000).astype("<i2")
    lines = [
        f"a.dat 16 {gain}/mV 16 0 {lead[0]} {(int(lead.sum()) + checksum) % 65536} 0 {name}"
        for lead, name in zip(stored, names, strict=True)
    ]
    return {"a.hea": "\n".join(["a 2 100 1000", *lines]).encode(), "a.dat": stored.T.tobytes()}  # fmt: skip


SCORED = {
    "fractional µV": (lambda: saved(np.save, whole_seconds() * 1000 + 0.5), {"sampling_rate": 100}),
    "fractional V": (lambda: saved(np.save, whole_seconds() / 1000), {"sampling_rate": 100}),
    "a gap of 50 ms": (lambda: saved(np.save, with_gap(5)), {"sampling_rate": 100}),
    "a gap of 290 ms": (lambda: saved(np.save, with_gap(29)), {"sampling_rate": 100}),
    "a wrong checksum": (lambda: wfdb(1), {}),
    "two leads of one name": (lambda: wfdb(0, names=("II", "II")), {}),
}  # fmt: skip
# What the page has no field for: there the file has to be mended.
NOT_ON_THE_PAGE = {"a gap of 50 ms", "a gap of 290 ms", "a wrong checksum"}
# No such value gets as far as the reader.
NOT_ON_A_COMMAND_LINE = {"npy, a rate that is none", "npy, names as text"}


@pytest.fixture(params=["Python", "command line", "page"])
def interface(request, capsys):
    return {"Python": Python, "command line": lambda: CommandLine(capsys), "page": Page}[request.param]()


@pytest.mark.parametrize("name", [*INPUTS, *SCORED])
def test_following_the_errors_leads_to_a_recording(name, interface, tmp_path):
    if name in NOT_ON_A_COMMAND_LINE and not isinstance(interface, Python):
        pytest.skip("a value that only Python can hold: neither a command line nor a page can pass it")
    make, arguments = (INPUTS | SCORED)[name]
    content = make()
    files = content if isinstance(content, dict) else {"ecg": content}
    for file, part in files.items():
        (tmp_path / file).write_bytes(part)
    read = lambda given: interface.error(tmp_path / next(iter(files)), given, scored=name in SCORED)  # noqa: E731
    if name in NOT_ON_THE_PAGE and isinstance(interface, Page):
        problem = read(arguments)
        assert interface.named(problem) == []
        assert "`" not in problem
    else:
        follow(interface, read, dict(arguments))


def follow(interface, read: Callable, arguments: dict) -> None:
    """Do what each error says, word by word, until the file is read."""
    problem = read(arguments)
    assert problem is not None
    for _ in range(5):
        named = interface.named(problem)
        assert {name for name, _ in named} <= interface.takes, problem
        changed = cured(problem, named, arguments)
        assert changed != arguments, f"{arguments}: {problem}"
        arguments, problem = changed, read(changed)
        if problem is None:
            return
    raise AssertionError(f"not read after five cures: {arguments}, {problem}")


def cured(problem: str, named: list, arguments: dict) -> dict:
    told = next(({name: value} for name, value in named if value is not None and arguments.get(name) != value), {})
    if "eave" in problem:
        left_out = {name for name, _ in named}
        return {name: value for name, value in arguments.items() if name not in left_out}
    if told:
        return arguments | told
    count = re.search(r"(?:for|its|has) (\d+) (?:columns|rows|channels)|the file has (\d+) channels", problem)
    if any(name == "lead_names" for name, _ in named) and count:
        return arguments | {"lead_names": LEADS[: int(next(filter(None, count.groups())))]}
    return arguments
