"""The options of `etp adapt-text`."""

from dataclasses import dataclass
from pathlib import Path

from etp.common_options import OVERWRITE_HELP, SEED_HELP
from etp.options import OptionError, option
from etp.texts.paraphrases import TERM_VIEWS
from etp.training.arguments import NUM_THREADS_HELP, TEXT_MODEL_HELP, check_weights


@dataclass(kw_only=True)
class AdaptationArguments:
    """How the text tower is adapted."""

    output_dir: Path = option("Receives the adapted tower; `etp train --text_model` takes it.", common=True)
    text_model: str = option(TEXT_MODEL_HELP, "minilm", common=True)
    unfreeze_text_from: int = option("First layer that is trained; embeddings and lower layers stay.", 3, minimum=0)
    num_steps: int = option("Steps of AdamW.", 160, common=True, minimum=1)
    terms_per_step: int = option(
        "Terms, and negations of terms, in a step, each in two views.", 80, common=True, minimum=2
    )
    term_views: dict[str, float] = option(
        "Weights of a term's views: synonym, sentence (around a synonym), list (of synonyms and a narrower term), "
        "description (of what it looks like), beside (the negation of another term).",
        {"synonym": 0.32, "sentence": 0.12, "list": 0.12, "description": 0.28, "beside": 0.16},
        weights=True,
    )
    negated_fraction: float = option("Fraction of a step's terms whose negations are in it too.", 0.12, minimum=0)
    temperature: float = option("Divides the cosine similarities.", 0.05)
    learning_rate: float = option("Peak learning rate of AdamW.", 1.5e-4)
    weight_decay: float = option("AdamW weight decay.", 0.01, minimum=0)
    warmup_ratio: float = option("Fraction of all steps spent warming up; then a cosine to zero.", 0.1, minimum=0)
    num_threads: int | None = option(NUM_THREADS_HELP, None, minimum=1)
    seed: int = option(SEED_HELP, 0, common=True, minimum=0)
    overwrite: bool = option(OVERWRITE_HELP, False, common=True)

    def __post_init__(self):
        check_weights("term_views", self.term_views, TERM_VIEWS)
        for name in ("temperature", "learning_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise OptionError(f"--{name} must be a number above 0, got {getattr(self, name)}.")
        if self.negated_fraction > 1 or self.warmup_ratio >= 1:
            raise OptionError(
                f"--negated_fraction must be at most 1 and --warmup_ratio below 1, got {self.negated_fraction} and "
                f"{self.warmup_ratio}."
            )
