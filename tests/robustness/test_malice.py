"""Bombs, code in data, and calls that would let either through."""

import ast
import gzip
import io
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from etp.csv_files import write_csv
from etp.options import OptionError, parse_options
from modeling_etp.ecg_files_etp import EcgFileError, read_ecg

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for pattern in ("modeling_etp/*.py", "datasets_scripts/*.py", "etp/**/*.py", "metrics/**/*.py", "*.py")
    for path in ROOT.glob(pattern)
)
UNFOLDED = 240_000_000  # bytes; more than any reader takes


def npz_bomb() -> bytes:
    """A quarter of a gigabyte of zeros in 0.2 MB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|i1", "fortran_order": False, "shape": (12, UNFOLDED // 12)}
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("ecg.npy", "w") as member:
        member.write(header.getvalue())
        for _ in range(UNFOLDED // 12 * 12 // 1_000_000):
            member.write(bytes(1_000_000))
    return file.getvalue()


def lying_npz() -> bytes:
    """A zip whose directory says 100 bytes of what unfolds to 60 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ecg.npy", bytes(60_000_000))
    size = (60_000_000).to_bytes(4, "little")
    return file.getvalue().replace(size, (100).to_bytes(4, "little"))


def matlab_bomb() -> bytes:
    packed = zlib.compressobj()
    content = b"".join(packed.compress(bytes(10_000_000)) for _ in range(24)) + packed.flush()
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    return head + (15).to_bytes(4, "little") + len(content).to_bytes(4, "little") + content


def xml_bomb() -> bytes:
    entities = '<!ENTITY a0 "lol">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    return f"<?xml version='1.0'?><!DOCTYPE r [{entities}]><AnnotatedECG>&a9;</AnnotatedECG>".encode()


def quadratic_xml_bomb() -> bytes:
    return f"<!DOCTYPE r [<!ENTITY a '{'x' * 50_000}'>]><RestingECG>{'&a;' * 50_000}</RestingECG>".encode()


BOMBS = {
    "npz": npz_bomb,
    "npz with a lying directory": lying_npz,
    "MATLAB": matlab_bomb,
    "XML": xml_bomb,
    "XML, quadratic": quadratic_xml_bomb,
    "XML, a million tags": lambda: b"<AnnotatedECG>" + b"<a/>" * 1_000_000 + b"</AnnotatedECG>",
    "XML, 100,000 levels": lambda: b"<AnnotatedECG>" + b"<a>" * 100_000,
    "gzip": lambda: gzip.compress(bytes(UNFOLDED // 4)),
    "gzip of a table": lambda: gzip.compress(b"I,II\n" + b"1,2\n" * 2_000_000, 1),
    "zip in a zip": lambda: _zip_of("a.zip", _zip_of("ecg.npy", bytes(60_000_000))),
    "HDF5 (MATLAB 7.3)": lambda: b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(1000),
    "table of one row": lambda: b"1," * 10_000_000,
    "npy that lies": lambda: b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (12, 999999999999), }".ljust(117) + b"\n",
}  # fmt: skip


def _zip_of(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_soon_and_in_little_memory(bomb, tmp_path):
    content = BOMBS[bomb]()
    path = tmp_path / "record.dat"
    path.write_bytes(content)
    for source in (path, content, io.BytesIO(content)):
        tracemalloc.start()
        started = time.process_time()
        with pytest.raises(EcgFileError):
            read_ecg(source)
        seconds = time.process_time() - started
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert seconds < 10
        assert peak < len(content) * 3 + 400_000_000, f"{peak:,} bytes for {len(content):,}"


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [PATH]", "!!python/name:os.system", "!!python/object/new:os.mkdir [PATH]"])  # fmt: skip
def test_options_in_yaml_run_nothing(tag, tmp_path):
    from etp.training.arguments import GROUPS

    (tmp_path / "options.yaml").write_text(f"seed: {tag.replace('PATH', str(tmp_path / 'made'))}\n")
    with pytest.raises(OptionError, match=r"options\.yaml"):
        parse_options(GROUPS, [str(tmp_path / "options.yaml")], description="")
    assert not (tmp_path / "made").exists()


# Name of a call -> keyword that makes it safe, and the value that it must have.
SAFE_ONLY_WITH = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
NEVER = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads", "yaml.load", "yaml.full_load",
    "yaml.unsafe_load", "shelve.open", "joblib.load", "tempfile.mktemp", "zipfile.extractall", "tarfile.open",
    "xml.etree.ElementTree.parse", "ElementTree.fromstring", "csv.writer", "csv.DictWriter", "to_csv", "to_excel",
}  # fmt: skip
# Tables of the synthetic archive, whose words are this package's own.
EXCEPT = {("synthetic.py", "csv.DictWriter"), ("csv_files.py", "csv.writer")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_code_calls_nothing_that_runs_or_trusts_what_it_reads(path):
    assert list(dangerous_calls(path)) == []


def test_a_name_becomes_no_formula_of_a_spreadsheet(tmp_path):
    write_csv(tmp_path / "a.csv", ("name", "value"), [["=cmd|' /C calc'!A0", "-0.5000"], ["@a", 1], ["normal", "+x"]])
    assert (tmp_path / "a.csv").read_text() == "name,value\n'=cmd|' /C calc'!A0,-0.5000\n'@a,1\nnormal,'+x\n"


def dangerous_calls(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        last = name.rpartition(".")[2]
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        where = f"{path.name}:{node.lineno}: {name}"
        known = next((call for call in SAFE_ONLY_WITH if name == call), None)
        if known and keywords.get(SAFE_ONLY_WITH[known][0]) != str(SAFE_ONLY_WITH[known][1]):
            yield f"{where} without {SAFE_ONLY_WITH[known]}"
        if (name in NEVER or last in ("to_csv", "to_excel", "extractall")) and (path.name, name) not in EXCEPT:
            yield where
        if keywords.get("shell") == "True" or keywords.get("trust_remote_code") == "True":
            yield f"{where} with {keywords}"


def test_the_search_for_dangerous_calls_finds_them(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(
        "torch.load(p)\ntorch.load(p, weights_only=True)\neval(x)\ndf.to_csv(p)\nyaml.load(t)\nyaml.safe_load(t)\n"
        "subprocess.run(c, shell=True)\nAutoModel.from_pretrained(m, trust_remote_code=True)\nnp.load(p)\n"
    )
    assert [found.split(" ")[0] for found in dangerous_calls(path)] == [f"bad.py:{line}:" for line in (1, 3, 4, 5, 7, 8, 9)]  # fmt: skip
