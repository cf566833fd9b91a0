"""The training loop: epochs and steps, with logs, validation and checkpoints."""

import logging
import math
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate import Accelerator

from etp.augmentation import Augmentation
from etp.options import OptionError
from etp.progress import Progress, write_line
from etp.randomness import Purpose, seed_torch
from etp.run_files import BEST_WEIGHTS, METRICS_FILE
from etp.texts.negations import NegationVocabulary
from etp.texts.statement_vocabulary import StatementVocabulary
from etp.training.data.batches import BatchPlan
from etp.training.data.records import Split
from etp.training.processes.memory import release_freed_memory
from etp.training.processes.sharding import cut_like, gathered, is_sharded, leave_whole, load_whole_state, whole
from etp.training.towers.building import FrozenTextEncoder
from etp.training.towers.trainable_text import TrainableTextEncoder, layer_learning_rates

from .arguments import Arguments
from .checkpoints import (
    Checkpoint,
    check_weights,
    other_histories,
    read_checkpoint,
    save_best,
    write_checkpoint,
)
from .identity import Identity, Lineage
from .interruption import Interruption
from .logs import MetricsFile, process_figures
from .meter import Meter
from .objective_names import uses_texts
from .objectives import ContrastiveModel
from .optimization import WeightAverage, make_optimizer, make_schedule, parameter_groups, trained_tensors
from .resumption import Position, Resumption, check_best, go_on_with_other_data, read_position
from .steps import Batch, BatchMaker, backward
from .validation import in_words, validate

logger = logging.getLogger(__name__)


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
        identity: What the run is made of.
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
        identity: Identity,
    ):
        self.accelerator, self.args, self.texts = accelerator, args, texts
        self.identity, self.lineage = identity, Lineage()
        self.train_split, self.validation_split = train, validation
        options = args.training
        self.plan = BatchPlan(len(train), options.batch_size, options.drop_last, options.seed)
        self._check_enough_rows()
        self.position = Position()
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
            list_rate=options.list_rate,
            description_rate=options.description_rate,
            rare_term_rate=options.rare_term_rate,
            beside_rate=options.beside_rate,
            held_out_findings=args.data.held_out_findings or (),
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
        self._meter = Meter()

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole run."""
        options = self.args.training
        num_steps = options.num_epochs * self.plan.steps_per_epoch + self.position.added_steps
        return num_steps if options.max_steps is None else min(num_steps, options.max_steps)

    @property
    def chosen_step(self) -> int:
        """The step whose weights are saved in the end."""
        best = self.position.best_step
        return self.position.step if self.args.training.select_best == "last" or best is None else best

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

    def resume(self, folder: Path) -> Resumption:
        """Continue from a checkpoint as if there had been no break.

        Raises:
            CheckpointError: It is torn, of another architecture, or made of something else than this run.
        """
        checkpoint = read_checkpoint(folder)
        check_weights(self.trained, checkpoint.weights, folder=folder)
        state, output_dir = checkpoint.state, self.args.training.output_dir
        changed = self.identity.changes(state, self.args, folder=folder)
        position = read_position(state["position"], folder=folder)
        if "data" in changed:
            go_on_with_other_data(position, changed["data"] or {}, self.identity.data, self.plan)
        check_best(position, checkpoint, folder=folder)
        with torch.no_grad():
            for name, tensor in self.trained.items():
                tensor.copy_(cut_like(checkpoint.weights[name], tensor))
        self.position = position
        if position.added_steps:
            self.scheduler = make_schedule(
                self.optimizer.optimizer, num_steps=self.num_steps, warmup_ratio=self.args.training.warmup_ratio
            )
        load_whole_state(self.optimizer.optimizer, checkpoint.optimizer["optimizer"])
        self.scheduler.load_state_dict(checkpoint.optimizer["scheduler"])
        if self.average is not None:
            self.average.load_state_dict(checkpoint.average)
        others = other_histories(output_dir, state)
        elsewhere = folder.resolve().parent.parent != output_dir.resolve()
        self.lineage = Lineage.continued(state, changed=changed, branches=bool(others) or elsewhere)
        logger.info("Continuing %s after step %d.", folder, position.step)
        best = checkpoint.best if position.best_step is not None else None
        branches = self.lineage.run_id != state.get("run_id")
        return Resumption(step=position.step, others=others, best=best, branches=branches)

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
        self._bar = Progress(
            self._epoch_name(),
            total=self.num_steps,
            initial=self.position.step,
            unit="step",
            shown=self.accelerator.is_main_process,
        )
        with self._bar:
            while self.position.step < self.num_steps:
                if not self._run_epoch(interruption):
                    self.save_checkpoint()
                    return False
            if self.args.training.select_best != "last" and self.position.best_step is None:
                self._validate()  # no epoch was left on data that changed after the last one
                self._save_best()
        return True

    def _run_epoch(self, interruption: Interruption) -> bool:
        """Train the rest of the epoch; False where it was interrupted."""
        release_freed_memory()
        epoch = self.position.epoch
        order = self.plan.order(epoch)
        views = self.train_split.views.draw(epoch)
        if uses_texts(self.args.training.objectives):
            self.prepare_texts(self.batches.texts_of_epoch(views, epoch=epoch))
        self._bar.describe(self._epoch_name())
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

    def _epoch_name(self) -> str:
        return f"Epoch {self.position.epoch + 1} of {self.args.training.num_epochs}"

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
        if not math.isfinite(figures["validation_loss"]):
            raise NonFiniteLossError(
                f"The validation loss after step {self.position.step} is {figures['validation_loss']}. Lower "
                "--learning_rate or set --max_grad_norm; checkpoints before this step are good."
            )
        self._note_best(figures)
        self._write({"step": self.position.step, "epoch": self.position.epoch, **figures})
        if self.accelerator.is_main_process:
            write_line(f"epoch {self.position.epoch}: {in_words(figures)}")

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
        weights = whole(self.trained)
        self._check_weights_finite(weights)
        average = self.average.state_dict() if self.average else {}
        optimizer = {"optimizer": whole(self.optimizer.state_dict()), "scheduler": self.scheduler.state_dict()}
        if self.accelerator.is_main_process:
            state = {
                "position": asdict(self.position),
                "options": self.args.to_dict(),
                **self.identity.to_dict(),
                **asdict(self.lineage),
            }
            options = self.args.training
            kept = self.position.best_step not in (None, self.position.step)
            best = options.output_dir / BEST_WEIGHTS if kept else None
            checkpoint = Checkpoint(weights=weights, optimizer=optimizer, average=average, state=state, best=best)
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
        scale = self.module.model.get_logit_scale().item()
        if not 0 < scale < math.inf:
            raise NonFiniteLossError(
                f"The temperature became {'infinite' if scale == 0 else 'zero'} by step {self.position.step}. Lower "
                "--learning_rate or set --max_grad_norm; checkpoints before this step are good."
            )

    def _check_weights_finite(self, weights: dict[str, torch.Tensor]) -> None:
        for name, tensor in weights.items():
            if not torch.isfinite(tensor).all():
                raise NonFiniteLossError(
                    f"{name} holds NaN or infinity after step {self.position.step}. Lower --learning_rate or set "
                    "--max_grad_norm; checkpoints before this step are good."
                )

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
        self._bar.show_figures(
            {
                "loss": f"{figures['loss']:.3f}",
                "ECGs/s": f"{figures['pairs_per_second']:.0f}",
                "learning rate": f"{figures['learning_rate']:.1e}",
                "temperature": f"{figures['temperature']:.3f}",
                "waiting for data": f"{figures['data_wait_fraction']:.0%}",
            }
        )
        self._meter.restart()

    def _write(self, figures: dict[str, float]) -> None:
        if self._metrics is not None:
            self._metrics.append({**figures, **process_figures()})
        self.accelerator.log({name: value for name, value in figures.items() if name != "step"}, step=figures["step"])
