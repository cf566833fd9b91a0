"""Each text runs through its tower once, on this run or an earlier one, and is known by what it says."""

import shutil

import pytest
import torch
from transformers import AutoTokenizer, BertModel

from etp.training.towers.cut_texts import CutTexts
from etp.training.towers.text_cache import TextFeatures, tower_fingerprint


class CountingTower:
    """Encodes a text as its length and first letter, and remembers what it was asked."""

    def __init__(self):
        self.batches: list[list[str]] = []

    @property
    def seen(self) -> list[str]:
        return [text for batch in self.batches for text in batch]

    def encode(self, texts: list[str]) -> torch.Tensor:
        self.batches.append(texts)
        return torch.tensor([[len(text), ord(text[0])] for text in texts], dtype=torch.float32)

    def vocabulary(self, cache_dir, fingerprint: str = "tower") -> TextFeatures:
        return TextFeatures(
            self.encode, lambda texts: [len(text) for text in texts], fingerprint=fingerprint, cache_dir=cache_dir
        )


@pytest.fixture
def tower():
    return CountingTower()


def values(vocabulary: TextFeatures, texts: list[str]) -> list[list[float]]:
    vocabulary.add(texts)
    return vocabulary.features[vocabulary.rows(texts)].tolist()


def test_every_text_gets_its_own_feature_whatever_the_order(tower, tmp_path):
    vocabulary = tower.vocabulary(tmp_path)
    assert values(vocabulary, ["bb", "a", "bb"]) == [[2, 98], [1, 97], [2, 98]]
    assert values(vocabulary, ["ccc", "a"]) == [[3, 99], [1, 97]]
    assert sorted(tower.seen) == ["a", "bb", "ccc"]


def test_another_run_finds_the_features_under_another_order(tower, tmp_path):
    tower.vocabulary(tmp_path).add(["a", "bb", "ccc"])
    again = CountingTower()
    assert values(again.vocabulary(tmp_path), ["ccc", "dddd", "a"]) == [[3, 99], [4, 100], [1, 97]]
    assert again.seen == ["dddd"]


def test_another_tower_finds_nothing(tower, tmp_path):
    tower.vocabulary(tmp_path, "one").add(["a"])
    again = CountingTower()
    again.vocabulary(tmp_path, "two").add(["a"])
    assert again.seen == ["a"]


def test_a_damaged_file_is_passed_over_and_computed_anew(tower, tmp_path, caplog):
    tower.vocabulary(tmp_path).add(["a", "bb"])
    (path,) = (tmp_path / "tower").glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    again = CountingTower()
    assert values(again.vocabulary(tmp_path), ["a", "bb"]) == [[1, 97], [2, 98]]
    assert sorted(again.seen) == ["a", "bb"]
    assert f"{path} is damaged and passed over" in caplog.text


def test_texts_of_similar_length_share_a_batch(tower, monkeypatch):
    monkeypatch.setattr("etp.training.towers.text_cache.BATCH_SIZE", 2)
    tower.vocabulary(None).add(["aaaa", "b", "cccc", "d"])
    assert [[len(text) for text in batch] for batch in tower.batches] == [[1, 1], [4, 4]]


def test_a_tower_that_gives_nan_is_refused(tower):
    vocabulary = TextFeatures(lambda texts: torch.full((len(texts), 2), torch.nan), lambda texts: [1], fingerprint="x")
    with pytest.raises(ValueError, match="The text tower gave NaN or inf for 'a'"):
        vocabulary.add(["a"])


def test_the_fingerprint_follows_weights_tokenizer_pooling_and_length(text_tower):
    tower, tokenizer = BertModel.from_pretrained(text_tower), AutoTokenizer.from_pretrained(text_tower)

    def fingerprint(pooling: str = "cls", max_tokens: int = 32) -> str:
        return tower_fingerprint(tower, tokenizer, pooling=pooling, max_tokens=max_tokens)

    before = fingerprint()
    tokenizer(["using it", "sets padding and truncation"], padding=True, truncation=True, max_length=4)
    assert fingerprint() == before
    assert len({before, fingerprint(pooling="mean"), fingerprint(max_tokens=16)}) == 3
    with torch.no_grad():
        tower.encoder.layer[1].output.dense.bias[3] += 1e-6
    changed = fingerprint()
    tokenizer.add_tokens(["stemi"])
    assert len({before, changed, fingerprint()}) == 3


def test_texts_that_the_tower_does_not_read_to_the_end_are_counted_once(text_tower, caplog):
    tokenizer = AutoTokenizer.from_pretrained(text_tower)
    cut_texts = CutTexts(tokenizer)
    cut_texts.count(["ecg", "e c g " * 30])
    assert "Of 1 of 2 texts only the first 64 tokens are read" in caplog.text
    assert "the longest has 92" in caplog.text
    caplog.clear()
    cut_texts.count(["ecg", "e c g " * 30, "ecg ecg"])
    assert caplog.text == ""
    cut_texts.count(["g c e " * 40])
    assert "Of 2 of 4 texts" in caplog.text


@pytest.mark.parametrize("unfrozen", [(), ("--unfreeze_text_from", "1")])
def test_a_training_says_how_many_texts_are_cut(run, text_tower, tmp_path, caplog, unfrozen):
    short = tmp_path / "tower"
    shutil.copytree(text_tower, short)
    tokenizer = AutoTokenizer.from_pretrained(short)
    tokenizer.model_max_length = 4
    tokenizer.save_pretrained(short)
    assert run(tmp_path / "run", "--text_model", str(short), *unfrozen) == 0
    assert "texts only the first 4 tokens are read" in caplog.text
