"""Read a file of your own phrases or of others', the `--prompts` of every command, and of what its names mean here."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)
Phrases = dict[str, tuple[str, ...]]
Names = dict[str, dict[str, str | None]]  # task, or blank for all -> a name of others -> the label here, None for none
NAME_FORMS = '{"name": "label"}, {"task": {"name": "label"}}, or be a CSV with the columns name and label'
FORMS = '{"task": {"label": ["phrase", …]}}, {"label": ["phrase", …]}, {"label": "phrase"} or ["label", …]'


def read_prompts(file: Path, *, flag: str = "--prompts", names: Path | None = None) -> dict[str, Phrases]:
    """Task -> label -> phrases; the task is blank in a file that names none. A label without phrases is its own phrase.

    Args:
        flag: What gave the file, for errors.
        names: File of what its names and codes are called here, see [`read_names`].

    Raises:
        ValueError: If it can't be read or has another form, says which are known; or if `names` lacks one of its names.
    """
    content = _read_json(file, flag)
    by_task = isinstance(content, dict) and content and all(isinstance(value, dict) for value in content.values())
    tasks = content if by_task else {"": content}
    try:
        own = {task: _with_phrases(labels) for task, labels in tasks.items()}
        if names is not None:
            own = _renamed(own, read_names(names), f"{flag} {file}", names)
        return {
            task: _checked({label: phrases or [label] for label, phrases in labels.items()})
            for task, labels in own.items()
        }
    except _FileError:
        raise
    except (ValueError, TypeError) as error:
        raise ValueError(f"{flag} {file} must hold {FORMS}: {error}") from error


def read_names(file: Path) -> Names:
    """What names of others are called here: `{name: label}`, `{task: {name: label}}`, or a CSV with columns name, label.

    Null or a blank cell leaves a name out. A CSV can have a column task.

    Raises:
        ValueError: If it can't be read, has another form, or gives two labels for one name.
    """
    if Path(file).suffix.lower() == ".csv":
        return _names_of_table(file)
    content = _read_json(file, "--prompt_names")
    by_task = isinstance(content, dict) and content and all(isinstance(value, dict) for value in content.values())
    found = content if by_task else {"": content}
    if not all(
        isinstance(own, dict) and all(label is None or isinstance(label, str) for label in own.values())
        for own in found.values()
    ):
        raise _FileError(f"--prompt_names {file} must hold {NAME_FORMS}.")
    return {task: {name: label or None for name, label in own.items()} for task, own in found.items()}


def _names_of_table(file: Path) -> Names:
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise _FileError(f"--prompt_names {file} can't be read as UTF-8 text: {error}") from error
    header = text.partition("\n")[0]
    rows = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=header.count))
    if not {"name", "label"} <= {*(rows.fieldnames or ())}:
        raise _FileError(f"--prompt_names {file} must hold {NAME_FORMS}; its first line is {header.strip()!r}.")
    found: Names = {}
    for row in rows:
        name, label = (row["name"] or "").strip(), (row["label"] or "").strip() or None
        own = found.setdefault((row.get("task") or "").strip(), {})
        if own.setdefault(name, label) != label:
            raise _FileError(f"--prompt_names {file} gives {name!r} two labels, {own[name]} and {label}. Keep one.")
    return found


def _renamed(own: dict[str, Any], names: Names, where: str, file: Path) -> dict[str, Any]:
    """Labels as they are called here; those of several names have the phrases of all of them."""
    renamed: dict[str, Any] = {}
    for task, labels in own.items():
        known = {**names.get("", {}), **names.get(task, {})}
        if unknown := [name for name in labels if name not in known]:
            raise _FileError(
                f"{where}{f', task {task}' if task else ''}: --prompt_names {file} does not say what "
                f"{', '.join(map(repr, unknown))} {'is' if len(unknown) == 1 else 'are'} called here. Add each with its label, "
                "or with null to leave it out."
            )
        for name, phrases in labels.items():
            if (label := known[name]) is not None:
                renamed.setdefault(task, {}).setdefault(label, []).extend(phrases)
        if task not in renamed:
            raise _FileError(
                f"{where}: --prompt_names {file} leaves out all names of the file. Give one of them a label."
            )
    used = {name for labels in own.values() for name in labels}
    if absent := sorted({name for task in names.values() for name in task} - used):
        logger.warning("%s has no phrases for %s, which --prompt_names %s names.", where, ", ".join(absent), file)
    return {
        task: {label: list(dict.fromkeys(own)) for label, own in labels.items()} for task, labels in renamed.items()
    }


def labels_of(file: Path, task: str | None = None, *, names: Path | None = None) -> Phrases:
    """The labels of a file, of one of its tasks where it has several.

    Raises:
        ValueError: If the file has no such task, or several and none is named; names them.
    """
    content = read_prompts(file, names=names)
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


def _with_phrases(labels: Any) -> dict[str, list[str]]:
    """Label -> its phrases, none where the file gives none."""
    if not isinstance(labels, (dict, list)):
        raise ValueError(f"got {type(labels).__name__} for the labels.")
    if isinstance(labels, list):
        return {label: [] for label in _checked(labels)}
    for label, phrases in labels.items():
        if not isinstance(phrases, (list, str)):
            raise ValueError(f"the phrases of label {label!r} must be a list or a text, got {phrases!r}.")
    return {label: [phrases] if isinstance(phrases, str) else phrases for label, phrases in labels.items()}


def _checked(labels: Any) -> Phrases:
    from modeling_etp.zero_shot_etp import check_labels

    return check_labels(labels)


def _read_json(file: Path, flag: str) -> Any:
    try:
        return json.loads(Path(file).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise _FileError(f"{flag} {file} can't be read as JSON: {error}") from error


class _FileError(ValueError):
    """Says all there is to say."""
