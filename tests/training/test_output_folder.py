"""One run at a time owns its folder, and deletes there only what it wrote."""

import os
import signal
import subprocess
import sys

import pytest

from etp.options import OptionError
from etp.output_lock import folder_lock
from etp.training.preflight import clear_output


def test_a_second_run_in_the_folder_is_refused_while_the_first_trains(run, tmp_path):
    with folder_lock(tmp_path), pytest.raises(OptionError, match=rf"--output_dir {tmp_path}: another run is training"):
        run(tmp_path, "--overwrite")
    assert os.listdir(tmp_path) == []
    assert run(tmp_path, "--max_steps", "1") == 0
    assert ".run.lock" not in os.listdir(tmp_path)


def test_the_lock_of_a_killed_process_is_in_nobodys_way(tmp_path):
    holding = "import sys, time; from pathlib import Path; from etp.output_lock import folder_lock\n"
    holding += "with folder_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", holding, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(OptionError, match="another run is training there"), folder_lock(tmp_path):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / ".run.lock").exists()
    with folder_lock(tmp_path):
        pass


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_of_one_run_share_its_lock_and_refuse_another_run_once(launch_train, tmp_path):
    with folder_lock(tmp_path):
        output, _ = launch_train(tmp_path, "--max_steps", "2", num_processes=2).communicate(timeout=300)
    assert output.count("another run is training there now") == 1, output
    output, _ = launch_train(tmp_path, "--max_steps", "2", num_processes=2).communicate(timeout=300)
    assert "Saved the model" in output


@pytest.mark.parametrize("name", ["checkpoints", "ecg_model_run", "etp"])
def test_a_folder_of_a_run_that_leads_elsewhere_is_refused(run, tmp_path, name):
    """Old checkpoints are deleted by their names: in a linked folder those may be another run's."""
    elsewhere = tmp_path / "another_run"
    elsewhere.mkdir()
    for step in (1, 2, 3):
        (elsewhere / f"step_{step:08d}").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(elsewhere)
    for extra in ([], ["--overwrite"], ["--resume", "auto"]):
        with pytest.raises(OptionError, match=rf"{name} is a link to {elsewhere}, and a run writes and deletes in"):
            run(tmp_path / "run", *extra)
    assert len(os.listdir(elsewhere)) == 3


def test_only_what_a_run_named_is_deleted(run, tmp_path):
    kept = tmp_path / "elsewhere"
    kept.mkdir()
    (kept / "precious").write_text("")
    checkpoints = tmp_path / "run/checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "step_00000000").symlink_to(kept)
    (checkpoints / ".writing_step_00000003").symlink_to(kept)
    for name in ("step_00000003_the_good_one", "step_notes"):
        (checkpoints / name).mkdir()
    assert run(tmp_path / "run", "--overwrite", "--keep_checkpoints", "1") == 0
    assert sorted(os.listdir(checkpoints)) == ["step_00000003_the_good_one", "step_00000006", "step_notes"]
    clear_output(tmp_path / "run")
    assert sorted(os.listdir(checkpoints)) == ["step_00000003_the_good_one", "step_notes"]
    assert os.listdir(kept) == ["precious"]
