"""Cache of the frozen text encoder's features, keyed by content and shared between runs."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load, save
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from etp.atomic_files import NotWrittenError, whole_file, writing
from etp.progress import Progress

logger = logging.getLogger(__name__)

DEFAULT_CACHE = Path("~/.cache/etp/text_features")
BATCH_SIZE = 64
TEXTS_PER_FILE = 16_384


class TextFeatures:
    """Features of distinct texts, in the order in which they were first asked for.

    On disk, a folder per tower holds files of `(texts, text_hidden)` features beside the SHA-256 of each text. A file
    is named by the SHA-256 of its own bytes: a damaged one is recognised, passed over and computed anew.

    Args:
        encode: Maps texts of similar length to pooled features `(texts, text_hidden)`, before the text projection.
        lengths: Maps texts to their lengths in tokens; texts of similar length share a batch, so little is padded.
        fingerprint: Names the tower: its weights, tokenizer, pooling and the longest text it reads.
        cache_dir: Folder shared by all towers; none keeps the features in memory only.
    """

    def __init__(
        self,
        encode: Callable[[list[str]], Tensor],
        lengths: Callable[[list[str]], list[int]],
        *,
        fingerprint: str,
        cache_dir: Path | None = None,
    ):
        self._encode = encode
        self._lengths = lengths
        self._folder = None if cache_dir is None else Path(cache_dir).expanduser() / fingerprint
        self._rows: dict[str, int] = {}
        self._features: Tensor | None = None
        self._stored: dict[bytes, np.ndarray] | None = None

    @property
    def features(self) -> Tensor:
        """Features of all texts asked for so far, float32 `(texts, text_hidden)`; `rows` says which is whose."""
        if self._features is None:
            raise ValueError("The cache holds no text yet: call `add` first.")
        return self._features

    def add(self, texts: Iterable[str], *, progress: bool = False) -> None:
        """Make sure that every text has its feature; only texts never seen before run through the tower."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if not new:
            return
        if self._stored is None:
            self._stored = self._read_files()
        missing = [text for text in new if _digest(text) not in self._stored]
        for start in range(0, len(missing), TEXTS_PER_FILE):
            part = missing[start : start + TEXTS_PER_FILE]
            features = self._compute(part, progress=progress)
            self._write_file(part, features)
            self._stored.update(zip(map(_digest, part), features, strict=True))
        added = torch.from_numpy(np.stack([self._stored[_digest(text)] for text in new]))
        self._rows.update({text: row for row, text in enumerate(new, start=len(self._rows))})
        self._features = added if self._features is None else torch.cat([self._features, added])

    def rows(self, texts: Sequence[str]) -> Tensor:
        """Row of `features` of each text, int64 `(texts,)`.

        Raises:
            KeyError: A text that was never added.
        """
        return torch.tensor([self._rows[text] for text in texts], dtype=torch.int64)

    def _compute(self, texts: list[str], *, progress: bool) -> np.ndarray:
        lengths = self._lengths(texts)
        order = sorted(range(len(texts)), key=lambda index: (lengths[index], texts[index]))
        parts = []
        with Progress("Embedding texts", total=len(texts), unit="text", shown=progress) as bar:
            for start in range(0, len(order), BATCH_SIZE):
                batch = order[start : start + BATCH_SIZE]
                embedded = self._encode([texts[index] for index in batch]).float().cpu().numpy()
                if not np.isfinite(embedded).all():
                    raise ValueError(f"The text tower gave NaN or inf for {texts[batch[0]]!r} or a text beside it.")
                parts.append(embedded)
                bar.update(len(batch))
        return np.concatenate(parts)[np.argsort(order)]

    def _read_files(self) -> dict[bytes, np.ndarray]:
        stored: dict[bytes, np.ndarray] = {}
        for path in sorted(self._folder.glob("*.safetensors")) if self._folder else ():
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != path.stem:
                logger.warning("%s is damaged and passed over; its texts are embedded again. You can delete it.", path)
                continue
            tensors = load(content)
            stored.update(zip(map(bytes, tensors["sha256"]), tensors["features"], strict=True))
        return stored

    def _write_file(self, texts: list[str], features: np.ndarray) -> None:
        if self._folder is None:
            return
        keys = np.stack([np.frombuffer(_digest(text), dtype=np.uint8) for text in texts])
        content = save({"features": features, "sha256": keys})
        path = self._folder / f"{hashlib.sha256(content).hexdigest()}.safetensors"
        try:
            with writing(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path, shared=True) as unfinished:
                unfinished.write_bytes(content)
        except NotWrittenError as error:
            logger.warning("Features of texts are not kept for further runs: %s", error)


def tower_fingerprint(
    tower: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, pooling: str, max_tokens: int
) -> str:
    """SHA-256 over everything that decides a text's feature: change any of it and nothing cached is found."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tower.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {array.dtype} {tuple(array.shape)}".encode())
        digest.update(array.view(torch.uint8).numpy() if array.dim() else array.numpy().tobytes())
    config = {name: value for name, value in tower.config.to_diff_dict().items() if not name.startswith("_")}
    config.pop("transformers_version", None)
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    digest.update(_tokenizer_content(tokenizer).encode())
    digest.update(f"{pooling} {max_tokens}".encode())
    return digest.hexdigest()


def _tokenizer_content(tokenizer: PreTrainedTokenizerBase) -> str:
    if not tokenizer.is_fast:
        return type(tokenizer).__name__ + json.dumps(tokenizer.get_vocab(), sort_keys=True)
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    # Padding and truncation are set anew by every call, so they say what was asked last, not what the tokenizer is.
    return json.dumps({**content, "padding": None, "truncation": None}, sort_keys=True)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
