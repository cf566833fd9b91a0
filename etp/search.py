"""A search index: the embeddings of ECGs and of texts, tied to the model that made them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from .atomic_files import whole_folder
from .file_hashes import file_sha256

if TYPE_CHECKING:
    from datasets import Dataset

    from etp.loading import Checkpoint

FORMAT_VERSION = 3
EMBEDS_FILE, ENTRIES_FILE = "embeds.safetensors", "index.json"
ROWS_AT_A_TIME = 65_536  # bounds the matrix of scores
UNIT_TOLERANCE = 0.01  # float32 normalisation is good to 1e-6; what is further off was not made by a model of ours
_ENTRIES = {
    "format_version",
    "embeds_sha256",
    "entries_sha256",
    "checkpoint_sha256",
    "ecgs",
    "texts",
    "text_of_ecg",
}
_ENTRIES_OF_FORMAT = {2: _ENTRIES, FORMAT_VERSION: {*_ENTRIES, "model"}}
_CURE = "Delete it and make it again with `etp index`."


class SearchIndexError(ValueError):
    """An index that is missing, damaged, or of another model; the message says the cure."""


@dataclass(frozen=True)
class Hit:
    """One thing that was found.

    Attributes:
        score: Cosine similarity.
        ecg: Name of the ECG: its file, or its record in a data set. Where a text was found, that of the first ECG whose
            report it is; None for a text of no ECG.
        text: The text that was found, or that belongs to the ECG; None where an ECG has none.
        more_ecgs: Where a text was found: how many further ECGs have the same.
    """

    score: float
    ecg: str | None
    text: str | None
    more_ecgs: int = 0


@dataclass(frozen=True)
class SearchIndex:
    """ECGs, texts, or both, as unit vectors; searched by one matrix product, which serves up to a million of each.

    Attributes:
        checkpoint_sha256: Of the model, see `etp.loading.Checkpoint.sha256`.
        ecgs: Names of the ECGs.
        ecg_embeds: float32 `(ecgs, dim)`.
        texts: Distinct texts.
        text_embeds: float32 `(texts, dim)`.
        text_of_ecg: Row of each ECG's text, -1 where it has none, `(ecgs,)`.
        model: What the model is opened by, see `etp.loading.model_name`; None where that is not known.
    """

    checkpoint_sha256: str
    ecgs: Sequence[str] = ()
    ecg_embeds: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    texts: Sequence[str] = ()
    text_embeds: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    text_of_ecg: Sequence[int] = ()
    model: str | None = None

    def __post_init__(self):
        for what, names, embeds in (("ECGs", self.ecgs, self.ecg_embeds), ("texts", self.texts, self.text_embeds)):
            _check_names(what, names)
            _check_embeds(what, names, embeds)
        _check_rows(self.text_of_ecg, len(self.ecgs), len(self.texts))
        if not (len(self.ecgs) or len(self.texts)):
            raise SearchIndexError("there is nothing to search: an index needs ECGs or texts.")
        if not isinstance(self.checkpoint_sha256, str):
            raise SearchIndexError(f"the model is named by its sha256, got {self.checkpoint_sha256!r}.")
        if not isinstance(self.model, (str, type(None))):
            raise SearchIndexError(f"the model is opened by a name, got {self.model!r}.")

    def nearest_texts(self, queries: np.ndarray, *, k: int = 10) -> list[list[Hit]]:
        """The texts nearest to each of some unit vectors `(queries, dim)`, nearest first.

        Raises:
            SearchIndexError: If the index has no texts, or the queries have another width.
        """
        scores, rows = _nearest(self.text_embeds, queries, k, what="texts")
        return [
            [Hit(float(score), text=self.texts[row], **self._ecgs_of(row)) for score, row in zip(*found, strict=True)]
            for found in zip(scores, rows, strict=True)
        ]

    def nearest_ecgs(self, queries: np.ndarray, *, k: int = 10) -> list[list[Hit]]:
        """The ECGs nearest to each of some unit vectors `(queries, dim)`, nearest first; errors as of texts."""
        scores, rows = _nearest(self.ecg_embeds, queries, k, what="ECGs")
        return [
            [Hit(float(score), self.ecgs[row], self._text_of(row)) for score, row in zip(*found, strict=True)]
            for found in zip(scores, rows, strict=True)
        ]

    def _ecgs_of(self, text: int) -> dict[str, Any]:
        rows = np.flatnonzero(np.asarray(self.text_of_ecg) == text)
        return {"ecg": self.ecgs[rows[0]], "more_ecgs": len(rows) - 1} if len(rows) else {"ecg": None}

    def _text_of(self, row: int) -> str | None:
        text = self.text_of_ecg[row] if len(self.text_of_ecg) else -1
        return None if text < 0 else self.texts[text]

    def save(self, folder: str | Path) -> Path:
        """Write the index as a folder, under its name only when it is whole.

        Raises:
            FileExistsError: If there is something of that name.
            NotWrittenError: If it can't be written.
        """
        entries = {
            "checkpoint_sha256": self.checkpoint_sha256,
            "ecgs": list(self.ecgs),
            "texts": list(self.texts),
            "text_of_ecg": list(self.text_of_ecg),
            "model": self.model,
        }
        with whole_folder(folder) as unfinished:
            save_file({"ecgs": self.ecg_embeds, "texts": self.text_embeds}, unfinished / EMBEDS_FILE)
            hashes = {"embeds_sha256": file_sha256(unfinished / EMBEDS_FILE), "entries_sha256": _sha256(entries)}
            content = {"format_version": FORMAT_VERSION, **hashes, **entries}
            (unfinished / ENTRIES_FILE).write_text(json.dumps(content), encoding="utf-8")
        return Path(folder)

    @classmethod
    def load(
        cls, folder: str | Path, *, checkpoint_sha256: str | None = None, model: str | None = None
    ) -> "SearchIndex":
        """Read an index.

        Args:
            checkpoint_sha256: Of the model that is to search; None skips the comparison, to look at an index.
            model: What that model was opened by, for the error where it is another one than that of the index.

        Raises:
            SearchIndexError: If it is missing, damaged, or was made with another model.
        """
        folder = Path(folder)
        for name in (ENTRIES_FILE, EMBEDS_FILE):
            if not (folder / name).is_file():
                raise SearchIndexError(f"{folder} is not a search index: it lacks {name}. Make one with `etp index`.")
        try:
            entries = json.loads((folder / ENTRIES_FILE).read_text(encoding="utf-8"))
            embeds = load_file(folder / EMBEDS_FILE)
            embeds_sha256 = file_sha256(folder / EMBEDS_FILE)
        except (SafetensorError, ValueError, OSError, RecursionError, KeyError, TypeError) as error:
            raise SearchIndexError(f"{folder} can't be read as a search index ({error}). {_CURE}") from error
        if not _is_known(entries) or embeds.keys() != {"ecgs", "texts"}:
            raise SearchIndexError(f"{folder} is not a search index of format {FORMAT_VERSION}. {_CURE}")
        del entries["format_version"]
        for name, found in ((EMBEDS_FILE, embeds_sha256), (ENTRIES_FILE, None)):
            stated = entries.pop("embeds_sha256" if found else "entries_sha256")
            if stated != (found or _sha256(entries)):
                raise SearchIndexError(f"{folder} is damaged: {name} is not what was written. {_CURE}")
        made_with = entries["checkpoint_sha256"]
        if not isinstance(made_with, str):
            raise SearchIndexError(f"{folder} is damaged: it names its model {made_with!r}. {_CURE}")
        if checkpoint_sha256 is not None and checkpoint_sha256 != made_with:
            raise SearchIndexError(
                _of_another_model(folder, made_with, entries.get("model"), checkpoint_sha256, model)
            )
        try:
            return cls(**entries, ecg_embeds=embeds["ecgs"], text_embeds=embeds["texts"])
        except SearchIndexError as error:
            raise SearchIndexError(f"{folder} is damaged: {error} {_CURE}") from error


def index_archive(
    checkpoint: "Checkpoint", dataset: "Dataset", *, model: str | None = None, batch_size: int = 64
) -> SearchIndex:
    """Index the ECGs of a data set and the statements of their reports, each distinct text once.

    Args:
        checkpoint: From `etp.loading.load_checkpoint`.
        dataset: Rows of an archive, see `etp.archives.open_archive`; read as one window each.
        model: What the checkpoint was opened by, see `etp.loading.model_name`.
        batch_size: ECGs that are run at a time.
    """
    from etp.evaluation.embedding import Conditions, embed_ecgs
    from modeling_etp.zero_shot_etp import embed_texts

    embedded = embed_ecgs(
        checkpoint.model,
        checkpoint.processor.feature_extractor,
        dataset,
        conditions=Conditions(),
        batch_size=batch_size,
    )
    reports = [". ".join(statements or []) for statements in dataset["statements"][:]]  # as in training
    rows = {text: row for row, text in enumerate(dict.fromkeys(filter(None, reports)))}
    texts: dict[str, Any] = (
        {"texts": list(rows), "text_of_ecg": [rows.get(text, -1) for text in reports]} if rows else {}
    )
    if rows:
        texts["text_embeds"] = embed_texts(checkpoint.model, checkpoint.processor.tokenizer, list(rows)).cpu().numpy()
    return SearchIndex(checkpoint.sha256, list(dataset["record_id"][:]), embedded.embeds.numpy(), model=model, **texts)


def _of_another_model(folder: Path, sha256: str, model: str | None, other_sha256: str, other_model: str | None) -> str:
    """That an index was made with `model`, not with `other_model`, and how it is searched all the same."""
    made_with = f"{folder} was made with the model {model or f'of sha256 {sha256[:12]}'}"
    again = f"make it again: `etp index --model {quote(other_model or 'MODEL')} …`"
    if model is not None and model == other_model:
        return (
            f"{made_with}, whose files have changed since (sha256 {sha256[:12]}, now {other_sha256[:12]}), so that old and "
            f"new embeddings have nothing in common. Delete the index and {again}."
        )
    cure = f"--model {quote(model)}" if model else "the --model whose sha256 begins so in `etp info MODEL`"
    return (
        f"{made_with}, not with {other_model or f'that of sha256 {other_sha256[:12]}'}: their embeddings have nothing in "
        f"common. Search it with {cure}, or {again}."
    )


def _is_known(entries: Any) -> bool:
    """Whether these are the entries of a format that can be read."""
    return isinstance(entries, dict) and any(
        entries.keys() == names and entries["format_version"] == version
        for version, names in _ENTRIES_OF_FORMAT.items()
    )


def _sha256(entries: dict[str, Any]) -> str:
    """Of what the entries say, however the file is laid out: against damage, not against malice."""
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _check_names(what: str, names: Any) -> None:
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise SearchIndexError(f"the names of its {what} must be a list of strings.")


def _check_embeds(what: str, names: Sequence[str], embeds: np.ndarray) -> None:
    if embeds.ndim != 2 or len(embeds) != len(names):
        raise SearchIndexError(f"{len(names)} {what} need as many embeddings, got shape {embeds.shape}.")
    if embeds.dtype != np.float32:
        raise SearchIndexError(f"embeddings of {what} are float32, got {embeds.dtype}.")
    lengths = np.linalg.norm(embeds, axis=1)
    if len(embeds) and not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):  # also where a value is NaN
        row = int(np.argmax(~(np.abs(lengths - 1) < UNIT_TOLERANCE)))
        raise SearchIndexError(
            f"embeddings are unit vectors; that of {names[row]!r} has the length {lengths[row]:.3g}."
        )


def _check_rows(rows: Sequence[int], num_ecgs: int, num_texts: int) -> None:
    """Row of each ECG's text: as many as ECGs or none, each of a text or -1."""
    if not isinstance(rows, (list, tuple)) or len(rows) not in (0, num_ecgs):
        raise SearchIndexError(f"{num_ecgs} ECGs need as many rows of texts, or none.")
    wrong = [row for row in rows if isinstance(row, bool) or not isinstance(row, int) or not -1 <= row < num_texts]
    if wrong:
        raise SearchIndexError(f"an ECG names the text in row {wrong[0]!r}; there are {num_texts} texts.")


def _nearest(embeds: np.ndarray, queries: np.ndarray, k: int, *, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores and rows of the `k` nearest to each query, `(queries, k)`, nearest first."""
    if not len(embeds):
        raise SearchIndexError(f"the index holds no {what}. Make one that does.")
    if k < 1:
        raise SearchIndexError(f"at least 1 of the nearest can be asked for, got {k}.")
    queries = np.atleast_2d(np.asarray(queries, np.float32))
    if queries.shape[1] != embeds.shape[1]:
        raise SearchIndexError(f"queries have {queries.shape[1]} numbers, the index {embeds.shape[1]}: another model?")
    best_scores = np.empty((len(queries), 0), np.float32)
    best_rows = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(embeds), ROWS_AT_A_TIME):
        scores = queries @ embeds[start : start + ROWS_AT_A_TIME].T
        rows = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        best_scores = np.concatenate([best_scores, scores], axis=1)
        best_rows = np.concatenate([best_rows, rows], axis=1)
        if best_scores.shape[1] > k:
            kept = np.argpartition(-best_scores, k - 1, axis=1)[:, :k]
            best_scores = np.take_along_axis(best_scores, kept, axis=1)
            best_rows = np.take_along_axis(best_rows, kept, axis=1)
    order = np.lexsort((best_rows, -best_scores), axis=1)
    return np.take_along_axis(best_scores, order, axis=1), np.take_along_axis(best_rows, order, axis=1)
