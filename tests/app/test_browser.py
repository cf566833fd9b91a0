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
    for _ in range(240):
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
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=FLAGS, accept_downloads=True
        )
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
    return {row.locator("th").inner_text().split(" ")[0]: row.locator("td").last.inner_text() for row in rows.all()}


def choose_sample(page, name: str) -> None:
    page.locator(f"button[data-example={name}]").click()


def wait_for_message(page, text: str) -> None:
    page.wait_for_function(
        "text => document.getElementById('message')?.innerText.includes(text)", arg=text, timeout=SECONDS
    )


def score_labels(page, text: str) -> None:
    lines = page.get_by_label("Labels, one per line")
    if not lines.is_visible():
        page.get_by_role("button", name="Labels and their phrases as text").click()
    lines.fill(text)
    page.get_by_role("button", name="Use these lines").click()


def test_a_record_is_scored_drawn_explained_and_scored_again_with_other_labels(page, server, archive_dir):
    record = archive_dir / "records100" / "00000" / "00005_lr"
    upload(page, record.with_suffix(".hea"), record.with_suffix(".dat"))
    wait_for_message(page, "00005_lr.hea: 12 leads, 10.0 s at 100 Hz.")
    assert page.locator(".etp-scores tbody tr").count() == 12
    assert page.locator("button[data-example][aria-pressed=true]").count() == 0
    page.wait_for_selector("#paper img")
    assert page.locator("#paper img").evaluate("image => image.naturalWidth") > 1000
    assert "sinus rhythm." in page.locator("#nearest").inner_text()
    assert not [file for file in server[1].rglob("*") if file.is_file() and file.stat().st_size]

    score_labels(page, "SR\nAF = atrial fibrillation; flutter")
    page.wait_for_function("document.querySelectorAll('.etp-scores tbody tr').length == 2")
    assert set(scores(page)) == {"SR", "AF"}
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
    wait_for_message(page, "normal: 12 leads")
    upload(page, large)
    page.get_by_text(re.compile("maximum allowed size|larger than|exceed", re.IGNORECASE)).first.wait_for()
    assert "normal: 12 leads" in page.locator("#message").inner_text()  # what was there stays
    assert not [file for file in server[1].rglob("*") if file.is_file() and file.stat().st_size]


def test_an_example_is_scored_on_an_empty_page_and_another_takes_its_place(page):
    page.wait_for_selector("#paper img")
    assert page.locator("button[data-example][aria-pressed=true]").get_attribute("data-example") == "normal"
    choose_sample(page, "atrial-fibrillation")
    wait_for_message(page, "atrial fibrillation: 12 leads")
    assert "CC BY 4.0" in page.locator("#message").inner_text()
    assert (
        page.locator("button[data-example][aria-pressed=true]").get_attribute("data-example") == "atrial-fibrillation"
    )
    assert page.failures == []


def test_scores_are_seen_on_a_laptop_and_a_phone_without_scrolling(page):
    page.wait_for_selector("#paper img")
    for width, height, rows in ((1440, 900, 12), (1280, 720, 12), (390, 844, 8)):
        page.set_viewport_size({"width": width, "height": height})
        bottom = page.locator(".etp-scores tbody tr").nth(rows - 1).bounding_box()
        assert bottom["y"] + bottom["height"] <= height, (width, height)
    page.set_viewport_size({"width": 1280, "height": 720})
    box = page.locator("#paper img").bounding_box()
    assert box["y"] + box["height"] / 2 < 720


def test_the_attribution_is_a_layer_that_is_switched(page):
    page.wait_for_selector("#paper img")
    assert page.locator("#attribution img").count() == 0
    page.get_by_label("Show what speaks for").check()
    page.wait_for_selector("#attribution img")
    assert not page.locator("#paper img").is_visible()  # one picture at a time
    page.get_by_label("Show what speaks for").uncheck()
    page.wait_for_function("!document.querySelector('#attribution img')")
    assert page.locator("#paper img").is_visible()


def test_labels_are_chips_that_are_typed_and_taken_away(page):
    page.wait_for_selector("#paper img")
    page.locator("#labels input").fill("pericarditis")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('.etp-scores tbody tr').length == 13")
    page.get_by_role("button", name="Remove pericarditis").click()
    page.wait_for_function("document.querySelectorAll('.etp-scores tbody tr').length == 12")
    assert page.failures == []


def test_a_label_that_is_wrong_and_a_label_set_are_told_and_taken(page):
    score_labels(page, "normal ECG\nAF = ;")
    wait_for_message(page, "Line 2 of the labels is 'AF = ;'")
    page.get_by_label("Take a label set").click()
    page.get_by_role("option", name="PTB-XL: superclass (5)").click()
    page.wait_for_function("document.querySelectorAll('.etp-scores tbody tr').length == 5")
    assert set(scores(page)) == {"NORM", "MI", "STTC", "CD", "HYP"}
    assert page.get_by_label("Labels, one per line").input_value().startswith("NORM = ")


def test_scores_and_picture_are_saved_as_files(page):
    page.wait_for_selector("#paper img")
    for role, name, file in (
        ("link", "CSV", "normal-scores.csv"),
        ("link", "JSON", "normal-scores.json"),
        ("button", "Save PNG", "normal.png"),
        ("button", "Save PDF", "normal.pdf"),
    ):
        with page.expect_download() as saved:
            page.get_by_role(role, name=name).click()
        assert saved.value.suggested_filename == file
        assert saved.value.path().stat().st_size > 100


def test_the_keyboard_alone_takes_a_sample_and_scores_it(page):
    page.wait_for_selector("#paper img")
    reached = []
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "[document.activeElement.tagName, document.activeElement.getAttribute('aria-label') || '', "
            "document.activeElement.id, document.activeElement.innerText || ''].join('|')"
        )
        reached.append(focused)
        if focused.startswith("BUTTON") and "left bundle branch block" in focused:
            page.keyboard.press("Enter")
            wait_for_message(page, "left bundle branch block: 12 leads")
        if focused.startswith("BUTTON") and focused.endswith("|Score"):
            break

    def order(words: str) -> int:
        return next(number for number, focused in enumerate(reached) if words in focused)

    in_order = ("normal", "upload", "What do these numbers mean", "CSV", "Remove", "Score")
    assert [order(words) for words in in_order] == sorted(order(words) for words in in_order), reached
    page.keyboard.press("Enter")
    wait_for_message(page, "left bundle branch block: 12 leads")


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_cut_off_at_any_width(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    page.wait_for_selector("#paper img")
    page.get_by_label("Show what speaks for").check()
    page.wait_for_selector("#attribution img")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for part in ("#gallery", "#files", "#scores", "#picture", "#ask", "#attribution", ".etp-limits", "#score"):
        box = page.locator(part).first.bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= width, part
    # What is wider than its frame scrolls in it; hidden behind its edge nothing may be.
    hidden = page.evaluate(
        """() => [...document.querySelectorAll(".main.app *")].filter((e) => {
            const style = getComputedStyle(e);
            return e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 2 && !["auto", "scroll"].includes(style.overflowX)
                && style.overflowX !== "visible" && style.textOverflow !== "ellipsis" && e.tagName !== "INPUT";
        }).map((e) => e.tagName + "." + e.className + " " + e.scrollWidth + " in " + e.clientWidth)"""
    )
    assert hidden == []


def test_a_phone_does_not_shrink_the_paper_to_what_nobody_can_read(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_selector("#paper img")
    assert page.locator("#paper img").evaluate("image => image.clientWidth") >= 800


def test_every_field_button_and_picture_has_a_name(page):
    page.wait_for_selector("#paper img")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input:not([type=file]), textarea, a, img, [role=button]")].filter((e) => {
            const labels = e.labels ? [...e.labels].map((label) => label.innerText).join("") : "";
            return e.offsetParent && !(e.getAttribute("aria-label") || labels || e.innerText || e.alt || e.title).trim();
        }).map((e) => e.outerHTML.slice(0, 200))"""
    )
    assert unnamed == []
    assert page.locator("h1").count() == 1


def test_the_page_talks_to_nobody_but_its_server(page, server):
    page.wait_for_selector("#paper img")
    page.get_by_label("Show what speaks for").check()
    page.wait_for_selector("#attribution img")
    page.wait_for_timeout(1000)
    assert page.hosts <= {server[0], "data:", "blob:"}
    assert server[0] in page.hosts
    assert page.locator(".etp-limits").inner_text().startswith("Research software, not a medical device.")
