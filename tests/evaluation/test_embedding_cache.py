"""Embeddings that are kept between runs: whole or not there, whoever else writes them."""

import threading

import pytest
import torch
from safetensors.torch import save_file

from etp.evaluation import embedding
from etp.evaluation.embedding import EcgEmbeddings


def test_a_stored_embedding_is_never_half_there(tmp_path):
    path = tmp_path / "a.safetensors"
    result = EcgEmbeddings(torch.arange(60_000.0).view(-1, 6), torch.ones(10_000, 4), torch.arange(10_000))
    writers = [threading.Thread(target=lambda: [embedding._store(path, result) for _ in range(20)]) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            found = embedding._read_stored(path)
            assert found is not None
            assert torch.equal(found.features, result.features)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["cut", "one bit", "another's"])
def test_a_damaged_stored_embedding_is_passed_over(tmp_path, caplog, damage):
    path = tmp_path / "a.safetensors"
    embedding._store(path, EcgEmbeddings(torch.ones(3, 2), torch.ones(3, 4), torch.arange(3)))
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-5])
    elif damage == "one bit":  # of a number, which stays one
        path.write_bytes(content[:-60] + bytes([content[-60] ^ 1]) + content[-59:])
    else:
        save_file({"features": torch.ones(3, 2), "embeds": torch.ones(3, 4), "record": torch.arange(3)}, path)
    assert embedding._read_stored(path) is None
    assert f"{path} is damaged and passed over" in caplog.text
