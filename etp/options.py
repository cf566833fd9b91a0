"""Command lines and YAML files read into dataclasses: one definition per option, flags over file, nothing unknown accepted."""

import argparse
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from etp.strict_yaml import DocumentError, load_json, load_yaml, read_yaml


class OptionError(ValueError):
    """An option that is unknown, malformed or contradicts another; the message names it and the cure."""


def parse_options(groups: Sequence[type], argv: Sequence[str], *, description: str | None = None) -> tuple[Any, ...]:
    """Fill dataclasses from a YAML file and flags.

    The file is the first argument (`train.py preset.yaml --seed 1`) or follows `--config`; flags override it.

    Args:
        groups: Dataclasses whose fields are the options; every field has `metadata={"help": …}`.
        argv: The command line without the program's name.

    Returns:
        One instance per group, in the order of `groups`.

    Raises:
        OptionError: An unknown key or flag, a missing required option, or a value of another type.
    """
    options = {
        field.name: (field, typing.get_type_hints(group)[field.name]) for group in groups for field in fields(group)
    }
    parser = _parser(options, description)
    arguments = list(argv)
    if arguments and arguments[0].endswith((".yaml", ".yml")):
        arguments.insert(0, "--config")
    flags, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise OptionError(
            f"unknown argument {unknown[0]!r}{_suggestion(unknown[0].lstrip('-').split('=')[0], options)}"
        )
    given = vars(flags)
    config = given.pop("config", None)
    values = _read_yaml(Path(config), options) if config else {}
    for name, value in given.items():
        field = options[name][0]
        nested = _plain(options[name][1]) is dict and not field.metadata.get("weights")
        # Nested settings are overridden one by one, weights as a whole: a weight left out means "not used".
        values[name] = {**(values.get(name) or {}), **_convert(name, value, dict)} if nested else value
    missing = [name for name, (field, _) in options.items() if _is_required(field) and name not in values]
    if missing:
        raise OptionError(f"--{missing[0]} is required: {options[missing[0]][0].metadata['help']}")
    converted = {name: _convert(name, value, options[name][1]) for name, value in values.items()}
    return tuple(
        group(**{field.name: converted[field.name] for field in fields(group) if field.name in converted})
        for group in groups
    )


def _parser(options: Mapping[str, tuple[Field, Any]], description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default=argparse.SUPPRESS, help="YAML file of options; flags override it.")
    for name, (field, hint) in options.items():
        kind = _plain(hint)
        extra: dict[str, Any] = {}
        if kind is bool:
            extra = {"nargs": "?", "const": True}
        elif kind is dict or typing.get_origin(kind) in (list, tuple):
            extra = {"nargs": "+"}
        default = "" if _is_required(field) else f" (default: {_show(_default(field))})"
        text = f"{field.metadata['help']}{default}".replace("%", "%%")
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS, help=text, **extra)
    return parser


def _read_yaml(path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    if not path.is_file():
        raise OptionError(f"--config: there is no file {path}.")
    try:
        content = read_yaml(path) or {}
    except DocumentError as error:
        raise OptionError(f"--config: {error}") from error
    if not isinstance(content, dict):
        raise OptionError(f"{path} must hold `option: value` lines, got a {type(content).__name__}.")
    for key in content:
        if key not in options:
            raise OptionError(f"{path}: unknown key {key!r}{_suggestion(str(key), options)}")
    return content


def _convert(name: str, value: Any, hint: Any) -> Any:
    """Turn what a flag or YAML gave into the type of the field."""
    optional = type(None) in typing.get_args(hint)
    if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
        if optional:
            return None
        raise OptionError(f"--{name} can't be empty.")
    kind = _plain(hint)
    try:
        return _convert_plain(value, kind)
    except (TypeError, ValueError) as error:
        raise OptionError(f"--{name}: {value!r} is not {_describe(kind)} ({error}).") from error


def _convert_plain(value: Any, kind: Any) -> Any:
    if kind is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() not in ("true", "false"):
            raise ValueError("write true or false")
        return str(value).lower() == "true"
    if kind is dict:
        return _convert_mapping(value)
    if typing.get_origin(kind) in (list, tuple):
        (item, *_) = typing.get_args(kind)
        return [_convert_plain(entry, item) for entry in ([value] if isinstance(value, (str, int, float)) else value)]
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise ValueError(f"choose from {', '.join(map(str, choices))}")
        return value
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        raise TypeError(f"got a {type(value).__name__}")
    return kind(value)


def _convert_mapping(value: Any) -> dict[str, Any]:
    """`{"a": 1}` from YAML, `a=1 b=2` or one JSON object from flags."""
    if isinstance(value, dict):
        return value
    words = [value] if isinstance(value, str) else list(value)
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        return load_json(words[0])
    pairs = [str(word).partition("=") for word in words]
    if not all(separator for _, separator, _ in pairs):
        raise ValueError("write name=value pairs or a JSON object")
    names = [name for name, _, _ in pairs]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"the key {repeated[0]!r} is there twice")
    return {name: load_yaml(text) for name, _, text in pairs}


def _plain(hint: Any) -> Any:
    """The type behind `X | None`; `dict[...]` becomes `dict`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    return dict if typing.get_origin(hint) is dict else hint


def _describe(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return "one of the choices"
    names = {int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping", Path: "a path"}
    return names.get(kind, "of the right type")


def _is_required(field: Field) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _default(field: Field) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _show(value: Any) -> str:
    return (
        " ".join(f"{key}={entry}" for key, entry in value.items()) or "empty"
        if isinstance(value, dict)
        else str(value)
    )


def _suggestion(name: str, options: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, list(options), n=1)
    return f"; did you mean {close[0]!r}?" if close else "; `--help` lists the options"
