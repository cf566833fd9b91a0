"""What `--help` prints: options under the subjects they belong to, the required ones first in the usage line."""

import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from etp.options import Option, OptionError, preset_names

FULL_PAGE = 30  # options; a command with more shows the most used ones, and the rest by subject
PACKAGES = Path(__file__).parents[1]  # a default in it is a file that comes with them
_INDENT = 28


def command_page(
    options: Mapping[str, Option], *, prog: str, description: str, presets: bool = False, topic: str | None = None
) -> str:
    """The help of a command, or of one of its subjects.

    Args:
        topic: What follows `--help`: a subject, "all", or nothing.

    Raises:
        OptionError: There is no such subject.
    """
    subjects: dict[str, list[Option]] = {}
    for option in options.values():
        subjects.setdefault(subject_of(option.group), []).append(option)
    if topic not in (None, "all", *subjects):
        raise OptionError(f"--help {topic}: the subjects are {', '.join(subjects)}; `--help all` shows every option.")
    short = topic is None and len(options) > FULL_PAGE
    parts = [_usage(options.values(), prog, presets=presets), _wrap(description)]
    if presets:
        parts.append(f"Presets: {', '.join(preset_names())}; or the path of a YAML file.")
    # Subjects of what has to be given stand first.
    for subject, own in sorted(subjects.items(), key=lambda pair: not any(option.required for option in pair[1])):
        if topic in (None, "all", subject):
            shown = [option for option in own if option.metadata.get("common") or option.required] if short else own
            parts.append(_section(subject, own, shown, prog=prog))
    if topic in (None, "all"):
        end = [entry("--config FILE", "YAML file of options by their names; flags override it."),
               entry("--help [SUBJECT|all]", "Show this page, the options of a subject, or all options.")]  # fmt: skip
        parts.append("\n".join(end))
    return "\n\n".join(parts)


def subject_of(group: type) -> str:
    """`TextModelArguments` -> `text-model`."""
    name = group.__name__.removesuffix("Arguments")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def entry(name: str, text: str) -> str:
    """A line of help, broken where the terminal ends; under its name where that is long."""
    width = min(shutil.get_terminal_size().columns, 120)
    lines = textwrap.wrap(text, max(width - _INDENT, 40))
    start = f"  {name}"
    first = [start.ljust(_INDENT) + lines[0]] if len(start) < _INDENT - 1 else [start, " " * _INDENT + lines[0]]
    return "\n".join([*first, *(" " * _INDENT + line for line in lines[1:])])


def _usage(options: Iterable[Option], prog: str, *, presets: bool) -> str:
    required = [
        _left(option).partition(", ")[2] or _left(option) for option in sorted(options, key=lambda one: bool(one.metadata.get("positional")))
        if option.required or option.metadata.get("positional")
    ]  # fmt: skip
    return " ".join(["usage:", prog, *(["[PRESET]"] if presets else []), *required, "[options]"])


def _section(subject: str, own: Sequence[Option], shown: Sequence[Option], *, prog: str) -> str:
    lines = [f"{subject}: {_title(own[0].group)}", *(entry(_left(option), _right(option)) for option in shown)]
    if left := len(own) - len(shown):
        lines.append(
            f"  … {left} more: {prog} --help {subject}" if shown else f"  {left} options: {prog} --help {subject}"
        )
    return "\n".join(lines)


def _title(group: type) -> str:
    sentence = (group.__doc__ or "").strip().partition("\n")[0].removesuffix(".")
    return sentence[:1].lower() + sentence[1:]


def _left(option: Option) -> str:
    """The flag with what stands for its value."""
    if option.metadata.get("positional"):
        several = f"{option.flag} …" if option.takes_several else option.flag
        return several if option.required else f"[{several}]"
    value = option.metadata.get("metavar") or _value(option)
    flags = ", ".join(filter(None, (option.metadata.get("short"), option.flag)))
    if option.kind is bool:
        return f"{flags} {{true,false}}" if option.default is True else flags
    return f"{flags} {value}{' …' if option.takes_several else ''}"


def _value(option: Option) -> str:
    if option.choices:
        return f"{{{','.join(map(str, option.choices))}}}"
    if option.takes_several:
        return "NAME=VALUE" if option.kind is dict else "VALUE"
    return {int: "N", float: "X", Path: "PATH"}.get(option.kind, "TEXT")


def _right(option: Option) -> str:
    text = option.metadata["help"]
    if option.required:
        return f"(required) {text}"
    unset = option.default is None or option.default is False or option.default in ([], {})
    return text if unset else f"{text} ({show(option.default)})"


def show(value: Any) -> str:
    """A default, as one would write it."""
    if isinstance(value, dict):
        return " ".join(f"{key}={entry}" for key, entry in value.items())
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Path) and value.is_relative_to(PACKAGES):
        return value.name
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _wrap(text: str) -> str:
    width = min(shutil.get_terminal_size().columns, 120)
    return "\n\n".join(textwrap.fill(" ".join(part.split()), width) for part in text.strip().split("\n\n"))
