"""Labels on a command line: as words, as the name of a task, or as a file."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import UsageError


def add_label_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    group = parser.add_mutually_exclusive_group(required=required)
    group.add_argument(
        "--labels", nargs="+", metavar="LABEL", help='labels, e.g. "atrial fibrillation" "sinus rhythm"'
    )
    group.add_argument("--task", help="a label set: superclass, subclass, diagnostic, form, rhythm, all, cpsc2018")
    group.add_argument("--label_set", type=Path, metavar="FILE", help="JSON file: [label, …] or {label: [phrase, …]}")
    parser.add_argument(
        "--template", action="append", metavar="TEXT", help='sentence around a phrase, "ECG showing {}"'
    )
    parser.add_argument(
        "--multi_label", action="store_true", help="evaluate labels one by one, not against each other"
    )


def read_labels(args: argparse.Namespace) -> dict[str, tuple[str, ...]] | None:
    """Label -> phrases that state it; None where no labels were given.

    Raises:
        UsageError: If they are none, blank or repeated, or the file is not of this form.
    """
    from modeling_etp.zero_shot_etp import check_labels, check_templates

    given, flag = _given(args)
    if given is None:
        return None
    with _named(flag):
        labels = check_labels(given)
    if args.template:
        with _named("--template"):
            check_templates(args.template)
    return labels


@contextmanager
def _named(flag: str) -> Iterator[None]:
    """Say of which flag it is that a value cannot be used."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UsageError(f"{flag}: {error}") from error


def scoring_options(args: argparse.Namespace) -> dict[str, Any]:
    """What the pipeline is told besides the labels."""
    templates = {"hypothesis_template": args.template} if args.template else {}
    return {"multi_label": args.multi_label, **templates}


def _given(args: argparse.Namespace) -> tuple[Any, str]:
    if args.task is not None:
        from datasets_scripts.label_sets import load_label_set

        try:
            return load_label_set(args.task), "--task"
        except ValueError as error:
            raise UsageError(f"--task: {error}") from error
    if args.label_set is None:
        return args.labels, "--labels"
    try:
        content = json.loads(args.label_set.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--label_set {args.label_set}: it can't be read as JSON ({error}).") from error
    if not isinstance(content, (list, dict)):
        raise UsageError(f"--label_set {args.label_set}: expected [label, …] or {{label: [phrase, …]}}.")
    return content, f"--label_set {args.label_set}"
