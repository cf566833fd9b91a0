"""Reports of PTB-XL to English statements."""

import pytest

from datasets_scripts.ptb_xl_reports import report_statements


@pytest.mark.parametrize(
    "report",
    [
        "sinusrhythmus lagetyp normal unvollstÄndiger rechtsschenkelblock sonst normales ekg",
        "sinusrhythmus lagetyp normal unvollstaendiger rechtsschenkelblock sonst normales ekg",
        "sinusrhythmus lagetyp normal unvollständiger rechtsschenkelblock sonst normales ekg"
        " 4.46                          unbestÄtigter bericht",
    ],
)
def test_spellings_of_umlauts_and_device_text_do_not_matter(report):
    assert report_statements(report) == [
        "sinus rhythm",
        "normal axis",
        "incomplete right bundle branch block",
        "otherwise normal ECG",
    ]


def test_label_text_is_cut_off():
    assert report_statements("sinus rhythm. normal ecg. Edit: NORM 100, (ISCIL 50)") == ["sinus rhythm", "normal ECG"]
