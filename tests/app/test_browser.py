"""The app in a headless browser: files, labels, keyboard, a phone, and whom the page talks to."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from etp.search import SearchIndex

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SECONDS = 60_000  # in milliseconds: how long a loaded machine may take


@pytest.fixture(scope="module")
def server(checkpoint_dir, checkpoint, tmp_path_factory):
    """Serve the app with a tiny model and an index; returns its address and its folder for temporary files."""
    folder = tmp_path_factory.mktemp("served")
    SearchIndex(checkpoint.sha256, texts=["sinus rhythm."], text_embeds=np.eye(8, dtype=np.float32)[:1]).save(
        folder / "index"
    )
    temporary = folder / "temporary"
    temporary.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        "-m",
        "etp.cli",
        "app",
        "--model",
        checkpoint_dir,
        "--index",
        folder / "index",
        "--port",
        str(port),
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "TMPDIR": str(temporary), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}", process, folder / "log")
            yield f"http://127.0.0.1:{port}", temporary
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(120):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise TimeoutError(log.read_text())


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium, or CHROMIUM=path")
    with sync_api.sync_playwright() as playwright:
        profile = tmp_path_factory.mktemp("profile")
        context = playwright.chromium.launch_persistent_context(profile, executable_path=CHROMIUM, args=FLAGS)
        yield context
        context.close()


@pytest.fixture
def page(browser, server):
    """The app's page, opened; `page.hosts` are those it asked, `page.failures` what went wrong in it."""
    page = browser.new_page()
    page.set_default_timeout(SECONDS)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.hosts, page.failures = set(), []
    page.on("request", lambda request: page.hosts.add(re.sub(r"^(\w+:(//[^/]*)?).*", r"\1", request.url, flags=re.S)))
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.goto(server[0])
    page.wait_for_selector("#score")
    yield page
    page.close()


def upload(page, *files: Path) -> None:
    page.set_input_files("#files input[type=file]", [str(file) for file in files])


def scores(page) -> dict[str, str]:
    """Label -> number, as shown."""
    rows = page.locator(".etp-scores tbody tr")
    return {row.locator("th").inner_text(): row.locator("td").last.inner_text() for row in rows.all()}


def wait_for_message(page, text: str) -> None:
    page.wait_for_function(
        "text => document.getElementById('message')?.innerText.includes(text)", arg=text, timeout=SECONDS
    )


def score_labels(page, text: str) -> None:
    page.get_by_label("Labels, one per line").fill(text)
    page.get_by_role("button", name="Score").click()


def test_a_record_is_scored_drawn_explained_and_scored_again_with_other_labels(page, server, archive_dir):
    record = archive_dir / "records100" / "00000" / "00005_lr"
    upload(page, record.with_suffix(".hea"), record.with_suffix(".dat"))
    wait_for_message(page, "00005_lr.hea: 12 leads, 10.0 s at 100 Hz.")
    assert len(scores(page)) == 12
    page.wait_for_selector("#paper img")
    page.wait_for_selector("#attribution img")
    assert page.locator("#paper img").evaluate("image => image.naturalWidth") > 1000
    assert "sinus rhythm." in page.locator("#nearest").inner_text()
    assert not [file for file in server[1].rglob("*") if file.is_file() and file.stat().st_size]

    score_labels(page, "sinus rhythm\nAF = atrial fibrillation; flutter")
    page.wait_for_function("document.querySelectorAll('.etp-scores tbody tr').length == 2")
    assert set(scores(page)) == {"sinus rhythm", "AF"}
    assert sum(float(number) for number in scores(page).values()) == pytest.approx(1, abs=0.011)
    assert page.failures == []


def test_a_bad_file_is_one_sentence_and_the_next_good_one_is_scored(page, tmp_path, archive_dir):
    bad = tmp_path / "letter.csv"
    bad.write_text("dear,colleague\nthank,you\n")
    upload(page, bad)
    wait_for_message(page, "letter.csv: ")
    message = page.locator("#message").inner_text()
    assert page.locator("#message [role=alert]").count() == 1
    assert "\n" not in message.strip()
    assert "Traceback" not in page.content()
    assert page.locator(".etp-scores").count() == 0
    upload(page, archive_dir / "records100" / "00000" / "00005_lr.hea")
    wait_for_message(page, "Choose the .hea and the files that it names together")


def test_a_file_beyond_the_limit_is_refused(page, tmp_path, server):
    large = tmp_path / "large.npy"
    large.write_bytes(bytes(11_000_000))
    upload(page, large)
    page.get_by_text(re.compile("maximum allowed size|larger than|exceed", re.IGNORECASE)).first.wait_for()
    assert page.locator(".etp-scores").count() == 0
    assert not [file for file in server[1].rglob("*") if file.is_file() and file.stat().st_size]


def test_a_label_that_is_wrong_and_a_label_set_are_told_and_taken(page):
    page.get_by_label("Or a synthetic example").click()
    page.get_by_role("option", name="left bundle branch block").click()
    wait_for_message(page, "synthetic example “left bundle branch block”")
    score_labels(page, "normal ECG\nnormal ECG")
    wait_for_message(page, "The label 'normal ECG' comes twice, again in line 2.")
    page.get_by_label("Fill in a label set").click()
    page.get_by_role("option", name="superclass").click()
    page.wait_for_function("document.querySelector('#labels textarea').value.startsWith('NORM = ')")
    page.get_by_role("button", name="Score").click()
    page.wait_for_function("document.querySelectorAll('.etp-scores tbody tr').length == 5")
    assert set(scores(page)) == {"NORM", "MI", "STTC", "CD", "HYP"}


def test_the_keyboard_alone_takes_an_example_and_scores_it(page):
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "[document.activeElement.tagName, document.activeElement.getAttribute('aria-label') || '', "
            "document.activeElement.id, document.activeElement.innerText || ''].join('|')"
        )
        reached.add(focused)
        if "Or a synthetic example" in focused:
            page.keyboard.press("ArrowDown")
            page.keyboard.press("Enter")
            page.wait_for_selector(".etp-scores")
        if focused.startswith("BUTTON") and "Score" in focused:
            break
    assert any("Drop File" in focused or "upload" in focused.lower() for focused in reached), reached
    assert any(focused.startswith("TEXTAREA") for focused in reached), reached
    page.wait_for_selector("#attribution img")
    page.keyboard.press("Enter")
    wait_for_message(page, "synthetic example")


def test_a_phone_shows_everything_without_scrolling_the_page_sideways(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_label("Or a synthetic example").click()
    page.get_by_role("option", name="normal").click()
    page.wait_for_selector("#attribution img")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for part in ("#scores", "#paper", "#attribution", ".etp-limits"):
        box = page.locator(part).first.bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= 390, part
    # Paper is not shrunk to what nobody can read: it scrolls inside its own frame.
    assert page.locator("#paper img").evaluate("image => image.clientWidth") >= 800


def test_the_page_talks_to_nobody_but_its_server(page, server):
    page.get_by_label("Or a synthetic example").click()
    page.get_by_role("option", name="normal").click()
    page.wait_for_selector("#attribution img")
    page.wait_for_timeout(1000)
    assert page.hosts <= {server[0], "data:", "blob:"}
    assert server[0] in page.hosts
    assert page.locator(".etp-limits").inner_text().startswith("Research software, not a medical device.")
