"""One pass over a data set: every record, in evaluation mode, under the conditions asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict, Features, List, Value

from etp.arrow_batches import read_signals
from etp.commands.models import make_classifier
from etp.evaluation import embedding
from etp.evaluation.baselines import random_ecg_side
from etp.evaluation.embedding import Conditions, EcgEmbeddings, Embedder, embed_ecgs
from etp.evaluation.prompts import LabelPrompts, PromptOptions, score_labels
from etp.loading import load_checkpoint
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.leads_etp import STANDARD_LEADS


@pytest.fixture(scope="module")
def checkpoint(checkpoint_dir):
    return load_checkpoint(checkpoint_dir)


def make_dataset(signals, *, rate=100):
    """Rows of int16 µV signals `(leads, samples)` of any lengths."""
    features = Features(
        {"record_id": Value("string"), "sampling_rate": Value("int32"), "ecg": List(List(Value("int16")), length=12)}
    )
    rows = {
        "record_id": [str(index) for index in range(len(signals))],
        "sampling_rate": [rate] * len(signals),
        "ecg": [signal.tolist() for signal in signals],
    }
    return Dataset.from_dict(rows, features=features)


def random_signals(count=5, *, samples=1000, seed=0):
    return np.random.default_rng(seed).integers(-900, 900, size=(count, 12, samples)).astype(np.int16)


def embeds(checkpoint, dataset, *, batch_size=64, **conditions):
    result = embed_ecgs(
        checkpoint.model,
        checkpoint.processor.feature_extractor,
        dataset,
        conditions=Conditions(**conditions),
        batch_size=batch_size,
    )
    return result


def test_the_last_incomplete_batch_is_embedded_too_and_batches_do_not_matter(checkpoint):
    dataset = make_dataset(random_signals(7))
    whole, in_threes = embeds(checkpoint, dataset), embeds(checkpoint, dataset, batch_size=3)
    assert len(whole.embeds) == len(in_threes.embeds) == 7
    torch.testing.assert_close(whole.embeds, in_threes.embeds)
    torch.testing.assert_close(whole.features, in_threes.features)


def test_a_model_left_in_training_mode_is_evaluated_all_the_same(checkpoint):
    dataset, model = make_dataset(random_signals()), checkpoint.model
    expected = embeds(checkpoint, dataset).features
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    assert any("running_mean" in name for name in statistics)
    model.train()
    torch.testing.assert_close(embeds(checkpoint, dataset).features, expected)
    assert model.training
    model.eval()
    for name, value in model.named_buffers():
        torch.testing.assert_close(value, statistics[name])


def test_embeddings_are_those_of_the_model(checkpoint):
    signals = random_signals(2)
    inputs = checkpoint.processor(ecg=signals / 1000.0, sampling_rate=100, return_tensors="pt")
    with torch.no_grad():
        expected = checkpoint.model.get_ecg_features(**inputs).pooler_output
    torch.testing.assert_close(embeds(checkpoint, make_dataset(signals)).embeds, expected)


def test_leads_that_are_not_seen_have_no_influence_and_limb_leads_follow_from_two(checkpoint):
    signals = random_signals(3)
    changed = signals.copy()
    changed[:, STANDARD_LEADS.index("V1")] += 50
    seen = {"leads": ("I", "II", "V2")}
    torch.testing.assert_close(
        embeds(checkpoint, make_dataset(signals), **seen).embeds,
        embeds(checkpoint, make_dataset(changed), **seen).embeds,
    )
    derived = signals.copy()
    derived[:, 2] = derived[:, 1] - derived[:, 0]
    three = embeds(checkpoint, make_dataset(derived), leads=("I", "II", "III")).embeds
    two = embeds(checkpoint, make_dataset(derived), leads=("I", "II")).embeds
    torch.testing.assert_close(two, three, atol=1e-4, rtol=1e-3)
    one = embeds(checkpoint, make_dataset(signals), leads=("II",)).embeds
    assert not torch.allclose(one, two, atol=1e-3)


def test_windows_cover_the_whole_recording_and_are_pooled_by_record(checkpoint):
    signals = [random_signals(1, samples=samples, seed=samples)[0] for samples in (700, 1000, 2300)]
    result = embeds(checkpoint, make_dataset(signals), windows="max")
    assert result.record.tolist() == [0, 1, 2, 2, 2, 2]
    last = embeds(checkpoint, make_dataset([signals[2][:, -1000:]])).embeds
    torch.testing.assert_close(result.embeds[5:], last)
    result = replace(result, record=torch.tensor([0, 1, 2, 2, 2]))
    scores = torch.tensor([[0.0, 9.0], [1.0, 8.0], [2.0, 7.0], [4.0, 5.0], [3.0, 0.0]])
    assert result.pool_scores(scores, "max").tolist() == [[0, 9], [1, 8], [4, 7]]
    assert result.pool_scores(scores, "mean").tolist() == [[0, 9], [1, 8], [3, 4]]
    assert len(embeds(checkpoint, make_dataset(signals)).embeds) == 3


def long_signals() -> list[np.ndarray]:
    """Less than a window, a window, one and a rest that is no heartbeat, a whole number of windows, and any number."""
    lengths = (700, 1000, 1030, 3000, 2300)
    return [random_signals(1, samples=samples, seed=samples)[0] for samples in lengths]


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_long_recording_is_scored_over_its_windows_as_the_pipeline_does(checkpoint, pooling):
    labels, signals = ["normal ECG", "atrial fibrillation"], long_signals()
    result = embeds(checkpoint, make_dataset(signals), windows=pooling)
    prompt = LabelPrompts("task", "labels", {label: (label,) for label in labels}, None, {})
    logits = score_labels(checkpoint.model, checkpoint.processor.tokenizer, prompt, result.embeds, PromptOptions())
    pipeline = make_classifier(checkpoint, window_pooling=pooling)
    expected = pipeline([{"array": signal / 1000, "sampling_rate": 100} for signal in signals], labels)
    scores = torch.softmax(torch.from_numpy(result.pool_scores(logits, pooling)), dim=-1)
    for own, entries in zip(scores.tolist(), expected, strict=True):
        assert dict(zip(labels, own, strict=True)) == pytest.approx(
            {entry["label"]: entry["score"] for entry in entries}, abs=1e-5
        )


def test_long_recordings_are_read_and_prepared_a_few_windows_at_a_time(checkpoint, monkeypatch):
    signals = [random_signals(1, samples=samples, seed=samples)[0] for samples in (6000, 6500, 700, 6000)]
    dataset = make_dataset(signals)
    expected = embeds(checkpoint, dataset, windows="mean")
    assert expected.record.tolist() == [0] * 11 + [1] * 12 + [2] + [3] * 11
    monkeypatch.setattr(embedding, "WINDOWS_AT_A_TIME", 5)
    monkeypatch.setattr(embedding, "_SAMPLES_PER_ROW", 3200)  # of 4 rows: two long recordings
    read, prepared = [], []
    monkeypatch.setattr(
        embedding, "read_signals", lambda data, rows: read.append(len(rows)) or read_signals(data, rows)
    )

    prepare = ETPFeatureExtractor.__call__
    monkeypatch.setattr(
        ETPFeatureExtractor,
        "__call__",
        lambda self, windows, **given: prepared.append(len(windows)) or prepare(self, windows, **given),
    )
    bounded = embeds(checkpoint, dataset, batch_size=4, windows="mean")
    assert read == [2, 2]
    assert max(prepared) == 5
    assert bounded.record.tolist() == expected.record.tolist()
    torch.testing.assert_close(bounded.embeds, expected.embeds)


@pytest.mark.parametrize(
    ("samples", "rate", "seconds", "windows"),
    [
        ((1000, 1000), 100, None, "one"),
        ((1000, 700), 100, None, "one"),
        ((5000, 5000), 500, None, "one"),
        ((1000, 1001), 100, None, "mean"),
        ((1000, 3000), 100, None, "mean"),
        ((3000, 3000), 100, 10, "one"),
        ((3000, 3000), 100, 20, "mean"),
        ((2571, 2571), 257, None, "mean"),
        ((2570, 2570), 257, None, "one"),
    ],
)
def test_windows_are_pooled_only_where_a_recording_has_several(checkpoint, samples, rate, seconds, windows):
    signals = [random_signals(1, samples=count)[0] for count in samples]
    splits = DatasetDict({"train": make_dataset(signals[:1], rate=rate), "test": make_dataset(signals, rate=rate)})
    asked = Conditions(windows="mean", seconds=seconds)
    assert asked.as_needed(splits, checkpoint.processor.feature_extractor) == replace(asked, windows=windows)


def test_what_is_kept_of_embeddings_is_numbered_anew():
    rows = torch.tensor([0, 1, 1, 2, 3, 3])
    result = EcgEmbeddings(torch.arange(6.0)[:, None], torch.arange(6.0)[:, None], rows)
    kept = result.keep(np.array([True, False, True, True]))
    assert kept.record.tolist() == [0, 1, 2, 2]
    assert kept.embeds.flatten().tolist() == kept.features.flatten().tolist() == [0, 3, 4, 5]


def test_seconds_cut_the_recording_before_it_is_seen(checkpoint):
    signals = random_signals(2, samples=1000)
    changed = signals.copy()
    changed[:, :, 500:] = 7
    torch.testing.assert_close(
        embeds(checkpoint, make_dataset(signals), seconds=5).embeds,
        embeds(checkpoint, make_dataset(changed), seconds=5).embeds,
    )


def test_the_cache_is_found_by_content_not_by_position(checkpoint, tmp_path):
    embedder = Embedder(checkpoint.processor.feature_extractor, batch_size=2, cache_dir=tmp_path)
    dataset = make_dataset(random_signals(4))

    def run(rows, name="model"):
        return embedder(checkpoint.model, rows, model_name=name, description="test").embeds

    first = run(dataset)
    assert len(list(tmp_path.iterdir())) == 1
    torch.testing.assert_close(run(dataset), first)
    assert len(list(tmp_path.iterdir())) == 1
    torch.testing.assert_close(run(dataset.select([3, 2, 1, 0])), first.flip(0))
    run(dataset, "another model")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_record_that_cannot_be_used_is_named(checkpoint):
    signals = random_signals(3)
    signals[1, 4, 10] = -32768
    with pytest.raises(ValueError, match=r"record 1: NaN .* aVL"):
        embeds(checkpoint, make_dataset(signals))


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"leads": ("I", "V7")}, "distinct leads of .* got I V7"),
        ({"leads": ("I", "I")}, "distinct leads"),
        ({"seconds": 0}, "--seconds must be above 0"),
        ({"windows": "median"}, "one, mean, max"),
    ],
)
def test_conditions_that_cannot_be_are_refused(conditions, message):
    with pytest.raises(ValueError, match=message):
        Conditions(**conditions)


def test_the_random_encoder_shares_the_text_side_and_nothing_of_the_ecg_side(checkpoint):
    untrained, model = random_ecg_side(checkpoint.model, seed=0), checkpoint.model
    before = torch.random.get_rng_state()
    again = random_ecg_side(checkpoint.model, seed=0)
    torch.testing.assert_close(torch.random.get_rng_state(), before)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], untrained.state_dict()[name])
        if not name.startswith("ecg_"):
            torch.testing.assert_close(untrained.state_dict()[name], value)
        elif name.endswith("conv.weight"):
            assert not torch.equal(untrained.state_dict()[name], value), name
    assert not untrained.training
