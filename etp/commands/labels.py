"""Labels on a command line: as words, as the name of a task, or as a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from etp.common_options import LabelArguments
from etp.options import OptionError
from etp.prompts_file import labels_of


def read_labels(args: LabelArguments) -> dict[str, tuple[str, ...]]:
    """Label -> phrases that state it.

    Raises:
        OptionError: If there are none, they are blank or repeated, or the file is not of this form.
    """
    from modeling_etp.zero_shot_etp import check_labels, check_templates

    if not args.given:
        raise OptionError("labels are required: give them by --labels, --task or --prompts.")
    given, flag = _given(args)
    with _named(flag):
        labels = check_labels(given)
    with _named("--templates"):
        check_templates(args.templates)
    return labels


@contextmanager
def _named(flag: str) -> Iterator[None]:
    """Say of which flag it is that a value cannot be used."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise OptionError(f"{flag}: {error}") from error


def scoring_options(args: LabelArguments) -> dict[str, Any]:
    """What the pipeline is told besides the labels."""
    return {
        "multi_label": args.multi_label,
        "hypothesis_template": args.templates,
        "interpret_labels": args.interpret_labels,
    }


def _given(args: LabelArguments) -> tuple[Any, str]:
    if args.prompts is not None:
        try:
            return labels_of(args.prompts, args.task, names=args.prompt_names), f"--prompts {args.prompts}"
        except ValueError as error:
            raise OptionError(str(error)) from error
    if args.task is None:
        return args.labels, "--labels"
    from datasets_scripts.label_sets import load_label_set

    with _named("--task"):
        return load_label_set(args.task), "--task"
