"""The search index: nearest means nearest, and an index answers its own model only."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from etp import search
from etp.archives import open_archive
from etp.commands.models import make_classifier, open_checkpoint
from etp.search import Hit, SearchIndex, SearchIndexError, index_archive


def unit_vectors(rows: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def index() -> SearchIndex:
    return SearchIndex(
        "a" * 64,
        ecgs=[f"ecg {row}" for row in range(50)],
        ecg_embeds=unit_vectors(50),
        texts=["normal ECG", "atrial fibrillation", "Vorhofflimmern, „absolute“ Arrhythmie"],
        text_embeds=unit_vectors(3, seed=1),
        text_of_ecg=[row % 4 - 1 for row in range(50)],
    )


@pytest.mark.parametrize("rows_at_a_time", [1, 7, 50, 1000])
@pytest.mark.parametrize("k", [1, 5, 50, 99])
def test_the_nearest_are_those_of_a_full_sort(index, monkeypatch, rows_at_a_time, k):
    monkeypatch.setattr(search, "ROWS_AT_A_TIME", rows_at_a_time)
    queries = unit_vectors(4, seed=2)
    for query, hits in zip(queries, index.nearest_ecgs(queries, k=k), strict=True):
        scores = index.ecg_embeds @ query
        expected = np.argsort(-scores)[:k]
        assert [hit.ecg for hit in hits] == [f"ecg {row}" for row in expected]
        assert [hit.score for hit in hits] == pytest.approx(scores[expected].tolist(), abs=1e-6)


def test_an_ecg_is_nearest_to_itself_and_brings_its_text(index):
    ((first, *_),) = index.nearest_ecgs(index.ecg_embeds[6:7], k=3)
    assert (first.ecg, first.text) == ("ecg 6", "atrial fibrillation")
    assert first.score == pytest.approx(1, abs=1e-6)
    ((without_text, *_),) = index.nearest_ecgs(index.ecg_embeds[4], k=1)
    assert (without_text.ecg, without_text.text) == ("ecg 4", None)


def test_texts_are_found_as_they_were_written(index):
    ((hit,),) = index.nearest_texts(index.text_embeds[2:], k=1)
    text, ecgs = "Vorhofflimmern, „absolute“ Arrhythmie", [f"ecg {row}" for row in range(3, 50, 4)]
    assert hit == Hit(pytest.approx(1, abs=1e-6), ecgs[0], text, more_ecgs=len(ecgs) - 1)


def test_a_text_of_no_ecg_names_none():
    index = SearchIndex("a" * 64, texts=["normal ECG"], text_embeds=unit_vectors(1))
    ((hit,),) = index.nearest_texts(unit_vectors(1))
    assert (hit.ecg, hit.more_ecgs) == (None, 0)


def test_equal_ecgs_come_in_their_order():
    index = SearchIndex("a" * 64, ecgs=["first", "second"], ecg_embeds=np.repeat(unit_vectors(1), 2, axis=0))
    assert [hit.ecg for hit in index.nearest_ecgs(unit_vectors(1), k=2)[0]] == ["first", "second"]


def test_an_index_comes_back_from_disk(index, tmp_path):
    folder = index.save(tmp_path / "index")
    loaded = SearchIndex.load(folder, checkpoint_sha256="a" * 64)
    queries = unit_vectors(2, seed=3)
    assert loaded.nearest_ecgs(queries) == index.nearest_ecgs(queries)
    assert loaded.nearest_texts(queries) == index.nearest_texts(queries)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index"]
    with pytest.raises(FileExistsError, match="exists already"):
        index.save(folder)


def test_an_index_of_one_kind_comes_back_too(tmp_path):
    folder = SearchIndex("a" * 64, texts=["normal ECG"], text_embeds=unit_vectors(1)).save(tmp_path / "index")
    loaded = SearchIndex.load(folder)
    assert loaded.nearest_texts(unit_vectors(1))[0][0].text == "normal ECG"
    with pytest.raises(SearchIndexError, match="holds no ECGs"):
        loaded.nearest_ecgs(unit_vectors(1))


def test_an_index_of_another_model_is_refused(index, tmp_path):
    folder = index.save(tmp_path / "index")
    message = (
        r"made with the model of sha256 aaaaaaaaaaaa, not with .* bbbbbbbbbbbb.* `etp info MODEL`, or make it again"
    )
    with pytest.raises(SearchIndexError, match=message):
        SearchIndex.load(folder, checkpoint_sha256="b" * 64)


def test_an_index_from_before_it_named_its_model_is_still_read(index, tmp_path):
    folder = index.save(tmp_path / "index")
    entries = json.loads((folder / "index.json").read_text())
    del entries["model"]
    stated = {name: entries[name] for name in ("checkpoint_sha256", "ecgs", "texts", "text_of_ecg")}
    entries["entries_sha256"] = hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
    (folder / "index.json").write_text(json.dumps(entries | {"format_version": 2}))
    loaded = SearchIndex.load(folder, checkpoint_sha256="a" * 64)
    assert (loaded.ecgs, loaded.model) == (index.ecgs, None)
    (folder / "index.json").write_text(json.dumps(entries | {"format_version": 3}))
    with pytest.raises(SearchIndexError, match="not a search index of format 3"):
        SearchIndex.load(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "is not a search index: it lacks index.json"),
        (
            lambda folder: (folder / "embeds.safetensors").unlink(),
            "is not a search index: it lacks embeds.safetensors",
        ),
        (lambda folder: (folder / "embeds.safetensors").write_bytes(b"\0" * 99), "can't be read as a search index"),
        (lambda folder: (folder / "index.json").write_text("{"), "can't be read as a search index"),
        (lambda folder: (folder / "index.json").write_text("{}"), "not a search index of format 3"),
        (lambda folder: (folder / "index.json").write_text("[]"), "not a search index of format 3"),
    ],
)
def test_a_damaged_index_is_refused(index, tmp_path, damage, message):
    folder = index.save(tmp_path / "index")
    damage(folder)
    with pytest.raises(SearchIndexError, match=message):
        SearchIndex.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ecg_embeds": np.full((50, 8), np.nan, np.float32)}, "embeddings are unit vectors; that of 'ecg 0'"),
        ({"ecg_embeds": unit_vectors(50) * 3}, "has the length 3"),
        ({"ecg_embeds": unit_vectors(50).astype(np.float64)}, "embeddings of ECGs are float32, got float64"),
        ({"text_embeds": (unit_vectors(3) * 100).astype(np.int8)}, "embeddings of texts are float32, got int8"),
        ({"text_of_ecg": [3] * 50}, "names the text in row 3; there are 3 texts"),
        ({"text_of_ecg": [-2] * 50}, "names the text in row -2"),
        ({"text_of_ecg": ["0"] * 50}, "names the text in row '0'"),
        ({"text_of_ecg": [0.0] * 50}, "names the text in row 0.0"),
        ({"texts": ["a", 1, None]}, "names of its texts must be a list of strings"),
        ({"ecgs": "x" * 50}, "names of its ECGs must be a list of strings"),
        ({"checkpoint_sha256": None}, "names its model None"),
        ({"model": 1}, "the model is opened by a name, got 1"),
    ],
)
def test_an_index_whose_content_cannot_be_right_is_refused_on_loading(index, tmp_path, change, message):
    folder = index.save(tmp_path / "index")
    embeds = {"ecgs": index.ecg_embeds, "texts": index.text_embeds}
    entries = json.loads((folder / "index.json").read_text())
    for name, value in change.items():
        if name.endswith("_embeds"):
            embeds[name.removesuffix("_embeds") + "s"] = value
        else:
            entries[name] = value
    save_arrays(embeds, folder / "embeds.safetensors")
    entries["embeds_sha256"] = hashlib.sha256((folder / "embeds.safetensors").read_bytes()).hexdigest()
    stated = {name: entries[name] for name in ("checkpoint_sha256", "ecgs", "texts", "text_of_ecg", "model")}
    entries["entries_sha256"] = hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
    (folder / "index.json").write_text(json.dumps(entries))
    with pytest.raises(SearchIndexError, match=f"is damaged.*{message}"):
        SearchIndex.load(folder)


def _swap_two_embeddings(folder):
    embeds = load_arrays(folder / "embeds.safetensors")
    embeds["ecgs"][[0, 1]] = embeds["ecgs"][[1, 0]]
    save_arrays(embeds, folder / "embeds.safetensors")


def _replace_in_entries(old, new):
    def damage(folder):
        path = folder / "index.json"
        path.write_text(path.read_text().replace(old, new, 1))

    return damage


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (_swap_two_embeddings, "embeds.safetensors"),  # unit vectors all the same
        (_replace_in_entries("ecg 1", "ecg 7"), "index.json"),
        (_replace_in_entries('"text_of_ecg": [-1, 0', '"text_of_ecg": [-1, 1'), "index.json"),
    ],
)
def test_a_change_in_place_that_keeps_an_index_readable_is_noticed(index, tmp_path, damage, file):
    folder = index.save(tmp_path / "index")
    damage(folder)
    with pytest.raises(SearchIndexError, match=f"is damaged: {file} is not what was written.*`etp index`"):
        SearchIndex.load(folder)


def test_what_is_no_index_or_no_query_is_refused(index):
    with pytest.raises(SearchIndexError, match="2 ECGs need as many embeddings"):
        SearchIndex("a" * 64, ecgs=["1", "2"], ecg_embeds=unit_vectors(3))
    with pytest.raises(SearchIndexError, match="nothing to search"):
        SearchIndex("a" * 64)
    with pytest.raises(SearchIndexError, match="2 ECGs need as many rows of texts, or none"):
        SearchIndex("a" * 64, ecgs=["1", "2"], ecg_embeds=unit_vectors(2), text_of_ecg=[0])
    with pytest.raises(SearchIndexError, match="queries have 4 numbers, the index 8"):
        index.nearest_ecgs(unit_vectors(1, dim=4))
    with pytest.raises(SearchIndexError, match="at least 1"):
        index.nearest_ecgs(unit_vectors(1), k=0)


def test_an_archive_is_indexed_with_its_reports(checkpoint_dir, archive_dir, arrow_cache):
    checkpoint = open_checkpoint(str(checkpoint_dir))
    rows = open_archive("ptb_xl", archive_dir, cache_dir=arrow_cache)["test"].select(range(12))
    index = index_archive(checkpoint, rows, batch_size=5)
    classifier = make_classifier(checkpoint)
    assert list(index.ecgs) == rows["record_id"][:]
    for number in (0, 7):
        row = rows[number]
        (hits,) = index.nearest_ecgs(classifier.embed_ecgs(row), k=1)
        assert (hits[0].ecg, hits[0].text) == (row["record_id"], ". ".join(row["statements"]))
    assert len(set(index.texts)) == len(index.texts)
    np.testing.assert_allclose(index.text_embeds, classifier.embed_texts(index.texts), atol=1e-5)


def test_files_and_texts_are_indexed_and_searched_on_the_command_line(etp, checkpoint_dir, ecg_folder, tmp_path):
    texts, folder, model = tmp_path / "texts.txt", tmp_path / "index", ["--model", checkpoint_dir]
    texts.write_text("normal ECG\n\natrial fibrillation\nnormal ECG\n")
    records = sorted(ecg_folder.glob("*.hea"))
    status, out, _ = etp("index", *records, "--texts", texts, "-o", folder, *model)
    assert status == 0
    assert "4 ECGs, 2 texts" in out

    status, out, _ = etp("search", folder, "--ecg", records[1], "--find", "ecgs", "-k", 1, *model, "--json")
    assert status == 0
    answer = json.loads(out)
    assert answer["query"] == str(records[1])
    (hit,) = answer["hits"]
    assert hit == {"ecg": str(records[1]), "text": None, "score": pytest.approx(1, abs=1e-5), "more_ecgs": 0}

    status, out, _ = etp("search", folder, "--ecg", records[0], *model)
    assert status == 0
    assert sorted(line.split(maxsplit=1)[1] for line in out.splitlines()[1:]) == ["atrial fibrillation", "normal ECG"]

    status, out, _ = etp("search", folder, "--text", "sinus rhythm", "pause", "-k", 2, *model, "--json")
    assert status == 0
    assert [json.loads(line)["query"] for line in out.splitlines()] == ["sinus rhythm", "pause"]

    status, out, _ = etp("info", folder, "--json")
    assert (status, json.loads(out)["ecgs"], json.loads(out)["texts"]) == (0, 4, 2)


def test_a_search_with_another_model_is_refused_on_the_command_line(etp, checkpoint_dir, tmp_path):
    texts, folder, other = tmp_path / "texts.txt", tmp_path / "index", tmp_path / "other"
    texts.write_text("normal ECG\n")
    assert etp("index", "--texts", texts, "-o", folder, "--model", checkpoint_dir)[0] == 0
    shutil.copytree(checkpoint_dir, other)
    weights = load_file(other / "model.safetensors")
    name = next(name for name in weights if name.startswith("text_projection"))
    save_file(weights | {name: weights[name] + 1}, other / "model.safetensors", metadata={"format": "pt"})
    status, out, err = etp("search", folder, "--text", "normal ECG", "--find", "texts", "--model", other)
    assert (status, out) == (2, "")
    assert f"made with the model {checkpoint_dir}, not with {other}: their embeddings have nothing in common" in err
    assert f"Search it with --model {checkpoint_dir}, or make it again: `etp index --model {other} …`" in err
    assert json.loads(etp("info", folder, "--json")[1])["model"] == str(checkpoint_dir)


def test_a_model_that_changed_in_place_is_not_named_as_the_cure(etp, checkpoint_dir, tmp_path, monkeypatch):
    texts, model = tmp_path / "texts.txt", tmp_path / "model"
    texts.write_text("normal ECG\n")
    shutil.copytree(checkpoint_dir, model)
    monkeypatch.chdir(tmp_path)
    assert etp("index", "--texts", texts, "-o", "index", "--model", "model")[0] == 0
    weights = load_file(model / "model.safetensors")
    name = next(name for name in weights if name.startswith("text_projection"))
    save_file(weights | {name: weights[name] + 1}, model / "model.safetensors", metadata={"format": "pt"})
    status, out, err = etp("search", "index", "--text", "normal ECG", "--find", "texts", "--model", "model")
    assert (status, out) == (2, "")
    assert f"made with the model {model}, whose files have changed since" in err
    assert f"Delete the index and make it again: `etp index --model {model} …`" in err
    assert "Search it with" not in err


def test_an_archive_is_indexed_on_the_command_line(etp, checkpoint_dir, archive_dir, arrow_cache, tmp_path):
    archive = ["--dataset", "ptb_xl", "--data_dir", archive_dir, "--split", "test", "--cache_dir", arrow_cache]
    status, out, _ = etp("index", "-o", tmp_path / "index", "--model", checkpoint_dir, *archive)
    assert status == 0
    assert "29 ECGs" in out
    search = ["search", tmp_path / "index", "--model", checkpoint_dir, "-k", 3]
    ids = set(SearchIndex.load(tmp_path / "index").ecgs)
    header = next(archive_dir.rglob("00001_lr.hea"))
    for query in (["--ecg", header], ["--ecg", header, "--find", "ecgs"], ["--text", "sinus rhythm"]):
        answer = json.loads(etp(*search, *query, "--json")[1])
        assert [hit["ecg"] in ids for hit in answer["hits"]] == [True] * 3
        lines = etp(*search, *query)[1].splitlines()[1:]
        for hit, line in zip(answer["hits"], lines, strict=True):
            more = f" and {hit['more_ecgs']} more" if hit["more_ecgs"] else ""
            assert line.split(maxsplit=1)[1].startswith(f"{hit['ecg']}{more}  {hit['text']}")
    status, of_all, _ = etp("index", "-o", tmp_path / "whole", "--model", checkpoint_dir, *archive, "--split", "all")
    assert status == 0
    assert int(of_all.split(": ")[1].split()[0]) > 200
    status, _, err = etp("index", "-o", tmp_path / "other", "--model", checkpoint_dir, *archive, "--split", "best")
    assert status == 2
    assert "choose from train, validation, test" in err
