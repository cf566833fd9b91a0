"""`etp app`: what it refuses before it serves."""

import re

import numpy as np
import pytest

from etp import cli
from etp.app import main as app
from etp.search import SearchIndex


@pytest.fixture(autouse=True)
def nothing_is_served(monkeypatch):
    """Collects what would be served."""
    served = []
    monkeypatch.setattr(app, "serve", lambda scorer, args, uploads: served.append((scorer, args)))
    for name in ("ETP_MODEL", "ETP_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return served


def test_a_space_is_configured_by_variables(checkpoint_dir, monkeypatch, nothing_is_served):
    monkeypatch.setenv("ETP_MODEL", str(checkpoint_dir))
    assert cli.main(["app", "--device", "cpu"]) == 0
    ((scorer, args),) = nothing_is_served
    assert (scorer.checkpoint.folder, scorer.index, args.host) == (checkpoint_dir, None, None)


def test_an_option_goes_before_its_variable(checkpoint_dir, monkeypatch, nothing_is_served):
    monkeypatch.setenv("ETP_MODEL", "nowhere")
    assert cli.main(["app", "--model", str(checkpoint_dir), "--device", "cpu"]) == 0
    assert nothing_is_served


def test_a_missing_model_is_one_line_and_status_two(capsys, tmp_path, nothing_is_served):
    assert cli.main(["app", "--model", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert re.match(rf"etp app: .*{re.escape(str(tmp_path))} lacks config\.json", error)
    assert error.count("\n") == 1
    assert not nothing_is_served


def test_without_a_name_the_model_of_the_package_is_served(checkpoint, monkeypatch, nothing_is_served):
    named = []
    monkeypatch.setattr(app, "open_model", lambda name, device: named.append(name) or checkpoint)
    assert cli.main(["app"]) == 0
    assert named == [None]
    assert nothing_is_served


def test_an_index_of_ecgs_alone_or_of_another_model_is_refused(checkpoint, checkpoint_dir, tmp_path, capsys):
    embeds = np.eye(8, dtype=np.float32)[:1]
    SearchIndex(checkpoint.sha256, ecgs=["1"], ecg_embeds=embeds).save(tmp_path / "ecgs")
    SearchIndex("0" * 64, texts=["a"], text_embeds=embeds).save(tmp_path / "other")
    for name, message in (
        ("ecgs", "it holds no reports"),
        ("other", "was made with the model of sha256 000000000000"),
    ):
        assert (
            cli.main(["app", "--model", str(checkpoint_dir), "--device", "cpu", "--index", str(tmp_path / name)]) == 2
        )
        assert message in capsys.readouterr().err
