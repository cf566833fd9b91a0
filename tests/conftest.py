"""Options and fixtures that every part of the suite shares."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--data", type=Path, help="folder holding the restored archives ptb-xl/, cpsc2018/ …")


@pytest.fixture(scope="session")
def data_root(pytestconfig: pytest.Config) -> Path:
    """Folder of the real archives; tests that use it are marked `real_data`."""
    root = pytestconfig.getoption("--data")
    if root is None:
        pytest.skip("needs the real archives: pytest -m real_data --data DIR")
    return root
