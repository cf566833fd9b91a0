"""Read a file of your own phrases, the `--prompts` of every command."""

import json
from pathlib import Path
from typing import Any

Phrases = dict[str, tuple[str, ...]]
FORMS = '{"task": {"label": ["phrase", …]}}, {"label": ["phrase", …]}, {"label": "phrase"} or ["label", …]'


def read_prompts(file: Path, *, flag: str = "--prompts") -> dict[str, Phrases]:
    """Task -> label -> phrases; the task is blank in a file that names none. A label without phrases is its own phrase.

    Args:
        flag: What gave the file, for errors.

    Raises:
        ValueError: If it can't be read or has another form; says which are known.
    """
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{flag} {file} can't be read as JSON: {error}") from error
    by_task = isinstance(content, dict) and content and all(isinstance(value, dict) for value in content.values())
    try:
        return {task: _phrases_of(labels) for task, labels in (content if by_task else {"": content}).items()}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{flag} {file} must hold {FORMS}: {error}") from error


def labels_of(file: Path, task: str | None = None) -> Phrases:
    """The labels of a file, of one of its tasks where it has several.

    Raises:
        ValueError: If the file has no such task, or several and none is named; names them.
    """
    content = read_prompts(file)
    if "" in content:
        if task is not None:
            raise ValueError(f"--task {task}: the file of --prompts names no tasks. Leave --task out.")
        return content[""]
    if task is None and len(content) == 1:
        (task,) = content
    if task not in content:
        wanted = "names several tasks: choose one with --task" if task is None else f"has no task {task!r}"
        raise ValueError(f"--prompts {file} {wanted}; it has {', '.join(content)}.")
    return content[task]


def _phrases_of(labels: Any) -> Phrases:
    from modeling_etp.zero_shot_etp import check_labels

    if not isinstance(labels, (dict, list)):
        raise ValueError(f"got {type(labels).__name__} for the labels.")
    if isinstance(labels, list):
        return check_labels(labels)
    for label, phrases in labels.items():
        if not isinstance(phrases, (list, str)):
            raise ValueError(f"the phrases of label {label!r} must be a list or a text, got {phrases!r}.")
    own = {label: [phrases] if isinstance(phrases, str) else phrases for label, phrases in labels.items()}
    return check_labels({label: phrases or [label] for label, phrases in own.items()})
