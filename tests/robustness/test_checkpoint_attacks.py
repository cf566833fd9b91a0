"""Checkpoints from strangers: nothing in them runs, reaches out of its folder, or keeps the loader busy."""

import json
import os
import shutil
import struct
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from etp.loading import CheckpointError, load_checkpoint
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.modeling_etp import ETPEcgModel, ETPModel

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


class _Payload:
    """Pickled, it writes a file as soon as it is opened."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def folder(checkpoint_dir, tmp_path) -> Path:
    return Path(shutil.copytree(checkpoint_dir, tmp_path / "checkpoint"))


def change_header(folder: Path, change) -> None:
    content = (folder / WEIGHTS).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    change(header)
    changed = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + length :])


def change_config(folder: Path, change) -> None:
    change_json(folder / "config.json", change)


def change_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def put_pipe(path: Path) -> None:
    """In the place of a file, what nobody will ever write to: opening it waits for ever."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("model_class", [ETPModel, ETPEcgModel])
@pytest.mark.parametrize("name", ["pytorch_model.bin", WEIGHTS])
def test_a_pickle_is_never_opened(folder, model_class, name, monkeypatch):
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    torch.save({**weights, "x": _Payload(folder / "ran")}, folder / name)
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("torch.load was called"))
    with pytest.raises(Exception, match=r"no file named model.safetensors|header"):
        model_class.from_pretrained(folder)
    with pytest.raises(ValueError, match="loaded from safetensors only"):
        model_class.from_pretrained(folder, use_safetensors=False)
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "weights.bin", "..\\outside.safetensors", "a/b.safetensors"])  # fmt: skip
def test_an_index_names_only_safetensors_beside_it(folder, name):
    shutil.copy(folder / WEIGHTS, folder.parent / "outside.safetensors")
    names = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, name)}))
    with pytest.raises(ValueError, match="Only safetensors files beside it are opened"):
        ETPModel.from_pretrained(folder)


def test_weights_split_over_files_are_loaded(folder):
    model = ETPModel.from_pretrained(folder)
    for path in folder.glob("model*"):
        path.unlink()
    model.save_pretrained(folder, max_shard_size="5kB")
    assert (folder / INDEX).is_file()
    torch.testing.assert_close(ETPModel.from_pretrained(folder).state_dict(), model.state_dict(), rtol=0, atol=0)


FIRST = "ecg_projection.layers.0.weight"
DAMAGE = {
    "truncated": lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100]),
    "empty": lambda folder: (folder / WEIGHTS).write_bytes(b""),
    "huge header": lambda folder: (folder / WEIGHTS).write_bytes(struct.pack("<Q", 2**62) + b"{}"),
    "header beyond the file": lambda folder: (folder / WEIGHTS).write_bytes(struct.pack("<Q", 99_000_000) + b"{}"),
    "lying shape": lambda folder: change_header(folder, lambda h: h[FIRST].update(shape=[10**9, 10**9])),
    "other shape": lambda folder: change_header(folder, lambda h: h[FIRST].update(shape=[8, 2, 4])),
    "overlapping": lambda folder: change_header(folder, lambda h: h[FIRST].update(data_offsets=[0, 256])),
    "unknown type": lambda folder: change_header(folder, lambda h: h[FIRST].update(dtype="EVIL")),
    "many tensors": lambda folder: change_header(
        folder, lambda h: h.update({f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(30_000)})
    ),
    "link elsewhere": lambda folder: ((folder / WEIGHTS).unlink(), (folder / WEIGHTS).symlink_to("/etc/passwd")),
    "billions of words": lambda folder: change_config(folder, lambda c: c["text_config"].update(vocab_size=10**12)),
    "millions of layers": lambda folder: change_config(folder, lambda c: c["text_config"].update(num_hidden_layers=10**7)),
    "millions of blocks": lambda folder: change_config(folder, lambda c: c["ecg_config"].update(depths=[10**7, 1])),
    "weights elsewhere": lambda folder: change_config(folder, lambda c: c.update(transformers_weights="../x.safetensors")),
    "unknown code": lambda folder: change_config(
        folder, lambda c: c["text_config"].update(model_type="evil", auto_map={"AutoModel": "evil.Model", "AutoConfig": "evil.C"})
    ),
    "nested config": lambda folder: (folder / "config.json").write_text("[" * 200_000),
    "binary config": lambda folder: (folder / "config.json").write_bytes(b"\x80\x04"),
    "empty tokenizer": lambda folder: (folder / "tokenizer.json").write_text("{}"),
    "no vocabulary": lambda folder: (folder / "tokenizer.json").unlink(),
    "pipe for weights": lambda folder: put_pipe(folder / WEIGHTS),
    "pipe for config": lambda folder: put_pipe(folder / "config.json"),
    "pipe for tokenizer": lambda folder: put_pipe(folder / "tokenizer.json"),
    "pipe for processor": lambda folder: put_pipe(folder / "processor_config.json"),
    "tokenizer's own code": lambda folder: change_json(
        folder / "tokenizer_config.json",
        lambda c: c.update(tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.C", "evil.C"]}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_or_lying_checkpoint_is_refused_soon(folder, damage):
    DAMAGE[damage](folder)
    (folder / "evil.py").write_text(
        "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nclass C: pass\n"
    )
    start = time.process_time()
    with pytest.raises(CheckpointError, match=str(folder)):
        load_checkpoint(folder)
    assert time.process_time() - start < 5
    assert not (folder / "ran").exists()


def test_weights_that_are_not_finite_are_refused_by_name(folder):
    weights = load_file(folder / WEIGHTS)
    weights[FIRST][0, 0] = float("nan")
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=f"NaN or infinite weights in {FIRST}"):
        load_checkpoint(folder)


def test_code_beside_the_weights_runs_only_if_trusted(folder):
    from transformers import AutoModel

    (folder / "modeling_etp.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    change_config(folder, lambda c: c.update(auto_map={"AutoModel": "modeling_etp.ETPModel"}))
    assert type(AutoModel.from_pretrained(folder)) is ETPModel
    ETPModel.from_pretrained(folder)
    load_checkpoint(folder)
    assert not (folder / "ran").exists()


def test_a_feature_extractor_for_more_than_a_day_is_refused():
    ETPFeatureExtractor(num_samples=86_400 * 100)
    with pytest.raises(ValueError, match=r"may be 86,400 s at most, got 1e\+11 s"):
        ETPFeatureExtractor(num_samples=10**13)
