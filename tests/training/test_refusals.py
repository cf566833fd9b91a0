"""What can't work is said in one sentence, naming the flag and the cure, and nothing that was there is touched."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from etp.options import OptionError, parse_options
from etp.training.arguments import GROUPS, Arguments
from etp.training.preflight import check_before_computing


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def own_archive(archive, tmp_path):
    """Write a folder of one's own from the synthetic records; `splits` and `reports` are dealt out in turn."""

    def write(*, splits: list[str], reports: list[str]) -> Path:
        folder = tmp_path / "own"
        folder.mkdir()
        rows = ["file,report,split"]
        for index, header in enumerate(sorted((archive / "records100").rglob("*.hea"))[:40]):
            for path in (header, header.with_suffix(".dat")):
                shutil.copy(path, folder)
            rows.append(f"{header.stem},{reports[index % len(reports)]},{splits[index % len(splits)]}")
        (folder / "records.csv").write_text("\n".join(rows) + "\n")
        return folder

    return write


@pytest.fixture
def finished_run(run, tmp_path):
    folder = tmp_path / "finished"
    assert run(folder, "--max_steps", "2") == 0
    return folder


@pytest.fixture
def sealed_and_open_folder():
    """A folder that may be looked into and not written to, and one that may; root is somebody else meanwhile."""
    sealed, opened = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    sealed.chmod(0o555)
    opened.chmod(0o777)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield sealed, opened
    os.seteuid(user)
    shutil.rmtree(sealed)
    shutil.rmtree(opened)


@pytest.mark.parametrize("flag", ["output_dir", "feature_cache", "cache_dir"])
def test_a_folder_without_write_permission_is_named_with_its_flag(sealed_and_open_folder, flag):
    sealed, opened = sealed_and_open_folder
    folders = {name: opened / name for name in ("output_dir", "feature_cache", "cache_dir")} | {flag: sealed / "new"}
    argv = [word for name, folder in folders.items() for word in (f"--{name}", str(folder))]
    with pytest.raises(
        OptionError, match=f"--{flag} {sealed}/new can't be written: Permission denied. Make room, get"
    ):
        check_before_computing(Arguments(*parse_options(GROUPS, argv)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "ptbxl"], "--dataset: unknown 'ptbxl', choose from ptb_xl, cpsc2018, folder"),
        (["--dataset_config", "250hz"], r"--dataset ptb_xl, .*: BuilderConfig '250hz' not found"),
        (["--text_model", "no/such-tower"], r"--text_model no/such-tower: .* Give `minilm`, a folder, or a Hub name"),
        (["--max_shift", "0.1", "--ecg_config", "norm=batchnorm"], r"--ecg_config or --model_config: "),
    ],
)
def test_what_is_not_there_is_named(run, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        run(tmp_path / "run", *options)
    assert contents(tmp_path / "run") == {}


def test_a_folder_that_is_no_archive_is_named(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        OptionError, match=rf"--data_dir {tmp_path}/empty: .* 2 of 2 files are missing: /ptbxl_database"
    ):
        run(tmp_path / "run", "--data_dir", str(tmp_path / "empty"))


def test_an_archive_without_validation_records_is_refused(run, own_archive, tmp_path):
    folder = own_archive(splits=["train", "test"], reports=["Sinus rhythm"])
    with pytest.raises(
        OptionError, match=rf"{folder}: no record is in the split validation, only in train, test. Tra"
    ):
        run(tmp_path / "run", "--dataset", "folder", "--data_dir", str(folder))


def test_an_archive_without_reports_is_refused(run, own_archive, tmp_path):
    folder = own_archive(splits=["train", "validation"], reports=[""])
    with pytest.raises(OptionError, match=rf"None of the 20 records of the train split in {folder} has a text"):
        run(tmp_path / "run", "--dataset", "folder", "--data_dir", str(folder))


def test_without_labels_there_is_no_label_derived_text(run, own_archive, tmp_path):
    folder = own_archive(splits=["train", "validation"], reports=["Sinus rhythm"])
    with pytest.raises(OptionError, match="label_derived: folder has no column of labels to make texts of"):
        run(tmp_path / "run", "--dataset", "folder", "--data_dir", str(folder), "--text_source", "label_derived")


def test_an_archive_of_ones_own_trains(run, own_archive, tmp_path):
    folder = own_archive(splits=["train", "validation"], reports=["Sinus rhythm", "Atrial fibrillation"])
    assert run(tmp_path / "run", "--dataset", "folder", "--data_dir", str(folder), "--max_steps", "1") == 0


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--overwrite", "--text_model", "no/such-tower"],
        ["--overwrite", "--data_dir", "/"],
        ["--overwrite", "--batch_size", "1000"],
        ["--resume", "auto", "--ecg_config", "hidden_sizes=[16,16]"],
    ],
)
def test_a_run_that_is_refused_leaves_the_run_that_is_there(run, finished_run, options):
    before = contents(finished_run)
    with pytest.raises(OptionError):
        run(finished_run, *options)
    assert contents(finished_run) == before


def test_continuing_one_run_in_the_folder_of_another_is_refused(run, finished_run, tmp_path):
    other = tmp_path / "other"
    assert run(other, "--max_steps", "2", "--seed", "1") == 0
    (newest,) = (finished_run / "checkpoints").iterdir()
    before = contents(other)
    with pytest.raises(OptionError, match=rf"--output_dir {other} holds another run"):
        run(other, "--max_steps", "2", "--resume", str(newest))
    assert contents(other) == before
    assert run(tmp_path / "new", "--max_steps", "2", "--resume", str(newest)) == 0


def test_a_changed_text_tower_is_refused(run, finished_run, text_tower, tmp_path):
    from transformers import BertModel

    changed = Path(shutil.copytree(text_tower, tmp_path / "tower"))
    model = BertModel.from_pretrained(changed)
    model.encoder.layer[0].output.dense.bias.data += 1e-3
    options = ["--text_model", str(changed), "--max_steps", "2"]
    assert run(tmp_path / "own", *options) == 0
    model.save_pretrained(changed)
    with pytest.raises(
        ValueError, match=rf"--text_model {changed} is not the text tower of that run, or its files chang"
    ):
        run(tmp_path / "own", *options, "--resume", "auto")


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_cache_of_the_archive_is_named(run, archive, tmp_path, damage):
    cache = tmp_path / "cache"
    assert run(tmp_path / "first", "--cache_dir", str(cache), "--max_steps", "1") == 0
    (path,) = cache.rglob("*train.arrow")
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content[:-1000] if damage == "cut" else content)
    with pytest.raises(OptionError, match=rf"{path} is (damaged|missing).* Delete {path.parent}, then it is prepared"):
        run(tmp_path / "second", "--cache_dir", str(cache), "--max_steps", "1")
