"""The pipeline that scores ECGs for a command: by labels given as text, or by those that its model was fine-tuned on."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from etp.common_options import LabelArguments
from etp.options import OptionError

from .labels import read_labels, scoring_options
from .models import make_classifier, make_fine_tuned

if TYPE_CHECKING:
    from etp.loading import Checkpoint, ClassifierCheckpoint


def classifier_of(
    checkpoint: "Checkpoint | ClassifierCheckpoint",
    args: LabelArguments,
    labels: dict[str, tuple[str, ...]] | None,
    **shown,
) -> Callable[..., Any]:
    """The pipeline around a model of either kind.

    Args:
        checkpoint: From `open_model`.
        args: How labels are scored.
        labels: What [`read_labels`] made of `args`; `None` where none are given.
        shown: Which scores are returned, `top_k` and `threshold`.

    Raises:
        OptionError: If there are no labels, the model has its own, or an option is impossible.
    """
    from etp.loading import Checkpoint

    if isinstance(checkpoint, Checkpoint):
        if labels is None:
            read_labels(args)  # which says how to give them
        return make_classifier(checkpoint, candidate_labels=labels, **shown, **scoring_options(args))
    if labels is not None or args.multi_label or args.templates != ["{}"]:
        raise OptionError(
            f"--model {checkpoint.folder} was fine-tuned on labels of its own: leave out --labels, --task, --prompts, "
            "--templates and --multi_label, or take a model of two towers."
        )
    return make_fine_tuned(checkpoint, **shown)
