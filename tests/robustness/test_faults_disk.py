"""A disk that is full or read-only at each place that writes: one sentence, nothing torn, nothing lost."""

import shutil
from pathlib import Path

import pytest
from archive_server import write_sums
from processes import Outcome, needs_mounts, on_read_only, on_small_disk, script
from work import build, download, embed_texts, evaluate, figures, files_in, prepare, train, without_free_space_check

from etp.training.checkpoints import newest_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FULL, READ_ONLY = "No space left on device", "Read-only file system"


@pytest.fixture(scope="module", autouse=True)
def mounts(processes, tmp_path_factory) -> None:
    needs_mounts(processes, tmp_path_factory.mktemp("mounts"))


@pytest.fixture(scope="module")
def caches(processes, archive_dir, text_folder, checkpoint_dir, tmp_path_factory) -> Path:
    """What an undisturbed training and evaluation leave: `run`, `results.json`, and the caches they filled."""
    folder = tmp_path_factory.mktemp("caches")
    trained = processes.run(train, archive_dir, text_folder, folder / "run", folder)
    assert trained.status == 0, trained.output[-2000:]
    arguments = (checkpoint_dir, archive_dir, folder / "results.json", folder / "arrow", folder / "embeddings")
    evaluated = processes.run(evaluate, *arguments)
    assert evaluated.status == 0, evaluated.output[-2000:]
    return folder


def assert_one_sentence(outcome: Outcome, reason: str, *names: object) -> None:
    assert outcome.status in (1, 2), outcome.output[-2000:]
    assert "Traceback" not in outcome.output, outcome.output[-3000:]
    sentences = [line for line in outcome.output.splitlines() if reason in line]
    assert len(sentences) == 1, outcome.output[-2000:]
    for name in names:
        assert str(name) in sentences[0]


@pytest.mark.parametrize("kilobytes", [4, 800, 4000, 6000])
def test_a_full_disk_while_a_dataset_is_built(processes, archive_dir, caches, tmp_path, kilobytes):
    arrow, left = tmp_path / "arrow", tmp_path / "left"
    outcome = processes.run(
        on_small_disk, arrow, kilobytes, left, evaluate, caches / "run", archive_dir, tmp_path / "results.json",
        arrow, tmp_path / "embeddings",
    )  # fmt: skip
    assert_one_sentence(outcome, FULL, f"The cache {arrow}", "Make room there or give another --cache_dir")
    assert not files_in(left, "*.arrow", "dataset_info.json")
    again = processes.run(build, archive_dir, left)
    assert again.status == 0, again.output[-2000:]


@pytest.mark.parametrize("kilobytes", [4, 400, 1000])
def test_a_full_disk_while_signals_are_prepared(processes, archive_dir, caches, tmp_path, kilobytes):
    """Writing a map of a file that has no room on the disk would end the process by a signal, without a word."""
    store, left = tmp_path / "store", tmp_path / "left"
    outcome = processes.run(on_small_disk, store, kilobytes, left, prepare, archive_dir, caches / "arrow", store)
    assert outcome.status == 1, outcome.output[-2000:]
    assert f"NotWrittenError: --cache_dir, prepared signals in {store} can't be written: {FULL}" in outcome.output
    for folder in (left, tmp_path / "another"):
        again = processes.run(prepare, archive_dir, caches / "arrow", folder)
        assert again.status == 0, again.output[-2000:]
    assert files_in(left, "*.int16", "*.json") == files_in(tmp_path / "another", "*.int16", "*.json")


def test_a_read_only_cache_of_datasets(processes, archive_dir, text_folder, caches, tmp_path):
    (tmp_path / "arrow").mkdir()
    outcome = processes.run(
        on_read_only, tmp_path / "arrow", train, archive_dir, text_folder, tmp_path / "run", tmp_path,
        "--feature_cache", str(caches / "texts"),
    )  # fmt: skip
    assert_one_sentence(outcome, READ_ONLY, f"train.py: --cache_dir {tmp_path / 'arrow'} can't be written")


@pytest.mark.parametrize("kilobytes", [4, 40, 600])
def test_a_full_disk_while_an_archive_is_fetched(processes, archive_dir, serve, tmp_path, kilobytes):
    published = Path(shutil.copytree(archive_dir, tmp_path / "published"))
    write_sums(published)
    url = serve(published).url
    outcome = processes.run(on_small_disk, tmp_path / "copy", kilobytes, tmp_path / "left", download, url, tmp_path / "copy")  # fmt: skip
    assert outcome.status == 1
    assert FULL in outcome.last_line
    assert f"{tmp_path / 'copy'} can't be written" in outcome.last_line
    whole = files_in(published, "*")
    kept = {name: content for name, content in files_in(tmp_path / "left", "*").items() if not name.endswith(".part")}
    assert all(whole[name] == content for name, content in kept.items())
    assert processes.run(download, url, tmp_path / "left").status == 0
    assert files_in(tmp_path / "left", "*") == whole


@pytest.mark.parametrize("kilobytes", [4, 24])
def test_text_features_that_cannot_be_kept_are_used_all_the_same(processes, text_folder, tmp_path, kilobytes):
    whole = processes.run(embed_texts, text_folder, tmp_path / "whole")
    outcome = processes.run(on_small_disk, tmp_path / "full", kilobytes, tmp_path / "left", embed_texts, text_folder, tmp_path / "full")  # fmt: skip
    assert "Features of texts are not kept for further runs" in outcome.output
    assert FULL in outcome.output
    assert (outcome.status, outcome.last_line) == (0, whole.last_line)
    kept = files_in(tmp_path / "left", "*")
    assert kept.items() <= files_in(tmp_path / "whole", "*").items()

    (tmp_path / "read-only").mkdir()
    outcome = processes.run(on_read_only, tmp_path / "read-only", embed_texts, text_folder, tmp_path / "read-only")
    assert READ_ONLY in outcome.output
    assert (outcome.status, outcome.last_line) == (0, whole.last_line)


def test_ecg_embeddings_that_cannot_be_kept_are_used_all_the_same(
    processes, checkpoint_dir, archive_dir, caches, tmp_path
):
    arguments = (checkpoint_dir, archive_dir, tmp_path / "results.json", caches / "arrow", tmp_path / "embeddings")
    outcome = processes.run(on_small_disk, arguments[-1], 4, tmp_path / "left", evaluate, *arguments)
    assert outcome.status == 0, outcome.output[-2000:]
    assert "Embeddings are not kept for further runs" in outcome.output
    assert figures(tmp_path / "results.json") == figures(caches / "results.json")
    assert not files_in(tmp_path / "left", "*")
    (tmp_path / "results.json").unlink()
    outcome = processes.run(on_read_only, tmp_path / "embeddings", evaluate, *arguments)
    assert outcome.status == 0, outcome.output[-2000:]
    assert READ_ONLY in outcome.output
    assert figures(tmp_path / "results.json") == figures(caches / "results.json")


@pytest.mark.parametrize("kilobytes", [4, 12, 40, 120, 200, 320])
def test_a_full_disk_while_a_run_is_written(processes, archive_dir, text_folder, caches, tmp_path, kilobytes):
    """At its options, its log, its checkpoints, its picture and its model, whichever the disk has no room for."""
    run, left = tmp_path / "run", tmp_path / "left"
    arguments = (archive_dir, text_folder, run, caches)
    outcome = processes.run(on_small_disk, run, kilobytes, left, without_free_space_check, train, *arguments)
    assert_one_sentence(outcome, FULL, "train.py: ", run, "Make room or choose another place.")
    assert not (left / "model.safetensors").exists()
    assert not list(left.rglob("*unfinished*"))
    checkpoints = sorted((left / "checkpoints").glob("*"))
    assert newest_checkpoint(left) == (checkpoints[-1] if checkpoints else None)
    again = processes.run(train, archive_dir, text_folder, left, caches, "--resume", "auto")
    assert again.status == 0, again.output[-2000:]
    names = "model.safetensors", "best.safetensors"
    assert files_in(left, *names) == files_in(caches / "run", *names)


def test_a_read_only_run_is_refused_at_once(processes, archive_dir, text_folder, caches, tmp_path):
    (tmp_path / "run").mkdir()
    arguments = (archive_dir, text_folder, tmp_path / "run", caches)
    outcome = processes.run(on_read_only, tmp_path / "run", train, *arguments)
    assert_one_sentence(outcome, READ_ONLY, f"--output_dir {tmp_path / 'run'} can't be written")


def test_results_stay_as_they_were_where_they_cannot_be_written(
    processes, checkpoint_dir, archive_dir, caches, tmp_path
):
    output, left = tmp_path / "out" / "results.json", tmp_path / "left"
    output.parent.mkdir()
    output.write_text('{"of": "another run"}\n')
    arguments = (checkpoint_dir, archive_dir, output, caches / "arrow", caches / "embeddings", "--overwrite")
    outcome = processes.run(on_small_disk, output.parent, 8, left, evaluate, *arguments)
    assert_one_sentence(outcome, FULL, f"{output} can't be written")
    assert files_in(left, "*") == {"results.json": b'{"of": "another run"}\n'}
    outcome = processes.run(on_read_only, output.parent, evaluate, *arguments)
    assert_one_sentence(outcome, READ_ONLY, f"--output {output} can't be written")


def etp(*arguments: object) -> tuple:
    return script, "etp.cli", *arguments


@pytest.fixture
def commands(checkpoint_dir, archive_dir, caches):
    """Commands that write something -> function of where."""
    ecgs = sorted((archive_dir / "records100/00000").glob("*.hea"))
    again = ["--overwrite"]
    return {
        "index": lambda folder: (folder / "index", etp("index", "--model", checkpoint_dir, "-o", folder / "index", *ecgs)),
        "embed": lambda folder: (folder / "a.npz", etp("embed", "--model", checkpoint_dir, "-o", folder / "a.npz", *again, *ecgs)),
        "plot": lambda folder: (folder / "a.png", etp("plot", ecgs[0], "-o", folder / "a.png", *again)),
        "card": lambda folder: (folder / "card.md", etp("card", checkpoint_dir, "-o", folder / "card.md")),
        "export onnx": lambda folder: (folder / "onnx", etp("export", checkpoint_dir, "-o", folder / "onnx")),
        "export torch": lambda folder: (
            folder / "torch",
            etp("export", checkpoint_dir, "-o", folder / "torch", "--format", "torch"),
        ),
        "table": lambda folder: (
            folder / "a.md",
            etp("evaluate", "tables", caches / "results.json", "--output", folder / "a.md", *again),
        ),
        "picture": lambda folder: (
            folder / "a.png",
            etp("evaluate", "tables", caches / "results.json", "--picture", folder / "a.png", *again),
        ),
        "parquet": lambda folder: (
            folder / "parquet/100hz",
            etp("export-archive", "--data_dir", archive_dir, "--output", folder / "parquet"),
        ),
        "weights": lambda folder: (
            folder / "joined",
            (script, "etp.weights", "join", Path(__file__).parents[2] / "etp/pretrained/etp-ptb-xl", folder / "joined"),
        ),
    }  # fmt: skip


@pytest.mark.parametrize(
    "command",
    ["index", "embed", "plot", "card", "export onnx", "export torch", "table", "picture", "parquet", "weights"],
)
def test_a_command_says_in_one_sentence_that_it_cannot_write(processes, commands, command, tmp_path):
    folder, left = tmp_path / "out", tmp_path / "left"
    target, work = commands[command](folder)
    before = {"another.bin": bytes(4096)}  # all there is room for
    if target.suffix and command != "card":  # what is replaced only by something whole
        before = {target.name: b"of an earlier call"}
    folder.mkdir()
    for name, content in before.items():
        (folder / name).write_bytes(content)
    outcome = processes.run(on_small_disk, folder, 4, left, *work, seconds=600)
    assert_one_sentence(outcome, FULL)
    assert files_in(left, "*") == before
    outcome = processes.run(on_read_only, folder, *work, seconds=600)
    assert_one_sentence(outcome, READ_ONLY)
    assert files_in(folder, "*") == before


def test_what_a_killed_command_left_is_in_nobodys_way(processes, commands, tmp_path):
    for command in ("index", "parquet"):
        target, work = commands[command](tmp_path)
        left = target.with_name(f"{target.name}.unfinished")
        left.mkdir(parents=True)
        (left / "stale").write_bytes(b"half")
        outcome = processes.run(*work)
        assert outcome.status == 0, outcome.output[-2000:]
        assert not (target / "stale").exists()
        assert not left.exists()
