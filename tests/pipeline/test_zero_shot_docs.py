"""Every example of docs/zero-shot.md, run in order on a tiny checkpoint."""

import re
from pathlib import Path

import numpy as np

from modeling_etp.leads_etp import STANDARD_LEADS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "zero-shot.md"


def write_record(path: Path, ecg: np.ndarray) -> None:
    """Write mV `(12, samples)` at 100 Hz as a plain WFDB record of 16-bit microvolts."""
    microvolts = np.round(ecg * 1000).astype("<i2").T
    path.parent.mkdir(parents=True)
    path.with_suffix(".dat").write_bytes(microvolts.tobytes())
    header = [f"{path.name} 12 100 {len(microvolts)}"]
    for lead, samples in zip(STANDARD_LEADS, microvolts.T, strict=True):
        checksum = int(samples.astype(np.int64).sum()) & 0xFFFF
        header.append(f"{path.name}.dat 16 1000.0(0)/mV 16 0 {samples[0]} {checksum} 0 {lead}")
    path.with_suffix(".hea").write_text("\n".join(header) + "\n")


def test_every_example_runs(classifier, make_ecg, tmp_path, monkeypatch, capsys):
    classifier.save_pretrained(tmp_path / "build" / "etp-ptb-xl")
    write_record(tmp_path / "records100" / "00000" / "00001_lr", make_ecg())
    np.save(tmp_path / "ecg.npy", make_ecg(rate=500))
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(examples) >= 5
    names: dict = {}
    for example in examples:
        exec(compile(example, str(DOCUMENT), "exec"), names)
    printed = capsys.readouterr().out
    assert "cpsc2018" in printed
    assert "(20.0, 30.0, " in printed
