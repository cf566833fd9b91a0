"""Adapt a text tower to the language of ECGs, by its terms and without any ECG: `etp adapt-text`."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from etp.common_options import OVERWRITE_HELP, SEED_HELP
from etp.devices import choose_device
from etp.options import OptionError, option
from etp.texts.term_views import VIEWS, TermViews
from etp.training.arguments import ModelArguments
from etp.training.optimization import make_schedule
from etp.training.processes.threads import use_threads
from etp.training.towers.building import make_model, make_processor
from etp.training.towers.trainable_text import TrainableTextEncoder, unfreeze_text_layers, upper_features
from modeling_etp.modeling_etp import ETPModel

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class AdaptationArguments:
    """How the text tower is adapted."""

    output_dir: Path = option("Receives the adapted tower; `etp train --text_model` takes it.", common=True)
    text_model: str = option("Text tower to start from, as of `etp train`.", "minilm", common=True)
    unfreeze_text_from: int = option("First layer that is trained; the ones below and the embeddings stay.", 3)
    num_steps: int = option("Steps of AdamW.", 120, common=True)
    terms_per_step: int = option("Terms, and negations of terms, in a step, each in two views.", 96, common=True)
    term_views: dict[str, float] = option(
        "Weights of a term's views: synonym, sentence (around a synonym), list (of synonyms and narrower terms), "
        "description (of what it looks like).",
        {"synonym": 0.5, "sentence": 0.15, "list": 0.2, "description": 0.15},
        weights=True,
    )
    negated_fraction: float = option("Fraction of a step's terms whose negations are in it too.", 0.12)
    temperature: float = option("Divides the cosine similarities.", 0.05)
    learning_rate: float = option("Peak learning rate of AdamW.", 1e-4)
    weight_decay: float = option("AdamW weight decay.", 0.01)
    warmup_ratio: float = option("Fraction of all steps spent warming up; then a cosine to zero.", 0.1)
    num_threads: int | None = option("CPU threads; none: OMP_NUM_THREADS, or all cores.", None)
    seed: int = option(SEED_HELP, 0, common=True)
    overwrite: bool = option(OVERWRITE_HELP, False, common=True)


def term_loss(first: Tensor, second: Tensor, same: Tensor, *, temperature: float) -> Tensor:
    """Symmetric InfoNCE (arXiv:2103.00020, section 2.3) between two views of each term.

    Args:
        first, second: L2-normalised, `(terms, hidden)`.
        same: Pairs that are no negatives of each other, bool `(terms, terms)`; the diagonal are the positives.

    Returns:
        Scalar in nats.
    """
    itself = torch.eye(len(first), dtype=torch.bool, device=first.device)
    logits = (first @ second.T / temperature).masked_fill(same & ~itself, -torch.inf)
    targets = torch.arange(len(first), device=first.device)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def adapt(args: AdaptationArguments) -> None:
    use_threads(args.num_threads)
    device = torch.device(choose_device())
    tower_args = ModelArguments(text_model=args.text_model)
    model = make_model(tower_args, seed=args.seed).to(device)
    tokenizer = make_processor(tower_args).tokenizer
    views = TermViews(weights=args.term_views, negated_fraction=args.negated_fraction, seed=args.seed)
    unfreeze_text_layers(model, first_layer=args.unfreeze_text_from)
    texts = TrainableTextEncoder(model, tokenizer, first_layer=args.unfreeze_text_from, dtype=torch.float32, device=device)
    trained = [parameter for parameter in model.text_model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.learning_rate, weight_decay=args.weight_decay)
    schedule = make_schedule(optimizer, num_steps=args.num_steps, warmup_ratio=args.warmup_ratio)

    model.eval()  # without dropout: two views of a term differ as it is
    import time
    bar = tqdm(range(args.num_steps), unit="step")
    for step in bar:
        t=time.process_time()
        first, second, same = views.batch(step, size=args.terms_per_step)
        texts.prepare([*first, *second])
        t2=time.process_time()
        embeds = F.normalize(embed(model,texts, [*first, *second],args), dim=-1)
        same=torch.from_numpy(same).to(device)
        loss = term_loss(*embeds.chunk(2), same, temperature=args.temperature)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        with torch.no_grad():
            a, b = embeds.chunk(2)
            found = ((a @ b.T).masked_fill(same & ~torch.eye(len(a), dtype=torch.bool), -2).argmax(1) == torch.arange(len(a))).float().mean()
        if step % 5 == 0: print(step, loss.item(), found.item(), len(a), round(t2-t,2), round(time.process_time()-t2,2), flush=True)
        if step in (39,79): torch.save(model.text_model.state_dict(), f"{args.output_dir}.{step+1}.pt")
    with torch.no_grad():
        for parameter in trained:
            parameter.copy_(parameter.bfloat16())
    from shutil import copytree
    from etp.training.towers.building import text_model_path
    args.output_dir.mkdir(parents=True, exist_ok=True)
    model.text_model.save_pretrained(args.output_dir); tokenizer.save_pretrained(args.output_dir)
    source=text_model_path(args.text_model)
    copytree(Path(source) / "1_Pooling", args.output_dir / "1_Pooling", dirs_exist_ok=True)

def embed(model,texts,all_texts,args):
    order = sorted(range(len(all_texts)), key=lambda i: len(all_texts[i]))
    parts=[]
    for s in range(0,len(order),48):
        parts.append(upper_features(model, texts.columns([all_texts[i] for i in order[s:s+48]]), first_layer=args.unfreeze_text_from))
    return torch.cat(parts)[torch.tensor(order).argsort()]
