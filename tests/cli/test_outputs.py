"""No command replaces what exists unasked, and none its own input, however it is named."""

import shutil

import numpy as np
import pytest

from etp.outputs import check_output


@pytest.fixture
def ecg(ecg_folder, tmp_path):
    """A WFDB record of the command line's tests, on its own."""
    header = sorted(ecg_folder.glob("*.hea"))[0]
    for path in ecg_folder.glob(f"{header.stem}.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / header.name


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("target", ["itself", "signal", "link", "hard link"])
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_embeddings_never_replace_the_ecg_they_are_of(etp, checkpoint_dir, ecg, target, overwrite):
    signal = next(path for path in ecg.parent.iterdir() if path.suffix in (".dat", ".mat"))
    path = {"itself": ecg, "signal": signal, "link": ecg.parent / "l.npz", "hard link": ecg.parent / "h.npz"}[target]
    if target == "link":
        path.symlink_to(ecg)
    if target == "hard link":
        path.hardlink_to(ecg)
    before = contents(ecg.parent)
    status, _, err = etp("embed", ecg, "-o", path, "--model", checkpoint_dir, *overwrite)
    assert (status, "is what the command reads" in err) == (2, True)
    assert contents(ecg.parent) == before


def test_a_picture_never_replaces_the_ecg_it_is_of(etp, ecg, tmp_path):
    array = tmp_path / "ecg.png"  # content decides what a file is
    np.save(tmp_path / "ecg.npy", np.random.default_rng(0).normal(size=(12, 1000)))
    (tmp_path / "ecg.npy").rename(array)
    before = array.read_bytes()
    status, _, err = etp("plot", array, "-o", array, "--sampling_rate", 100, "--overwrite")
    assert (status, "is what the command reads" in err) == (2, True)
    assert array.read_bytes() == before


def test_what_exists_is_replaced_only_with_overwrite(etp, checkpoint_dir, ecg, tmp_path):
    model = ["--model", checkpoint_dir]
    for words, name in (
        (["embed", ecg, *model], "e.npz"),
        (["plot", ecg], "p.png"),
        (["card", checkpoint_dir], "README.md"),
    ):
        output = tmp_path / name
        output.write_text("somebody's notes")
        status, _, err = etp(*words, "-o", output)
        assert (status, "exists already" in err, output.read_text()) == (2, True, "somebody's notes")
        assert etp(*words, "-o", output, "--overwrite")[0] == 0
        assert not output.read_bytes().startswith(b"somebody")


def test_a_file_beside_the_input_is_none_of_it(tmp_path):
    for name in ("a.hea", "a.dat", "a.png"):
        (tmp_path / name).write_text("")
    check_output(tmp_path / "a.png", overwrite=True, inputs=[tmp_path / "a.hea"])
    check_output(tmp_path / "a.npz", overwrite=False, inputs=[tmp_path / "a.hea"])
    with pytest.raises(ValueError, match="is what the command reads"):
        check_output(tmp_path / "a.dat", overwrite=True, inputs=[tmp_path / "a"])
