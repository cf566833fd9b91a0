"""Label sets: for every class of a task the phrases that state it, versioned as data and written without any label."""

import json
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from datasets_scripts.archives import ARCHIVES
from datasets_scripts.ptb_xl_labels import STATEMENTS, TASK_CLASSES

_FOLDER = Path(__file__).parent
# Task with phrases of its own -> (archive, label column). Each task is the file of its name in this folder.
LABEL_TASKS = MappingProxyType(
    {
        task: (archive.name, column)
        for archive in ARCHIVES.values()
        for task, column in archive.tasks.items()
        if (_FOLDER / f"{task}.json").is_file()
    }
)


def load_label_set(task: str) -> dict[str, list[str]]:
    """Phrases that state each class of `task`, classes in the order of the dataset's label column.

    A class that stands for several statements, such as the superclass MI, has the phrases of all of them and its own
    hypernyms first: any of them states the class.

    Raises:
        ValueError: If there is no such task.
    """
    own_phrases = _read(task)["phrases"]
    return {
        label: list(dict.fromkeys([*own_phrases.get(label, ()), *_phrases(codes, "present")]))
        for label, codes in _members(task).items()
    }


def load_negated_phrases(task: str) -> dict[str, list[str]]:
    """Phrases that deny each class of `task`, in the same order; for negative prompts and for tests of negation.

    Raises:
        ValueError: If there is no such task.
    """
    return {label: _phrases(codes, "absent") for label, codes in _members(task).items()}


def label_set_versions(task: str) -> dict[str, str]:
    """Name -> version of the data files behind `task`, to be written beside every result.

    Raises:
        ValueError: If there is no such task.
    """
    return {file["name"]: file["version"] for file in (_read(task), _read("statements"))}


def _members(task: str) -> dict[str, list[str]]:
    """Label -> the SCP statements it stands for."""
    file = _read(task)
    if "statements" in file:
        return dict(file["statements"])
    if task == "superclass":
        return {label: [code for code, row in STATEMENTS.items() if row[0] == label] for label in TASK_CLASSES[task]}
    if task == "subclass":
        return {label: [code for code, row in STATEMENTS.items() if row[1] == label] for label in TASK_CLASSES[task]}
    return {code: [code] for code in TASK_CLASSES[task]}


def _phrases(codes: list[str], kind: str) -> list[str]:
    statements = _read("statements")["statements"]
    return [phrase for code in codes for phrase in statements[code][kind]]


@lru_cache
def _read(name: str) -> dict[str, Any]:
    if name != "statements" and name not in LABEL_TASKS:
        raise ValueError(f"There is no label set {name!r}; there are {', '.join(LABEL_TASKS)}.")
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
