"""Tiny configurations and inputs for the model tests."""

import pytest
import torch

from modeling_etp.configuration_etp import ETPConfig
from modeling_etp.modeling_etp import ETPModel

TINY_ECG = {"hidden_sizes": (8, 16), "depths": (1, 1), "kernel_sizes": (3, 3)}
TINY_BERT = {
    "model_type": "bert",
    "vocab_size": 40,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 20,
}


@pytest.fixture
def make_config():
    """Make a tiny `ETPConfig`; keyword arguments are its fields."""

    def make(**fields) -> ETPConfig:
        return ETPConfig(**{"ecg_config": TINY_ECG, "text_config": TINY_BERT, "projection_dim": 6, **fields})

    return make


@pytest.fixture
def make_model(make_config):
    """Make a tiny seeded `ETPModel` in evaluation mode; keyword arguments are fields of its configuration."""

    def make(**fields) -> ETPModel:
        torch.manual_seed(0)
        return ETPModel(make_config(**fields)).eval()

    return make


@pytest.fixture
def ecgs() -> torch.Tensor:
    """Four ECGs, `(4, 12, 200)`."""
    return torch.randn(4, 12, 200, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def texts() -> dict[str, torch.Tensor]:
    """Four tokenized texts, two of them padded, `(4, 7)`."""
    input_ids = torch.randint(1, 40, (4, 7), generator=torch.Generator().manual_seed(2))
    attention_mask = torch.ones(4, 7, dtype=torch.long)
    attention_mask[1, 4:] = 0
    attention_mask[3, 2:] = 0
    return {"input_ids": input_ids, "attention_mask": attention_mask}
