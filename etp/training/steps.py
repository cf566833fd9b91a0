"""One optimizer step: batch, loss and backward pass, on one process or several, whole or in chunks."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from etp.augmentation import Augmentation
from etp.texts.negations import NegationVocabulary
from etp.texts.patients import PatientText, PatientTexts
from etp.texts.statement_vocabulary import StatementVocabulary
from etp.texts.views import TextKey
from etp.training.data.batches import share
from etp.training.data.records import Split
from etp.training.processes.batch_norm import running_statistics_kept
from etp.training.processes.sharding import average_whole_gradients, is_sharded
from etp.training.towers.building import FrozenTextEncoder
from etp.training.towers.trainable_text import TrainableTextEncoder

from .objective_names import PATIENT, WINDOWS
from .objectives import NUM_WINDOWS, TextColumns


@dataclass(frozen=True)
class Batch:
    """This process's part of a global batch.

    Attributes:
        records: Positions in the split of all ECGs of the global batch.
        input_values: Own ECGs, mV, `(own ECGs, leads, samples)`; with the objective `windows` the first windows of all of
            them, then the second ones.
        columns: Texts of each objective.
    """

    records: np.ndarray
    input_values: Tensor
    columns: dict[str, TextColumns]


class BatchMaker:
    """Makes the parts of batches that fall to one process.

    Args:
        split: Records to train on.
        texts: Gives the features of texts.
        augmentation: Applied to the ECGs.
        objectives: Names of the objectives whose columns are wanted.
        vocabulary: Statements that are the columns of the objective `vocabulary`.
        negations: Pairs that are the columns of the objective `negation`.
    """

    def __init__(
        self,
        split: Split,
        texts: FrozenTextEncoder | TrainableTextEncoder,
        augmentation: Augmentation,
        *,
        objectives: Sequence[str],
        vocabulary: StatementVocabulary,
        negations: NegationVocabulary,
        accelerator: Accelerator,
    ):
        self._split = split
        self._texts = texts
        self._augmentation = augmentation
        self._objectives = objectives
        self._rank = accelerator.process_index
        self._world_size = accelerator.num_processes
        self._device = accelerator.device
        self._num_windows = NUM_WINDOWS if WINDOWS in objectives else 1
        self._vocabulary = vocabulary
        self._negations = negations
        self._patients_epoch: int | None = None
        self._patients: list[PatientText | None] = []

    def texts_of_epoch(self, views: Sequence[TextKey], *, epoch: int) -> list[str]:
        """Every text that an epoch's batches will ask for."""
        drawn = [self._split.views.text(key) for key in dict.fromkeys(views)] if "batch" in self._objectives else []
        vocabulary_texts = self._vocabulary.paraphrases() if "vocabulary" in self._objectives else []
        negated = self._negations.paraphrases() if {"negation", "absence"} & set(self._objectives) else []
        return [
            *drawn,
            *vocabulary_texts,
            *negated,
            *map(str, self._texts_on_patients(range(len(self._split)), epoch)),
        ]

    def make(self, records: np.ndarray, views: Sequence[TextKey], *, epoch: int, step: int) -> Batch:
        """Build this process's part of a global batch.

        Args:
            records: Positions of the global batch's records.
            views: The epoch's text of every record of the split.
            step: Within the epoch.
        """
        rows = self._share(len(records))
        own = records[rows]
        ecg = self._split.signals.batch(own)
        ecg = self._windows(ecg, epoch=epoch, step=step, rows=rows, batch_size=len(records))
        columns = {}
        if PATIENT in self._objectives:
            texts = self._texts_on_patients(records, epoch)
            true = cast(PatientTexts, self._split.patients).positives(own, texts)
            columns[PATIENT] = self._columns(list(map(str, texts)), true)
        if "batch" in self._objectives:
            keys = list(dict.fromkeys(views[record] for record in records))
            columns["batch"] = self._columns(
                [self._split.views.text(key) for key in keys], self._split.views.positives(own, keys)
            )
        if "vocabulary" in self._objectives:
            columns["vocabulary"] = self._columns(
                self._vocabulary.texts(epoch=epoch, step=step), self._vocabulary.positives(own)
            )
        if "negation" in self._objectives:
            weights = self._negations.weights(records)[rows]  # balanced over the global batch
            columns["negation"] = self._columns(self._negations.texts(epoch=epoch, step=step), weights)
        if "absence" in self._objectives:
            weights = self._negations.weights(records)[rows]
            negations = self._negations.texts(epoch=epoch, step=step)[: len(self._negations)]
            columns["absence"] = self._columns(negations, weights)
        return Batch(records=records, input_values=ecg, columns=columns)

    def expect(self, records: np.ndarray) -> None:
        """Begin to read this process's ECGs of the next global batch."""
        self._split.signals.expect(records[self._share(len(records))])

    def _texts_on_patients(self, records: Iterable[int], epoch: int) -> list[PatientText]:
        """What the epoch says of the patients of some records, without repetition."""
        if self._split.patients is None:
            return []
        if self._patients_epoch != epoch:
            self._patients_epoch, self._patients = epoch, self._split.patients.draw(epoch)
        return list(dict.fromkeys(text for record in records if (text := self._patients[record]) is not None))

    def _windows(self, ecg: Tensor, **batch: Any) -> Tensor:
        """Each ECG changed as often as the objectives want it, `(windows * ECGs, leads, samples)`."""
        windows = [
            # the last in place
            self._augmentation(ecg.clone() if window + 1 < self._num_windows else ecg, window=window, **batch)
            for window in range(self._num_windows)
        ]
        return windows[0] if len(windows) == 1 else torch.cat(windows)

    def _columns(self, texts: Sequence[str], positives: np.ndarray) -> TextColumns:
        own_texts = texts[self._share(len(texts))]
        of_windows = torch.from_numpy(positives).to(self._device).repeat(self._num_windows, 1) / self._num_windows
        return TextColumns(texts=self._texts.columns(own_texts), positives=of_windows)

    def _share(self, num_rows: int) -> slice:
        return share(num_rows, rank=self._rank, world_size=self._world_size)


def backward(accelerator: Accelerator, model, batch: Batch, *, chunk: int | None) -> dict[str, Tensor]:
    """Compute the losses of a global batch and add their gradients.

    Args:
        model: A `ContrastiveModel` as `accelerator.prepare` returned it.
        chunk: Largest number of ECGs in one forward pass; none takes them all.

    Returns:
        Detached scalars, see `ContrastiveModel.forward`.
    """
    windows = NUM_WINDOWS if WINDOWS in accelerator.unwrap_model(model).weights else 1
    largest_share = windows * math.ceil(len(batch.records) / accelerator.num_processes)
    # Every process makes as many passes as the one with most rows: each pass ends in a meeting of all.
    passes = 1 if chunk is None else math.ceil(largest_share / chunk)
    with accelerator.autocast():  # which `prepare` wraps around the forward pass of a whole model only
        if passes == 1:
            losses = model(batch.input_values, batch.columns)
            accelerator.backward(losses["loss"])
        else:
            losses = _backward_in_chunks(accelerator, model, batch, passes=passes)
    if is_sharded(accelerator):
        average_whole_gradients(model)
    return {name: loss.detach() for name, loss in losses.items()}


def _backward_in_chunks(accelerator: Accelerator, model, batch: Batch, *, passes: int) -> dict[str, Tensor]:
    """GradCache (arXiv:2101.06983): embed all without a graph, find the loss's gradient of every embedding, then repeat
    each chunk with a graph and pass its part of that gradient on.

    The last chunk's pass computes the loss once more around the others' embeddings, so that the text side and the
    temperature get their gradients in the very backward pass in which processes exchange them. Dropout draws the same
    in both passes of a chunk. BatchNorm normalises by the chunk (over all processes), not by the batch, and its running
    statistics see every chunk once.
    """
    chunks = list(torch.tensor_split(batch.input_values, passes))
    states = []
    with torch.no_grad(), running_statistics_kept(model):
        embeds = []
        for part in chunks:
            states.append(_generator_states(accelerator.device))
            embeds.append(model(part))
    whole = torch.cat(embeds).requires_grad_()
    after = _generator_states(accelerator.device)
    with accelerator.no_sync(model):
        loss = model(None, batch.columns, other_embeds=whole)["loss"]
        (gradient,) = torch.autograd.grad(loss, whole)
        for part, state, part_gradient in zip(
            chunks[:-1], states[:-1], gradient.split([len(part) for part in chunks])[:-1], strict=True
        ):
            _restore_generators(state, accelerator.device)
            model(part).backward(part_gradient)
    _restore_generators(states[-1], accelerator.device)
    losses = model(chunks[-1], batch.columns, other_embeds=whole[: -len(chunks[-1])].detach())
    accelerator.backward(losses["loss"])
    _restore_generators(after, accelerator.device)
    return losses


def _generator_states(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _restore_generators(states: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if states[1] is not None:
        torch.cuda.set_rng_state(states[1], device)
