"""`encode` and `device_map`: what people know from sentence-transformers and transformers."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModel, pipeline

TEXTS = ["normal ecg", "atrial fibrillation", "sinus rhythm"]
ECGS = np.random.default_rng(0).normal(size=(2, 12, 1000)).astype(np.float32)


def test_strings_are_texts_and_anything_else_is_ecgs(classifier):
    np.testing.assert_array_equal(classifier.encode(TEXTS), classifier.embed_texts(TEXTS))
    np.testing.assert_array_equal(classifier.encode(tuple(TEXTS)), classifier.embed_texts(TEXTS))
    embeds = classifier.embed_ecgs(ECGS, sampling_rate=100)
    np.testing.assert_array_equal(classifier.encode(ECGS, sampling_rate=100), embeds)
    np.testing.assert_array_equal(
        classifier.encode(list(ECGS), sampling_rate=100, batch_size=1).round(5), embeds.round(5)
    )


def test_one_input_is_one_vector(classifier):
    assert classifier.encode(TEXTS[0]).shape == (8,)
    assert classifier.encode(ECGS[0], sampling_rate=100).shape == (8,)
    assert classifier.encode(TEXTS[:1]).shape == (1, 8)


def test_a_file_is_no_text(classifier, tmp_path):
    rows = ["time,I,II,V1", *(f"{row / 100},{row % 7 / 10},{row % 5 / 10},{row % 3 / 10}" for row in range(1000))]
    (tmp_path / "ecg.csv").write_text("\n".join(rows))
    (tmp_path / "record.hea").write_text("")
    assert classifier.encode(tmp_path / "ecg.csv").shape == (8,)
    for file in (tmp_path / "ecg.csv", tmp_path / "record", "https://example.org/ecg.edf"):
        with pytest.raises(
            ValueError, match=r"is a file, and strings are texts\. Pass pathlib\.Path, or call `embed_ecgs`"
        ):
            classifier.encode([TEXTS[0], str(file)])


def test_texts_and_ecgs_are_not_mixed(classifier):
    with pytest.raises(ValueError, match="expected texts alone or ECGs alone, got texts and ECGs in one list"):
        classifier.encode([TEXTS[0], ECGS[0]])
    with pytest.raises(ValueError, match="got sampling_rate of texts"):
        classifier.encode(TEXTS, sampling_rate=100)


def test_device_map_works_with_accelerate(checkpoint_dir):
    pytest.importorskip("accelerate")
    model = AutoModel.from_pretrained(checkpoint_dir, device_map="auto")
    assert {parameter.device.type for parameter in model.parameters()} != {"meta"}
    classifier = pipeline("zero-shot-ecg-classification", model=str(checkpoint_dir), device_map="auto")
    assert len(classifier(ECGS[0], ["sinus rhythm", "normal ECG"], sampling_rate=100)) == 2


def test_device_map_without_accelerate_names_it(checkpoint_dir, monkeypatch):
    monkeypatch.setattr("transformers.integrations.accelerate.is_accelerate_available", lambda *_: False)
    for load in (
        lambda: AutoModel.from_pretrained(checkpoint_dir, device_map="auto"),
        lambda: pipeline("zero-shot-ecg-classification", model=str(checkpoint_dir), device_map="auto"),
    ):
        with pytest.raises(ValueError, match="pip install accelerate"):
            load()


def test_the_paths_of_samples_are_ecgs(classifier):
    from etp.samples import list_samples

    paths = [sample.path for sample in list_samples()[:2]]
    assert all(isinstance(path, Path) for path in paths)
    assert classifier.encode(paths).shape == (2, 8)
