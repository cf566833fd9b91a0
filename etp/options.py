"""Command lines and YAML files read into dataclasses: one definition per option, flags over file, nothing unknown accepted."""

import argparse
import difflib
import logging
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn

from etp.strict_yaml import DocumentError, load_json, load_yaml, read_yaml

HELP_FLAGS = ("-h", "--help")
PRESETS = Path(__file__).parent / "presets"
logger = logging.getLogger(__name__)


class OptionError(ValueError):
    """An option that is unknown, malformed or contradicts another; the message names it and the cure. Exit status 2."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise OptionError(message)


def option(
    help: str,
    default: Any = ...,
    *,
    common: bool = False,
    short: str | None = None,
    positional: bool = False,
    metavar: str | None = None,
    choices: Callable[[], Sequence[str]] | None = None,
    weights: bool = False,
    replaced_by: str | None = None,
    minimum: float | None = None,
) -> Any:
    """A dataclass field that is an option; without a default it is required.

    Args:
        help: One sentence.
        common: Whether `--help` shows it where the options of a command are too many for a page.
        short: A second, short flag, e.g. `"-o"`.
        positional: Whether it is given by its place instead of a flag.
        metavar: What stands for its value in `--help`.
        choices: Gives the values it can have; called only when one is read or shown.
        weights: Of a mapping: flags replace all of it, for a weight left out means "not used".
        replaced_by: Another option. Where a flag sets that one, what a preset says of this one goes with what it said
            of the other: `dataset_config` belongs to the `dataset` it was written for.
        minimum: The smallest number it can be.
    """
    metadata = {
        "help": help, "common": common, "short": short, "positional": positional, "metavar": metavar,
        "choices": choices, "weights": weights, "replaced_by": replaced_by, "minimum": minimum,
    }  # fmt: skip
    if default is ...:
        return field(metadata=metadata)
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Option:
    """A field of one of the dataclasses of a command.

    Attributes:
        hint: Its type, with `| None` where it may be left empty.
        group: The class that defines it first; options are shown under that class's name and docstring.
    """

    name: str
    field: Field
    hint: Any
    group: type

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.field.metadata

    @property
    def short(self) -> str | None:
        return self.field.metadata.get("short")

    @property
    def required(self) -> bool:
        return self.field.default is MISSING and self.field.default_factory is MISSING

    @property
    def default(self) -> Any:
        return self.field.default_factory() if self.field.default_factory is not MISSING else self.field.default

    @property
    def kind(self) -> Any:
        """The type behind `X | None`; `dict[...]` becomes `dict`."""
        return _plain(self.hint)

    @property
    def takes_several(self) -> bool:
        return self.kind is dict or typing.get_origin(self.kind) in (list, tuple)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values it can have; empty where anything of its type goes."""
        if given := self.metadata.get("choices"):
            return tuple(given())
        item = typing.get_args(self.kind)[0] if typing.get_origin(self.kind) is list else self.kind
        return typing.get_args(item) if typing.get_origin(item) is typing.Literal else ()

    @property
    def flag(self) -> str:
        return (
            self.metadata.get("metavar") or self.name.upper() if self.metadata.get("positional") else f"--{self.name}"
        )


def options_of(groups: Sequence[type]) -> dict[str, Option]:
    """Every option of the dataclasses, by name, in their order."""
    found = {}
    for group in groups:
        hints = typing.get_type_hints(group)
        for each in fields(group):
            owner = next(
                base for base in reversed(group.__mro__) if each.name in vars(base).get("__annotations__", ())
            )
            found[each.name] = Option(each.name, each, hints[each.name], owner)
    return found


def preset_names() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def parse_options(
    groups: Sequence[type],
    argv: Sequence[str],
    *,
    description: str | None = None,
    prog: str = "etp",
    presets: bool = False,
) -> tuple[Any, ...]:
    """Fill dataclasses from a YAML file and flags, or print the help that `--help` asks for and end.

    Args:
        groups: Dataclasses whose fields are made by [`option`].
        argv: The command line without the program's name.
        description: What the command does, for `--help`.
        prog: The command, for `--help`.
        presets: Whether a preset or YAML file can stand before the flags (`etp train etp-base --seed 1`); it can follow
            `--config` in any case. Flags override what it says.

    Returns:
        One instance per group, in the order of `groups`.

    Raises:
        OptionError: An unknown key or flag, a missing required option, or a value of another type.
    """
    options, words = options_of(groups), list(argv)
    if asked := [place for place, word in enumerate(words) if word in HELP_FLAGS]:
        from etp.help_pages import command_page

        topic = next(iter(words[asked[0] + 1 :]), None)
        print(command_page(options, prog=prog, description=description or "", presets=presets, topic=topic))
        raise SystemExit(0)
    given, config = _read_flags(options, words, presets=presets)
    values = _read_config(options, config, given) if config else {}
    for name, value in given.items():
        each = options[name]
        # Nested settings are overridden one by one, weights as a whole: a weight left out means "not used".
        nested = each.kind is dict and not each.metadata.get("weights")
        values[name] = {**(values.get(name) or {}), **_convert(each, value)} if nested else value
    if missing := [each for each in options.values() if each.required and each.name not in values]:
        raise OptionError(f"{missing[0].flag} is required: {missing[0].metadata['help']}")
    converted = {name: _convert(options[name], value) for name, value in values.items()}
    return tuple(
        group(**{each.name: converted[each.name] for each in fields(group) if each.name in converted})
        for group in groups
    )


def split_options(group: type, argv: Sequence[str]) -> tuple[Any, list[str]]:
    """Take the options of one dataclass out of a command line; returns them filled in, and the other words."""
    options = options_of([group])
    flags, rest = _parser(options).parse_known_args(_with_values(options, argv))
    given = {name: _convert(options[name], value) for name, value in vars(flags).items()}
    return group(**given), rest


def _read_flags(
    options: Mapping[str, Option], words: list[str], *, presets: bool
) -> tuple[dict[str, Any], str | None]:
    """What flags and places give, unconverted, and the YAML file."""
    separator = words.index("--") if "--" in words else len(words)
    parser = _parser(options)
    parser.add_argument("--config", default=argparse.SUPPRESS)
    flags, rest = parser.parse_known_args(_with_values(options, words[:separator]))
    if unknown := [word for word in rest if word.startswith("-") and len(word) > 1]:
        flags_by_name = {name: each.flag for name, each in options.items() if not each.metadata.get("positional")}
        raise OptionError(
            f"unknown argument {unknown[0]!r}{_suggestion(unknown[0].lstrip('-').split('=')[0], flags_by_name)}"
        )
    given = vars(flags)
    config, placed = given.pop("config", None), [*rest, *words[separator + 1 :]]
    places = [each for each in options.values() if each.metadata.get("positional")]
    if placed and (presets or (not places and placed[0].endswith((".yaml", ".yml")))):
        if config is not None:
            raise OptionError(f"{placed[0]!r} and --config {config} are two presets: give one of them.")
        config = placed.pop(0)
    for each in places:
        if placed:
            given[each.name], placed = (placed, []) if each.takes_several else (placed[0], placed[1:])
    if placed:
        before = words[words.index(placed[0]) - 1]
        if before in _switches(options):
            raise OptionError(f"{before}: {placed[0]!r} is not true or false.")
        raise OptionError(f"unexpected argument {placed[0]!r}; options begin with --, and `--help` lists them.")
    return given, config


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionError(message.removeprefix("argument ").replace("expected one argument", "a value must follow"))


def _parser(options: Mapping[str, Option]) -> argparse.ArgumentParser:
    parser = _Parser(allow_abbrev=False, add_help=False)
    for each in options.values():
        if not each.metadata.get("positional"):
            flags = [f"--{each.name}", *filter(None, [each.short])]
            parser.add_argument(
                *flags, dest=each.name, default=argparse.SUPPRESS, nargs="+" if each.takes_several else None
            )
    return parser


def _switches(options: Mapping[str, Option]) -> set[str]:
    return {f"--{each.name}" for each in options.values() if each.kind is bool}


def _with_values(options: Mapping[str, Option], words: Sequence[str]) -> list[str]:
    """The command line with `true` behind every switch that has no value, which may not be the next word by accident."""
    switches = _switches(options)
    following = [*words[1:], ""]
    return [
        f"{word}=true" if word in switches and after.lower() not in ("true", "false") else word
        for word, after in zip(words, following, strict=False)
    ]


def _read_config(options: Mapping[str, Option], config: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a preset or YAML file says, without what flags replace altogether."""
    values = _read_yaml(find_preset(config), options)
    for name in list(values):
        owner = options[name].field.metadata.get("replaced_by")
        if (
            owner is not None
            and owner in given
            and name not in given
            and given[owner] != values.get(owner, options[owner].default)
        ):
            logger.info("%s: %s: %s of %s is not used.", f"--{owner} {given[owner]}", name, values.pop(name), config)
    return values


def find_preset(config: str) -> Path:
    """The file of a preset's name or path.

    Raises:
        OptionError: There is neither.
    """
    path = Path(config)
    if config in preset_names():
        return PRESETS / f"{config}.yaml"
    if path.is_file():
        return path
    known = f"; {path.stem!r} is a preset, named without a path" if path.stem in preset_names() else ""
    raise OptionError(
        f"there is no file {config}{known}; the presets are {', '.join(preset_names())}, and a YAML file can take their place."
    )


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
            raise OptionError(f"{path}: unknown key {key!r}{_suggestion(str(key), {name: name for name in options})}")
    return content


def _convert(option: Option, value: Any) -> Any:
    """Turn what a flag or YAML gave into the type of the field."""
    empty = value is None or (isinstance(value, str) and value.lower() in ("none", "null"))
    if empty and type(None) in typing.get_args(option.hint):
        return None
    if value is None:
        raise OptionError(f"{option.flag} can't be empty.")
    try:
        converted = _convert_plain(value, option.kind)
    except (TypeError, ValueError) as error:
        raise OptionError(f"{option.flag}: {value!r} is not {_describe(option)} ({error}).") from error
    for entry in converted if isinstance(converted, list) else [converted]:
        if option.choices and entry not in option.choices:
            raise OptionError(f"{option.flag}: unknown {entry!r}, choose from {', '.join(option.choices)}.")
    minimum = option.metadata.get("minimum")
    if minimum is not None and not converted >= minimum:
        raise OptionError(f"{option.flag} must be at least {minimum}, got {converted}.")
    return converted


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


def _describe(option: Option) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping", Path: "a path"}
    return names.get(option.kind, "of the right type")


def _suggestion(name: str, written: Mapping[str, str]) -> str:
    """What may have been meant, as it is written where the name stands."""
    close = difflib.get_close_matches(name, list(written), n=1)
    return f"; did you mean {written[close[0]]!r}?" if close else "; `--help` lists the options"
