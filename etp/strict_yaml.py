"""YAML and JSON read strictly: a repeated key is an error, and a value is what a reader would take it for."""

import json
import re
from pathlib import Path
from typing import Any

import yaml


class DocumentError(ValueError):
    """Text that is not valid YAML or JSON, or that two readers could take for different things; one line."""


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file in UTF-8.

    Raises:
        DocumentError: It is in another encoding, is not YAML, repeats a key or is nested too deeply; names the file.
    """
    return load_yaml(_read_text(path), name=str(path))


def load_yaml(text: str, *, name: str = "the text") -> Any:
    """Parse YAML 1.1 without what it reads differently from what is written.

    `1:30` stays text (YAML 1.1: 90 in base 60), so do `010` (8 in base 8), `1_000` and dates.

    Args:
        name: What is parsed, for the error.

    Raises:
        DocumentError: It is not YAML, repeats a key or is nested too deeply.
    """
    try:
        loader = _StrictLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise DocumentError(f"{name} is not valid YAML: {error.problem or error.context}{place}.") from error
    except yaml.YAMLError as error:
        raise DocumentError(f"{name} is not valid YAML: {' '.join(str(error).split())}.") from error
    except RecursionError as error:
        raise DocumentError(f"{name} is nested too deeply to be read.") from error


def read_json(path: str | Path) -> Any:
    """Read a JSON file in UTF-8.

    Raises:
        DocumentError: As `load_json`, or it is in another encoding; names the file.
    """
    return load_json(_read_text(path), name=str(path))


def load_json(text: str, *, name: str = "the text") -> Any:
    """Parse JSON as RFC 8259 has it: no repeated key, no NaN or Infinity.

    Raises:
        DocumentError: It is not JSON, repeats a key or is nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except RecursionError as error:
        raise DocumentError(f"{name} is nested too deeply to be read.") from error
    except ValueError as error:
        raise DocumentError(f"{name} is not valid JSON: {error}.") from error


def _read_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"{path} is not in UTF-8 ({error.reason} at byte {error.start}). Save it in UTF-8."
        ) from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {key!r} is there twice")
        content[key] = value
    return content


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


class _StrictLoader(yaml.SafeLoader):
    """`SafeLoader` that knows decimal and hexadecimal numbers only, no dates, and each key of a mapping once."""

    yaml_implicit_resolvers = {
        first: [pair for pair in resolvers if not pair[0].endswith((":int", ":float", ":timestamp"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]*|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
