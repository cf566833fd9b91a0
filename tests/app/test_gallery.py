"""The samples of the page."""

import re

import numpy as np
import pytest

from etp.app.examples import examples
from etp.app.gallery import HEIGHT, WIDTH, gallery, thumbnail
from modeling_etp.ecg_files_etp import EcgRecording


def test_every_example_is_a_button_with_its_name_and_one_is_pressed():
    html = gallery(examples(), pressed="normal")
    buttons = re.findall(
        r'<button type="button" class="etp-sample" data-example="([^"]+)".*?aria-pressed="(\w+)"', html
    )
    assert [name for name, _ in buttons] == list(examples())
    assert [name for name, pressed in buttons if pressed == "true"] == ["normal"]
    assert len(re.findall(r"<svg [^>]*aria-hidden", html)) == len(examples())


@pytest.mark.parametrize("leads", [("V9",), ("i", "ii"), ("aVR", "V5")])
def test_a_thumbnail_keeps_within_its_frame_whatever_the_recording(leads):
    signal = np.full((len(leads), 700), np.nan, np.float32)
    signal[:, 100:] = np.random.default_rng(0).normal(0, 30, (len(leads), 600))
    (points,) = re.findall(r'points="([^"]+)"', thumbnail(EcgRecording(signal, 500, leads)))
    x, y = np.array([point.split(",") for point in points.split()], dtype=float).T
    assert 0 <= x.min() < x.max() <= WIDTH
    assert 0 <= y.min() < y.max() <= HEIGHT
