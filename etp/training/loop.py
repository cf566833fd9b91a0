"""The training loop: epochs and steps, with logs, validation and checkpoints."""

import logging
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate import Accelerator
from tqdm.auto import tqdm

from etp.atomic_files import whole_file
from etp.options import OptionError
from etp.randomness import Purpose, seed_torch
from etp.run_files import METRICS_FILE
from etp.texts.negations import NegationVocabulary
from etp.texts.statement_vocabulary import StatementVocabulary
from etp.training.data.augmentation import Augmentation
from etp.training.data.batches import BatchPlan
from etp.training.data.records import Split
from etp.training.processes.memory import release_freed_memory
from etp.training.processes.sharding import cut_like, gathered, is_sharded, leave_whole, load_whole_state, whole
from etp.training.towers.building import FrozenTextEncoder
from etp.training.towers.trainable_text import TrainableTextEncoder, layer_learning_rates

from .arguments import Arguments
from .checkpoints import Checkpoint, CheckpointError, check_weights, read_checkpoint, write_checkpoint
from .interruption import Interruption
from .logs import MetricsFile, process_figures, versions
from .objectives import ContrastiveModel
from .optimization import WeightAverage, make_optimizer, parameter_groups, trained_tensors
from .steps import Batch, BatchMaker, backward
from .validation import validate

logger = logging.getLogger(__name__)


@dataclass
class Position:
    """How far a run is: `step` optimizer steps in all, the last ones in `epoch`."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best: float | None = None
    best_step: int | None = None


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite; the message names the step and its records."""


class Trainer:
    """Trains a model on a split; what it does depends on nothing but its arguments and its position.

    Args:
        accelerator: Of one process or many.
        model: With its losses; not yet prepared.
        args: All options.
        train: Records to learn from.
        validation: Records to validate on after each epoch.
        texts: Gives the features of texts.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: ContrastiveModel,
        args: Arguments,
        *,
        train: Split,
        validation: Split,
        texts: FrozenTextEncoder | TrainableTextEncoder,
    ):
        self.accelerator, self.args, self.texts = accelerator, args, texts
        self.train_split, self.validation_split = train, validation
        options = args.training
        self.plan = BatchPlan(len(train), options.batch_size, options.drop_last, options.seed)
        self._check_enough_rows()
        self.num_steps = options.num_epochs * self.plan.steps_per_epoch
        if options.max_steps is not None:
            self.num_steps = min(self.num_steps, options.max_steps)
        self.module = model
        rates = {}
        if args.model.unfreeze_text_from is not None:
            rates = layer_learning_rates(
                model.model,
                learning_rate=args.model.text_learning_rate,
                decay=args.model.text_layer_decay,
                prefix="model.",
            )
        groups = parameter_groups(
            model, learning_rate=options.learning_rate, weight_decay=options.weight_decay, layer_rates=rates
        )
        optimizer, self.scheduler = make_optimizer(
            groups,
            num_steps=self.num_steps,
            warmup_ratio=options.warmup_ratio,
            one_by_one=is_sharded(accelerator),
        )
        if is_sharded(accelerator):
            leave_whole(accelerator, model)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        # After `prepare`, which may put new tensors in the place of buffers.
        self.trained = trained_tensors(model)
        self.average = WeightAverage(model, decay=options.ema_decay) if options.ema_decay else None
        augmentation = Augmentation(
            args.augmentation,
            sampling_rate=args.model.sampling_rate,
            num_epochs=options.num_epochs,
            seed=options.seed,
            device=accelerator.device,
        )
        vocabulary = StatementVocabulary(
            train.statements,
            min_count=options.vocabulary_min_count,
            size=options.vocabulary_size,
            generalise=options.vocabulary_generalisations,
            hypernyms=options.vocabulary_hypernyms,
            paraphrase_rate=options.paraphrase_rate,
            max_paraphrases=options.max_paraphrases,
            sentence_fraction=options.sentence_fraction,
            seed=options.seed,
        )
        self.batches = BatchMaker(
            train,
            texts,
            augmentation,
            objectives=list(options.objectives),
            vocabulary=vocabulary,
            negations=NegationVocabulary(vocabulary, seed=options.seed),
            accelerator=accelerator,
        )
        self.position = Position()
        self._meter = _Meter()

    def _check_enough_rows(self) -> None:
        processes = self.accelerator.num_processes
        if self.plan.smallest_batch < processes:
            raise OptionError(
                f"The smallest batch has {self.plan.smallest_batch} records for {processes} processes: raise "
                "--batch_size or pass --drop_last true."
            )
        if len(self.validation_split) < max(2, processes):
            raise OptionError(
                f"The validation split has {len(self.validation_split)} records with text, {max(2, processes)} are "
                "needed."
            )

    def resume(self, folder: Path) -> None:
        """Continue from a checkpoint as if there had been no break."""
        checkpoint = read_checkpoint(folder)
        check_weights(self.trained, checkpoint.weights, folder=folder)
        if checkpoint.state["text_tower"] != self.texts.fingerprint:
            raise CheckpointError(
                f"--resume {folder}: --text_model {self.args.model.text_model} is not the text tower of that run, or its "
                "files changed since. Give the same tower, or start anew."
            )
        with torch.no_grad():
            for name, tensor in self.trained.items():
                tensor.copy_(cut_like(checkpoint.weights[name], tensor))
        load_whole_state(self.optimizer.optimizer, checkpoint.optimizer["optimizer"])
        self.scheduler.load_state_dict(checkpoint.optimizer["scheduler"])
        if self.average is not None:
            self.average.load_state_dict(checkpoint.average)
        self.position = Position(**checkpoint.state["position"])
        logger.info("Continuing %s after step %d.", folder, self.position.step)

    def run(self, interruption: Interruption) -> bool:
        """Train to the last step, or save and stop where a signal asks for it.

        Returns:
            Whether the last step was reached.
        """
        self._save_best()  # a run that is continued may have ended between its checkpoint and this
        self._metrics = None
        if self.accelerator.is_main_process:
            path = self.args.training.output_dir / METRICS_FILE
            self._metrics = MetricsFile(path, first_step=self.position.step + 1)
        self._bar = tqdm(
            total=self.num_steps,
            initial=self.position.step,
            unit="step",
            disable=not self.accelerator.is_main_process,
            dynamic_ncols=True,
        )
        with self._bar:
            while self.position.step < self.num_steps:
                if not self._run_epoch(interruption):
                    self.save_checkpoint()
                    return False
        return True

    def _run_epoch(self, interruption: Interruption) -> bool:
        """Train the rest of the epoch; False where it was interrupted."""
        release_freed_memory()
        epoch = self.position.epoch
        order = self.plan.order(epoch)
        views = self.train_split.views.draw(epoch)
        self.prepare_texts(self.batches.texts_of_epoch(views))
        self._bar.set_description(f"Epoch {epoch + 1}")
        self.model.train()
        self._meter.restart()
        every = self.args.training.checkpoint_every
        while self.position.step_in_epoch < self.plan.steps_per_epoch and self.position.step < self.num_steps:
            started = time.perf_counter()
            records = self.plan.batch(order, self.position.step_in_epoch)
            batch = self.batches.make(records, views, epoch=epoch, step=self.position.step_in_epoch)
            if self.position.step_in_epoch + 1 < self.plan.steps_per_epoch:
                self.batches.expect(self.plan.batch(order, self.position.step_in_epoch + 1))
            self._meter.data_seconds += time.perf_counter() - started
            self._step(batch)
            ends_epoch = self.position.step_in_epoch == self.plan.steps_per_epoch
            if every and self.position.step % every == 0 and not ends_epoch:
                self.save_checkpoint()
            if self._should_stop(interruption) and self.position.step < self.num_steps and not ends_epoch:
                return False
        self._log()
        self.position.epoch, self.position.step_in_epoch = epoch + 1, 0
        if self.position.epoch % self.args.training.validate_every == 0 or self.position.step >= self.num_steps:
            self._validate()
        self.save_checkpoint()
        self._save_best()
        return not self._should_stop(interruption, force=True) or self.position.step >= self.num_steps

    def _step(self, batch: Batch) -> None:
        options = self.args.training
        seed_torch(
            options.seed,
            Purpose.DROPOUT,
            self.position.epoch,
            self.position.step_in_epoch,
            self.accelerator.process_index,
        )
        losses = backward(self.accelerator, self.model, batch, chunk=options.grad_cache_chunk)
        self._meter.add(self.position.step + 1, batch.records, losses)
        if self.accelerator.device.type == "cpu":  # on a GPU looking at a loss would make the step wait
            self._check_finite()
        if options.max_grad_norm:
            self._meter.grad_norm = self.accelerator.clip_grad_norm_(self.model.parameters(), options.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._meter.learning_rate = float(self.scheduler.get_last_lr()[0])
        self.scheduler.step()
        if self.average is not None:
            self.average.update()
        self.position.step += 1
        self.position.step_in_epoch += 1
        self._bar.update(1)
        if self.position.step % options.log_every == 0:
            self._log()

    def prepare_texts(self, texts: list[str]) -> None:
        """Embed new texts on one process of each machine; the others then find them in the cache."""
        with self.accelerator.local_main_process_first():
            self.texts.prepare(texts, progress=self.accelerator.is_local_main_process)

    def _validate(self) -> None:
        with self.average.applied() if self.average else nullcontext(), gathered(self.module):
            figures = validate(
                self.module,
                self.validation_split,
                self.texts,
                self.accelerator,
                loss_batch=min(self.args.training.batch_size, len(self.validation_split)),
            )
        self._note_best(figures)
        self._write({"step": self.position.step, "epoch": self.position.epoch, **figures})
        if self.accelerator.is_main_process:
            tqdm.write(
                f"epoch {self.position.epoch}: validation loss {figures['validation_loss']:.4f}, ECG to text "
                f"R@1/5/10 {_percent(figures, 'ecg_to_text')}, text to ECG {_percent(figures, 'text_to_ecg')}"
            )

    def _note_best(self, figures: dict[str, float]) -> None:
        chosen = self.args.training.select_best
        if chosen == "last":
            return
        recall = [value for name, value in figures.items() if "_recall_at_" in name]
        score = -figures["validation_loss"] if chosen == "loss" else sum(recall) / len(recall)
        if self.position.best is None or score > self.position.best:
            self.position.best, self.position.best_step = score, self.position.step

    def _save_best(self) -> None:
        """Keep the weights beside the checkpoints if they are the best so far; never before a checkpoint knows of it."""
        if self.position.best_step != self.position.step:
            return
        with self.average.applied() if self.average else nullcontext():
            tensors = whole(self.trained)
            if self.accelerator.is_main_process:
                save_best(self.args.training.output_dir, tensors)
        self.accelerator.wait_for_everyone()

    def save_checkpoint(self) -> None:
        """Write where the run is; the main process writes what all hold, or hold a part of."""
        started = time.perf_counter()
        self._check_finite()
        weights, average = whole(self.trained), self.average.state_dict() if self.average else {}
        optimizer = {"optimizer": whole(self.optimizer.state_dict()), "scheduler": self.scheduler.state_dict()}
        if self.accelerator.is_main_process:
            state = {
                "position": asdict(self.position),
                "options": self.args.to_dict(),
                "versions": versions(),
                "text_tower": self.texts.fingerprint,
            }
            options = self.args.training
            checkpoint = Checkpoint(weights=weights, optimizer=optimizer, average=average, state=state)
            write_checkpoint(options.output_dir, checkpoint, step=self.position.step, keep=options.keep_checkpoints)
        self.accelerator.wait_for_everyone()
        self._meter.other_seconds += time.perf_counter() - started

    def _check_finite(self) -> None:
        for step, records, loss in self._meter.unchecked:
            if not torch.isfinite(loss):
                ids = ", ".join(self.train_split.record_ids[record] for record in records)
                raise NonFiniteLossError(
                    f"The loss of step {step} is {loss.item()}. Its records: {ids}. Lower --learning_rate, set "
                    "--max_grad_norm, or look at these records; checkpoints before this step are good."
                )
        self._meter.unchecked.clear()

    def _should_stop(self, interruption: Interruption, *, force: bool = False) -> bool:
        """Whether a signal came; with several processes they agree, so that all stop after the same step."""
        if self.accelerator.num_processes == 1:
            return interruption.requested
        if not force and self.accelerator.device.type != "cpu" and self.position.step % self.args.training.log_every:
            return False
        requested = torch.tensor(float(interruption.requested), device=self.accelerator.device)
        dist.all_reduce(requested)
        return requested.item() > 0

    def _log(self) -> None:
        if not self._meter.pairs:
            return
        self._check_finite()
        figures = {
            "step": self.position.step,
            "epoch": self.position.epoch + self.position.step_in_epoch / self.plan.steps_per_epoch,
            **self._meter.figures(),
            "temperature": 1 / self.module.model.get_logit_scale().item(),
        }
        self._write(figures)
        self._bar.set_postfix(
            loss=f"{figures['loss']:.3f}",
            pairs_s=f"{figures['pairs_per_second']:.0f}",
            wait=f"{figures['data_wait_fraction']:.1%}",
            lr=f"{figures['learning_rate']:.1e}",
            temp=f"{figures['temperature']:.3f}",
        )
        self._meter.restart()

    def _write(self, figures: dict[str, float]) -> None:
        if self._metrics is not None:
            self._metrics.append({**figures, **process_figures()})
        self.accelerator.log({name: value for name, value in figures.items() if name != "step"}, step=figures["step"])


class _Meter:
    """Sums since the last line of the log; losses stay on the device until it is written."""

    def __init__(self):
        self.unchecked: list = []
        self.learning_rate = 0.0
        self.grad_norm: torch.Tensor | float | None = None
        self.restart()

    def restart(self) -> None:
        self._started = time.perf_counter()
        self.data_seconds = 0.0
        self.other_seconds = 0.0  # checkpoints: no part of the speed of training
        self.pairs = 0
        self._steps = 0
        self._losses: dict[str, torch.Tensor] = {}

    def add(self, step: int, records, losses: dict[str, torch.Tensor]) -> None:
        self.unchecked.append((step, records, losses["loss"]))
        self.pairs += len(records)
        self._steps += 1
        for name, loss in losses.items():
            self._losses[name] = self._losses.get(name, 0) + loss

    def figures(self) -> dict[str, float]:
        losses = {
            name if name == "loss" else f"loss_{name}": (total / self._steps).item()
            for name, total in self._losses.items()
        }
        seconds = (
            time.perf_counter() - self._started - self.other_seconds
        )  # read after `.item()`, which waits for the device
        norm = {} if self.grad_norm is None else {"grad_norm": float(self.grad_norm)}
        return {
            **losses,
            **norm,
            "learning_rate": self.learning_rate,
            "pairs_per_second": self.pairs / seconds,
            "data_wait_fraction": self.data_seconds / seconds,
        }


def _percent(figures: dict[str, float], direction: str) -> str:
    return "/".join(f"{100 * figures[f'{direction}_recall_at_{k}']:.1f}" for k in (1, 5, 10))


def save_best(output_dir: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Keep the weights of the best epoch beside the checkpoints, replaced in one go."""
    from safetensors.torch import save_file

    content = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with whole_file(output_dir / "best.safetensors") as unfinished:
        save_file(content, unfinished)
