"""A tiny two-tower model with a word-level tokenizer, and ECGs to run it on."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from modeling_etp.configuration_etp import ETPConfig
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.pipeline_etp import ZeroShotEcgClassificationPipeline

WORDS = "[PAD] [UNK] [CLS] [SEP] normal ecg atrial fibrillation flutter sinus rhythm left bundle branch block shows no".split()


@pytest.fixture(scope="session")
def tokenizer():
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )


@pytest.fixture
def make_model():
    def make(**config) -> ETPModel:
        torch.manual_seed(0)
        model = ETPModel(
            ETPConfig(
                ecg_config={"hidden_sizes": (8, 16), "depths": (1, 1), "kernel_sizes": (3, 3)},
                text_config={
                    "model_type": "bert",
                    "hidden_size": 16,
                    "num_hidden_layers": 1,
                    "num_attention_heads": 2,
                    "intermediate_size": 16,
                    "vocab_size": len(WORDS),
                    "max_position_embeddings": 16,
                    "hidden_dropout_prob": 0.5,
                    # As large as in a trained tower, so that texts differ by more than rounding.
                    "initializer_range": 1.0,
                },
                projection_dim=8,
                **config,
            )
        )
        return model.eval()

    return make


@pytest.fixture
def model(make_model):
    return make_model()


@pytest.fixture
def make_classifier(make_model, tokenizer):
    def make(model: ETPModel | None = None, **kwargs) -> ZeroShotEcgClassificationPipeline:
        return ZeroShotEcgClassificationPipeline(
            model=make_model() if model is None else model,
            tokenizer=tokenizer,
            feature_extractor=ETPFeatureExtractor(),
            task="zero-shot-ecg-classification",
            device="cpu",
            **kwargs,
        )

    return make


@pytest.fixture
def classifier(make_classifier):
    return make_classifier()


@pytest.fixture
def make_ecg():
    """Noise whose size and offset differ from record to record, so that their scores do too."""

    def make(seed: int = 0, *, seconds: float = 10, rate: int = 100, leads: int = 12) -> np.ndarray:
        generator = np.random.default_rng(seed)
        ecg = (
            generator.normal(size=(leads, int(seconds * rate))) * (1 + seed % 3) / 3
            + generator.normal(size=(leads, 1)) / 2
        )
        return ecg.astype(np.float32)

    return make


@pytest.fixture
def ecg(make_ecg):
    return make_ecg()
