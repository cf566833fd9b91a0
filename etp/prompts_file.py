"""Read a file of your own phrases, the `--prompts` of every command."""

import json
from pathlib import Path
from typing import Any

FORMS = '{"task": {"label": ["phrase", …]}}, {"label": ["phrase", …]} or ["label", …]'


def read_prompts(file: Path) -> dict[str, Any]:
    """What a file of phrases says.

    Returns:
        `{task: {label: [phrases]}}`, or `{label: [phrases]}` where it names no task; of a plain list each label is its
        own phrase.

    Raises:
        ValueError: If it can't be read or has another form; says which are known.
    """
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"--prompts {file} can't be read as JSON: {error}.") from error
    if content and isinstance(content, list) and all(isinstance(label, str) for label in content):
        if len(set(content)) < len(content):
            raise ValueError(f"--prompts {file}: the labels must be distinct.")
        return {label: [label] for label in content}
    if _are_labels(content) or (content and isinstance(content, dict) and all(map(_are_labels, content.values()))):
        return content
    raise ValueError(f"--prompts {file} must hold {FORMS}.")


def _are_labels(content: Any) -> bool:
    """Whether this maps labels to their phrases: to lists of texts, or to one text."""
    phrases = list(content.values()) if isinstance(content, dict) else []
    lists = [[entry] if isinstance(entry, str) else entry for entry in phrases]
    return bool(lists) and all(
        isinstance(entry, list) and all(isinstance(text, str) for text in entry) for entry in lists
    )


def labels_of(file: Path, task: str | None = None) -> dict[str, list[str]]:
    """The labels of a file, of one of its tasks where it has several.

    Raises:
        ValueError: If the file has no such task, or several and none is named; names them.
    """
    content = read_prompts(file)
    if not all(isinstance(value, dict) for value in content.values()):
        if task is not None:
            raise ValueError(f"--task {task}: the file of --prompts names no tasks. Leave --task out.")
        return content
    if task is None and len(content) == 1:
        (task,) = content
    if task not in content:
        wanted = "names several tasks: choose one with --task" if task is None else f"has no task {task!r}"
        raise ValueError(f"--prompts {file} {wanted}; it has {', '.join(content)}.")
    return content[task]
