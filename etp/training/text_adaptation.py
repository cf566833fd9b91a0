"""Adapt a text tower to the language of ECGs, by its terms and without any ECG: `etp adapt-text`."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from etp.atomic_files import files_added
from etp.devices import choose_device
from etp.options import OptionError
from etp.progress import Progress
from etp.run_files import CONFIG_FILE, METRICS_FILE, VERSIONS_FILE
from etp.texts.term_views import TermViews
from etp.training.adaptation_arguments import AdaptationArguments
from etp.training.arguments import ModelArguments
from etp.training.logs import process_figures, versions
from etp.training.optimization import make_schedule
from etp.training.processes.threads import use_threads
from etp.training.towers.building import make_model, make_processor
from etp.training.towers.trainable_text import TrainableTextEncoder, unfreeze_text_layers, upper_features
from modeling_etp.modeling_etp import ETPModel

logger = logging.getLogger(__name__)

TEXTS_AT_ONCE = 48
# What sentence-transformers calls the poolings of a tower that declares none or its own.
_POOLING_MODES = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}


def term_loss(first: Tensor, second: Tensor, same: Tensor, *, temperature: float) -> tuple[Tensor, float]:
    """Symmetric InfoNCE (arXiv:2103.00020, section 2.3) between two views of each term.

    Args:
        first, second: L2-normalised, `(terms, hidden)`.
        same: Pairs that are no negatives of each other, bool `(terms, terms)`; those on the diagonal are the positives.

    Returns:
        The loss in nats, and the fraction of first views whose second one is nearest to them.
    """
    itself = torch.eye(len(first), dtype=torch.bool, device=first.device)
    logits = (first @ second.T / temperature).masked_fill(same & ~itself, -torch.inf)
    targets = torch.arange(len(first), device=first.device)
    loss = (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
    return loss, (logits.argmax(dim=1) == targets).float().mean().item()


def adapt(args: AdaptationArguments) -> None:
    """Train the upper layers of a text tower and save it, with the weights that were trained rounded to bfloat16.

    Raises:
        OptionError: The output folder holds files, or there is no such text tower or layer.
        ValueError: The loss became NaN or infinite.
    """
    if args.output_dir.is_dir() and any(args.output_dir.iterdir()) and not args.overwrite:
        raise OptionError(f"--output_dir {args.output_dir} holds files. Name another folder, or pass --overwrite.")
    use_threads(args.num_threads)
    tower = ModelArguments(text_model=args.text_model)
    model = make_model(tower, seed=args.seed)
    device: Any = choose_device()
    model.to(device)
    tokenizer = make_processor(tower).tokenizer
    unfreeze_text_layers(model, first_layer=args.unfreeze_text_from)
    metrics = train_layers(model, tokenizer, args)
    save_tower(model, tokenizer, metrics, args)
    print(f"Adapted text tower in {args.output_dir}.")


def train_layers(
    model: ETPModel, tokenizer: PreTrainedTokenizerBase, args: AdaptationArguments
) -> list[dict[str, float]]:
    """Train what is unfrozen of the text tower; returns the metrics of each step."""
    device = model.device
    views = TermViews(weights=args.term_views, negated_fraction=args.negated_fraction, seed=args.seed)
    texts = TrainableTextEncoder(
        model, tokenizer, first_layer=args.unfreeze_text_from, dtype=torch.float32, device=device
    )
    trained = [parameter for parameter in model.text_model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.learning_rate, weight_decay=args.weight_decay)
    schedule = make_schedule(optimizer, num_steps=args.num_steps, warmup_ratio=args.warmup_ratio)
    model.eval()  # without dropout: two views of a term differ as it is
    metrics = []
    with Progress("Adapting the text tower", total=args.num_steps, unit="step") as bar:
        for step in range(args.num_steps):
            first, second, same = views.batch(step, size=args.terms_per_step)
            embeds = _embed(model, texts, [*first, *second], first_layer=args.unfreeze_text_from)
            ours, theirs = embeds.chunk(2)
            loss, found = term_loss(ours, theirs, torch.from_numpy(same).to(device), temperature=args.temperature)
            if not torch.isfinite(loss):
                raise ValueError(f"The loss of step {step + 1} is {loss.item()}. Lower --learning_rate.")
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            metrics.append({"step": step + 1, "loss": loss.item(), "found": found, **process_figures()})
            bar.show_figures({"loss": f"{loss.item():.3f}", "found": f"{found:.0%}"})
            bar.update()
    return metrics


def _embed(model: ETPModel, texts: TrainableTextEncoder, wanted: Sequence[str], *, first_layer: int) -> Tensor:
    """Unit vectors of texts, `(texts, hidden)`, before any projection; those of similar length run together."""
    texts.prepare(wanted)
    order = sorted(range(len(wanted)), key=lambda index: len(wanted[index]))
    parts = [
        upper_features(
            model,
            texts.columns([wanted[index] for index in order[start : start + TEXTS_AT_ONCE]]),
            first_layer=first_layer,
        )
        for start in range(0, len(order), TEXTS_AT_ONCE)
    ]
    return F.normalize(torch.cat(parts)[torch.tensor(order).argsort()], dim=-1)


def save_tower(
    model: ETPModel, tokenizer: PreTrainedTokenizerBase, metrics: Sequence[dict], args: AdaptationArguments
) -> None:
    """Save the tower as a folder that `--text_model` takes.

    What was trained is rounded to bfloat16 first: projections are then trained beside the very weights that are shipped.
    """
    with torch.no_grad():
        for parameter in model.text_model.parameters():
            if parameter.requires_grad:
                parameter.copy_(parameter.bfloat16())
    options = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(args).items()}
    del options["overwrite"]
    with files_added(args.output_dir, last="model*.safetensors") as folder:
        model.text_model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "1_Pooling").mkdir()
        pooling = {
            _POOLING_MODES[model.text_pooling]: True,
            "word_embedding_dimension": model.text_model.config.hidden_size,
        }
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling, indent=2) + "\n")
        (folder / CONFIG_FILE).write_text(yaml.safe_dump(options, sort_keys=False))
        (folder / METRICS_FILE).write_text("".join(json.dumps(line) + "\n" for line in metrics))
        (folder / VERSIONS_FILE).write_text(json.dumps(versions(), indent=2) + "\n")
