"""YAML and JSON are taken for what is written in them, or refused in one line."""

import pytest
import yaml

from etp.options import OptionError, parse_options
from etp.strict_yaml import DocumentError, load_json, load_yaml, read_json, read_yaml
from etp.training.arguments import GROUPS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:30", "1:30"),  # base 60 in YAML 1.1
        ("1:30.5", "1:30.5"),
        ("010", "010"),  # base 8
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("2026-01-02", "2026-01-02"),
        ("-7", -7),
        ("0x1F", 31),
        ("1.5e-05", 1.5e-05),
        (".inf", float("inf")),
        ("true", True),
        ("~", None),
    ],
)
def test_a_plain_value_is_what_a_reader_takes_it_for(text, value):
    assert load_yaml(f"key: {text}") == {"key": value}
    assert type(load_yaml(f"key: {text}")["key"]) is type(value)


def test_what_is_dumped_is_read_back():
    content = {"a": 1e-5, "b": "1:30", "c": "010", "d": "yes", "e": None, "f": [1e20, -1.5], "g": "2026-01-01"}
    assert load_yaml(yaml.safe_dump(content)) == content


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", "the key 'seed' is there twice in line 2, column 1"),
        ("a: {b: 1, c: 2, b: 3}", "the key 'b' is there twice in line 1, column 17"),
        ("a: [1", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "{a: " * 5000, "nested too deeply"),
    ],
)
def test_yaml_that_is_refused_is_refused_in_one_line(text, message):
    with pytest.raises(DocumentError, match=message) as error:
        load_yaml(text)
    assert "\n" not in str(error.value)


def test_a_key_may_override_what_is_merged():
    assert load_yaml("a: &a {k: 1, l: 1}\nb:\n  <<: *a\n  k: 2\n")["b"] == {"k": 2, "l": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ('[{"b": {"c": 1, "c": 1}}]', "the key 'c' is there twice"),
        ("[NaN]", "NaN is no number of JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("{", "not valid JSON"),
    ],
)
def test_json_that_is_refused_is_refused_in_one_line(text, message):
    with pytest.raises(DocumentError, match=message) as error:
        load_json(text)
    assert "\n" not in str(error.value)


def test_files_in_another_encoding_are_named(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes("output_dir: Läufe\n".encode("latin-1"))
    for read in (read_yaml, read_json):
        with pytest.raises(DocumentError, match=r"a.yaml is not in UTF-8 .* at byte 13"):
            read(path)
    path.write_bytes(b"\xef\xbb\xbf" + "output_dir: Läufe\n".encode())  # as Windows' editor saves it
    assert read_yaml(path) == {"output_dir": "Läufe"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"output_dir: a\nseed: 1\nseed: 2\n", r"--config: .*the key 'seed' is there twice in line 3"),
        ("output_dir: Läufe\n".encode("latin-1"), "--config: .*not in UTF-8"),
        (b"output_dir: " + b"[" * 5000, "--config: .*nested too deeply"),
        (b"output_dir: a\nnum_epochs: 1:30\n", "--num_epochs: '1:30' is not a whole number"),
    ],
)
def test_a_preset_is_read_strictly(tmp_path, content, message):
    path = tmp_path / "preset.yaml"
    path.write_bytes(content)
    with pytest.raises(OptionError, match=message) as error:
        parse_options(GROUPS, [str(path)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("words", [['{"norm": "group", "norm": "batch"}'], ["norm=group", "norm=batch"]])
def test_a_setting_given_twice_in_a_flag_is_refused(words):
    with pytest.raises(OptionError, match="the key 'norm' is there twice"):
        parse_options(GROUPS, ["--output_dir", "a", "--ecg_config", *words])
