"""The names that people try first: lists of what ships."""

import subprocess
import sys

import pytest

import etp


def test_lists_of_what_ships():
    assert etp.list_models()[0] == "etp-ptb-xl"
    assert {"superclass", "rhythm", "cpsc2018"} <= set(etp.list_label_sets())
    assert {"etp-base", "etp-tiny"} <= set(etp.list_presets())
    assert "atrial-fibrillation" in {sample.name for sample in etp.list_samples()}
    assert etp.sample_path("normal").is_file()


def test_every_public_name_is_there_and_nothing_heavy_is_imported_for_the_lists():
    code = (
        "import sys, etp; etp.list_models(), etp.list_presets(), etp.list_samples(), etp.list_label_sets();"
        "print(sorted({'torch', 'transformers'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    for name in etp.__all__:
        assert getattr(etp, name)
        assert name in dir(etp)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'list_model'"):
        etp.list_model  # noqa: B018
