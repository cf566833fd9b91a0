"""Errors of readers, the feature extractor and data set builders, with arguments called as an interface calls them."""

import ast
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

# What errors name as `name` or `name=value`, see `modeling_etp.ecg_errors_etp`, and builders besides.
ARGUMENTS = (
    "sampling_rate",
    "lead_names",
    "units",
    "max_gap_seconds",
    "verify_checksum",
    "allow_private_addresses",
    "on_error",
    "cache_dir",
)
_ARGUMENT = re.compile(rf"`({'|'.join(ARGUMENTS)})(?:=([^`]+))?`")
_CLAUSE = re.compile(r"; (?:(?!; |\.(?=\s+[A-Z]|$)).)*")  # from a semicolon to the next, or to the end of the sentence


def reworded(text: str, words: Mapping[str, Callable[[Any], str]]) -> str:
    """An error in the words of an interface.

    Args:
        text: With arguments as Python has them. What stands behind a semicolon is left out if it needs an argument that
            the interface doesn't have.
        words: Of each argument that the interface has: makes what it is called there of the value that the text shows
            with it, `None` if it shows none.
    """

    def kept(clause: re.Match) -> str:
        return clause[0] if all(found[1] in words for found in _ARGUMENT.finditer(clause[0])) else ""

    def word(found: re.Match) -> str:
        try:
            return words[found[1]](None if found[2] is None else ast.literal_eval(found[2]))
        except (KeyError, ValueError, SyntaxError):  # a stranger's words that look alike
            return found[0]

    return _ARGUMENT.sub(word, _CLAUSE.sub(kept, text))


def as_flags(text: str, options: Collection[str]) -> str:
    """An error in the words of a command line.

    Args:
        options: Names of those that the command has.

    Example:
        >>> as_flags('Pass `lead_names=["I", "II"]`; or read with `verify_checksum=False`.', {"lead_names"})
        'Pass --lead_names I II.'
    """
    return reworded(text, {name: partial(_flag, name) for name in ARGUMENTS if name in options})


def _flag(name: str, value: Any) -> str:
    values = [] if value is None else value if isinstance(value, list) else [value]
    return " ".join([f"--{name}", *(shlex.quote(shown(each)) for each in values)])


def shown(value: Any) -> str:
    """A value as people type it: `500`, `0.1 mV`, `false`."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


__all__ = ["ARGUMENTS", "as_flags", "reworded", "shown"]
