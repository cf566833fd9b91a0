"""`make demo` does the whole job on synthetic records."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_learns_from_reports_and_leaves_model_results_and_pictures(tmp_path):
    done = subprocess.run(
        [sys.executable, "examples/demo.py", "--output_dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    tasks = json.loads((tmp_path / "results.json").read_text())["tasks"]
    for task in ("superclass", "form", "rhythm"):
        assert tasks[task]["macro_auroc"] > 0.88, task
        assert f"fold 10, {task}: {100 * tasks[task]['macro_auroc']:.1f}" in done.stdout
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert len(list(tmp_path.glob("ecg-*.png"))) == len(list(tmp_path.glob("attribution-*.png"))) == 1


def test_a_folder_without_ptb_xl_is_refused_at_once(tmp_path):
    command = [sys.executable, "examples/demo.py", "--data_dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"--data_dir: no ptbxl_database.csv in {tmp_path}" in done.stderr


def test_a_step_that_fails_stops_the_demo(capfd):
    demo = runpy.run_path(str(ROOT / "examples" / "demo.py"))
    with pytest.raises(SystemExit, match="this command failed with status 3"):
        demo["run"]("-c", "import sys; print('the reason', file=sys.stderr); sys.exit(3)")
    assert "the reason" in capfd.readouterr().err
