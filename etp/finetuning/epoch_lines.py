"""What a run says while it trains: a bar where one is seen, and one line after each epoch."""

from tqdm.auto import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback

from etp.progress import Progress

from .scores import describe_metrics


class EpochLines(TrainerCallback):
    """Prints loss and validation metrics of each epoch, in place of what `Trainer` prints."""

    def __init__(self):
        self._bar: Progress
        self._loss, self._logged = 0.0, 0  # summed over the steps of this epoch; the step up to which it is

    def on_train_begin(self, args, state, control, **kwargs):
        self._logged = state.global_step
        self._bar = Progress("Fine-tuning", total=state.max_steps, unit="step", initial=state.global_step)

    def on_step_end(self, args, state, control, **kwargs):
        self._bar.update()

    def on_epoch_end(self, args, state, control, **kwargs):
        control.should_log = True  # the loss up to here, so that none of it is counted to the next epoch

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            self._loss += logs["loss"] * (state.global_step - self._logged)
            self._logged = state.global_step

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        own = {name.removeprefix("eval_"): value for name, value in (metrics or {}).items()}
        scored = {name: value for name, value in own.items() if name.startswith(("auroc", "accuracy"))}
        steps = state.max_steps // args.num_train_epochs
        loss, self._loss = self._loss / steps, 0.0
        epoch = f"Epoch {round(state.epoch)} of {round(args.num_train_epochs)}"
        tqdm.write(f"{epoch}: loss {loss:.4f}, validation {describe_metrics(scored)}")

    def on_train_end(self, args, state, control, **kwargs):
        self._bar.__exit__(None)


def say_epochs(trainer: Trainer) -> None:
    """Print one line an epoch, and nothing else."""
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(EpochLines())
