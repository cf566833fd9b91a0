"""The processor: ECGs to the feature extractor, texts to the tokenizer, and both back from disk."""

import numpy as np
import pytest
import torch
from transformers import BertTokenizer

from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.processing_etp import ETPProcessor, ETPProcessorKwargs


@pytest.fixture
def processor() -> ETPProcessor:
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] sinus rhythm atrial fibrillation".split()
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)}, model_max_length=8)
    return ETPProcessor(ETPFeatureExtractor(), tokenizer)


@pytest.fixture
def ecg() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(12, 1000)).astype(np.float32)


def test_both_modalities_give_the_models_inputs(processor, ecg):
    inputs = processor(ecg=[ecg, ecg], text=["sinus rhythm", "atrial"], sampling_rate=100, return_tensors="pt")
    assert set(inputs) == set(processor.model_input_names)
    assert inputs["input_values"].shape == (2, 12, 1000)
    assert inputs["input_ids"].tolist() == [[2, 5, 6, 3], [2, 7, 3, 0]]
    assert all(isinstance(value, torch.Tensor) for value in inputs.values())


def test_each_modality_alone_equals_its_part(processor, ecg):
    np.testing.assert_array_equal(
        processor(ecg=ecg, sampling_rate=100)["input_values"],
        processor.feature_extractor(ecg, sampling_rate=100)["input_values"],
    )
    assert processor(text="sinus")["input_ids"] == processor.tokenizer("sinus")["input_ids"]


def test_texts_are_padded_and_cut_unless_said_otherwise(processor):
    texts = ["sinus", "sinus " * 20]
    assert processor(text=texts, return_tensors="pt")["input_ids"].shape == (2, 8)
    assert processor(text=texts, padding="max_length", max_length=5, return_tensors="pt")["input_ids"].shape == (2, 5)
    assert len(processor(text=texts, padding=False)["input_ids"][0]) == 3


def test_arguments_of_the_feature_extractor_arrive(processor, ecg):
    inputs = processor(
        ecg=ecg[:2] * 1000, sampling_rate=100, lead_names=["II", "V1"], units="uV", return_lead_mask=True
    )
    assert np.flatnonzero(inputs["lead_mask"][0]).tolist() == [1, 6]
    with pytest.raises(ValueError, match="A0001: flat"):
        processor(ecg=0 * ecg, sampling_rate=100, record_ids=["A0001"])


def test_arguments_may_be_grouped_by_modality(processor, ecg):
    inputs = processor(
        ecg=ecg, text="sinus", audio_kwargs={"sampling_rate": 100}, text_kwargs={"padding": "max_length", "max_length": 6},
        return_tensors="pt",
    )  # fmt: skip
    assert inputs["input_ids"].shape == (1, 6)
    assert inputs["input_values"].shape == (1, 12, 1000)


def test_same_argument_twice_is_refused(processor, ecg):
    with pytest.raises(ValueError, match="sampling_rate was passed two times"):
        processor(ecg=ecg, sampling_rate=100, audio_kwargs={"sampling_rate": 500})


def test_rate_is_required_for_ecgs(processor, ecg):
    with pytest.raises(ValueError, match=r"`sampling_rate` \(Hz\) of the ECG is missing"):
        processor(ecg=ecg)


def test_nothing_is_refused(processor):
    with pytest.raises(ValueError, match="expected `ecg`, `text` or both, got neither"):
        processor()


def test_saved_processor_is_one_file_with_both_parts(processor, ecg, tmp_path):
    processor.save_pretrained(tmp_path)
    loaded = ETPProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict() == processor.to_dict()
    first, second = (
        p(ecg=ecg, text="sinus rhythm", sampling_rate=100, return_tensors="pt") for p in (processor, loaded)
    )
    for name in first:
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=0)


def test_its_own_keyword_types_are_used():
    assert ETPProcessor.valid_processor_kwargs is ETPProcessorKwargs
