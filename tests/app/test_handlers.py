"""What the page answers, without a browser."""

import re

import numpy as np
import pytest

from etp.app import measured
from etp.app.handlers import UNEXPECTED, Handlers
from etp.app.interface import build_interface, launch_options
from etp.app.recent import RecentResults
from etp.app.scorer import EcgScorer
from etp.app.sources import ExampleEcg, UploadedEcg
from etp.measurements import measure
from etp.search import SearchIndex
from modeling_etp.pipeline_etp import ZeroShotEcgClassificationPipeline

LABELS = "normal ECG\nAF = atrial fibrillation; no P waves"
NORMAL = ExampleEcg("normal")


def fields(source=NORMAL, *, rate=None, leads="", units="", labels=LABELS, independent=False) -> tuple:
    return source, rate, leads, units, labels, independent


def shown_scores(html: str) -> dict[str, float]:
    """Label -> number in the table of scores."""
    rows = re.findall(r'<th scope="row">([^<]*).*?</th>.*?<td class="etp-number">(.*?)</td>', html)
    return {label.strip(): float(number) for label, number in rows}


def test_scores_on_the_page_are_those_of_the_pipeline(handlers, checkpoint):
    results = handlers.score(*fields())
    classifier = ZeroShotEcgClassificationPipeline(
        model=checkpoint.model, processor=checkpoint.processor, task="zero-shot-ecg-classification", device="cpu"
    )
    labels = {"normal ECG": ["normal ECG"], "AF": ["atrial fibrillation", "no P waves"]}
    expected = {entry["label"]: entry["score"] for entry in classifier(NORMAL.read(), labels)}
    assert shown_scores(results.scores) == pytest.approx(expected, abs=0.005)
    assert list(shown_scores(results.scores)) == list(expected)
    assert "Scores, not probabilities of disease: shares of 2 labels" in results.scores
    assert "12 leads, 10.0 s at 100 Hz" in results.message
    assert 'src="data:image/png;base64,' in results.paper
    assert "Report: “sinus rhythm; normal ECG”. PTB-XL (Wagner et al. 2020, CC BY 4.0), record 10" in results.message
    assert (results.nearest, results.attribution) == ("", "")
    assert results.explained.value == next(iter(expected))


def test_labels_judged_one_by_one_do_not_share_a_score(handlers):
    together = shown_scores(handlers.score(*fields()).scores)
    apart = shown_scores(handlers.score(*fields(independent=True)).scores)
    alone = shown_scores(handlers.score(*fields(labels="normal ECG", independent=True)).scores)
    assert sum(together.values()) == pytest.approx(1, abs=0.011)
    assert apart["normal ECG"] == alone["normal ECG"] != together["normal ECG"]


def test_an_upload_is_scored_deleted_and_kept_in_memory_for_other_labels(handlers, archive_dir, upload, uploads):
    folder = archive_dir / "records100" / "00000"
    paths = upload({name: (folder / name).read_bytes() for name in ("00002_lr.hea", "00002_lr.dat")})
    source, files = handlers.upload(paths)
    assert (files, list(uploads.iterdir())) == (None, [])
    first = handlers.score(*fields(source))
    assert "00002_lr.hea: 12 leads, 10.0 s at 100 Hz" in first.message
    second = handlers.score(*fields(source, labels="sinus rhythm\npacemaker")).scores
    assert set(shown_scores(first.scores)) == {"normal ECG", "AF"}
    assert set(shown_scores(second)) == {"sinus rhythm", "pacemaker"}


def test_a_bad_file_takes_the_place_of_the_good_one_before_it(handlers, upload, uploads):
    source, _ = handlers.upload(upload({"holiday.jpg": b"\xff\xd8\xff\xe0 no ECG"}))
    message, *parts, explained, tools = handlers.score(*fields(source))
    assert 'role="alert">holiday.jpg: ' in message
    assert (set(parts), explained.value, tools.visible) == ({""}, None, False)
    assert not list(uploads.iterdir())


def test_files_that_could_not_be_taken_take_the_place_of_the_ones_before_too(handlers, upload, uploads):
    source, files = handlers.upload(upload({f"{number}.dat": b"" for number in range(9)}))
    assert (files, list(uploads.iterdir())) == (None, [])
    results = handlers.score(*fields(source))
    assert 'role="alert">9 files came, expected at most 8' in results.message
    assert results.paper == ""
    assert handlers.explain(True, "AF", *fields(source)) == results.message
    assert handlers.picture_file("pdf", False, None, *fields(source)) == results.message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": None}, "Choose a sample or a file"),
        ({"source": ExampleEcg("nobody")}, "There is no example &#x27;nobody&#x27;, there are normal, "),
        ({"labels": []}, "There is no label"),
        ({"labels": ["normal ECG", {"path": "/etc/passwd"}]}, "Something else than text came as labels"),
        ({"labels": ""}, "There is no label"),
        ({"labels": None}, "There is no label"),
        ({"source": UploadedEcg({"a.npy": b"nothing"})}, "a.npy: "),
        ({"source": UploadedEcg({"<b>.npy": b"nothing"})}, "&lt;b&gt;.npy: "),
    ],
)
def test_every_error_is_one_line_on_the_page(handlers, changed, message):
    html, *rest = handlers.score(*fields(**changed))
    assert re.fullmatch(r'<p class="etp-message etp-error" role="alert">[^<>\n]+</p>', html)
    assert message in html
    assert rest[:4] == ["", "", "", ""]


def test_what_nobody_foresaw_is_logged_and_not_shown(handlers, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise RuntimeError("secret of the server")

    monkeypatch.setattr(handlers.scorer, "score", fail)
    html = handlers.score(*fields(labels="pacemaker")).message
    assert UNEXPECTED in html
    assert "secret" not in html
    assert "secret of the server" in caplog.text


def test_an_array_is_read_as_the_fields_say(handlers, tmp_path):
    signal = NORMAL.read().signal[[1, 0]] * 1000
    np.save(tmp_path / "two.npy", signal)
    source = UploadedEcg({"two.npy": (tmp_path / "two.npy").read_bytes()})
    results = handlers.score(*fields(source, rate=100, leads="II, I", units="uV"))
    assert "two.npy: 2 leads, 10.0 s at 100 Hz" in results.message
    assert "etp-error" in handlers.score(*fields(source, rate=100, leads="II", units="uV")).message


def test_a_label_is_escaped_wherever_it_is_shown(handlers):
    labels = "<script>alert(1)</script>\nAB = <script>alert(2)</script>\nnormal ECG"
    scores = handlers.score(*fields(labels=labels)).scores
    attribution = handlers.explain(True, "<script>alert(1)</script>", *fields(labels=labels))
    assert "<script" not in scores + attribution
    assert "&lt;script&gt;" in scores


def test_the_explanation_is_of_the_label_and_names_leads(handlers):
    html = handlers.explain(True, "AF", *fields())
    assert "Integrated gradients of “AF” against the other labels" in html
    assert re.search(r"Most in \w+ \d+%, \w+ \d+%, \w+ \d+%\.", html)
    assert "averaged over beats" in html
    assert "“AF” by itself" in handlers.explain(True, "AF", *fields(independent=True))


def test_nothing_is_explained_unasked(handlers):
    assert handlers.explain(False, "AF", *fields()) == ""


def test_nothing_is_explained_before_a_scoring_nor_for_a_label_that_went(handlers):
    assert handlers.explain(True, None, *fields()) == ""
    assert handlers.explain(True, "AF", *fields(None)) == ""
    assert "Press “Score” first" in handlers.explain(True, "AF", *fields(labels="normal ECG"))


def test_the_nearest_reports_are_those_of_the_index(checkpoint):
    classifier = EcgScorer(checkpoint).classifier
    own = classifier.embed_ecgs(NORMAL.read())
    embeds = np.concatenate([-own, own]).astype(np.float32)
    index = SearchIndex(checkpoint.sha256, texts=["far", "near <b>"], text_embeds=embeds)
    nearest = Handlers(EcgScorer(checkpoint, index=index)).score(*fields()).nearest
    assert re.findall(r'etp-number">(-?\d\.\d\d)</td><td>(.*?)</td>', nearest) == [
        ("1.00", "near &lt;b&gt;"),
        ("-1.00", "far"),
    ]


def test_labels_come_as_lines_or_one_by_one(handlers):
    assert handlers.score(*fields(labels=LABELS.splitlines())).scores == handlers.score(*fields()).scores


def test_an_example_is_scored_once_for_all_visitors_and_an_upload_is_forgotten(checkpoint, monkeypatch):
    handlers = Handlers(EcgScorer(checkpoint))
    asked = []
    score = handlers.scorer.score
    monkeypatch.setattr(handlers.scorer, "score", lambda *args, **named: asked.append(1) or score(*args, **named))
    assert handlers.score(handlers.take_example("normal"), *fields()[1:]) == handlers.score(
        ExampleEcg("normal"), *fields()[1:]
    )
    assert len(asked) == 1
    handlers.score(*fields(labels="pacemaker"))
    assert len(asked) == 2
    source = UploadedEcg({"a.csv": b"I,II\n" + b"0.1,0.2\n0.3,0.1\n" * 600})
    for _ in range(2):
        assert "a.csv: 2 leads" in handlers.score(*fields(source, rate=100)).message
    assert len(asked) == 4


def test_rate_and_intervals_are_shown_where_they_can_be_measured(handlers, monkeypatch):
    shown = handlers.score(*fields(labels="block")).measured
    rows = dict(re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', shown))
    assert rows == dict(measure(NORMAL.read()).rows())
    assert re.fullmatch(r"\d+ /min", rows["heart rate"])

    def missing(recording):
        raise ModuleNotFoundError("No module named 'openecg'", name="openecg")

    monkeypatch.setattr(measured, "measure", missing)
    results = handlers.score(*fields(labels="no block"))
    assert results.measured == ""
    assert "12 leads" in results.message


def test_only_the_results_asked_for_last_are_kept():
    recent = RecentResults(2)
    assert [recent.get(key, lambda key=key: key.upper()) for key in "abacb"] == list("ABACB")
    assert recent.get("c", lambda: "new") == "C"  # a went for c, then c and b were asked for
    assert recent.get("a", lambda: "new") == "new"


def test_a_failed_scoring_of_an_example_is_not_remembered(checkpoint, monkeypatch):
    handlers = Handlers(EcgScorer(checkpoint))
    with monkeypatch.context() as broken:
        broken.setattr(handlers.scorer, "notes", lambda recording: 1 / 0)
        assert UNEXPECTED in handlers.score(*fields()).message
    assert "12 leads" in handlers.score(*fields()).message


def test_what_numbers_mean_is_said_for_each_kind_of_score(handlers):
    together = handlers.score(*fields()).scores
    apart = handlers.score(*fields(independent=True)).scores
    assert "0.97 beside three others and 0.48 beside eleven" in together
    assert "Multi-label" in apart
    assert "0.97 beside" not in apart


def test_a_code_is_followed_by_what_it_stands_for_and_long_sets_are_folded(handlers):
    scores = handlers.score(*fields(labels="\n".join(f"L{number} = phrase {number}" for number in range(15)))).scores
    assert len(re.findall(r"<th scope=\"row\">L\d+ <small>phrase \d+</small></th>", scores)) == 15
    assert "<details><summary>3 more</summary>" in scores


def test_the_page_states_its_limits_and_loads_nothing_from_elsewhere(handlers):
    interface = build_interface(handlers.scorer)
    page = str(interface.get_config_file())
    assert "Research software, not a medical device." in page
    assert interface.analytics_enabled is False
    assert launch_options()["max_file_size"] == 10_000_000
    theme = launch_options()["theme"]
    assert theme._stylesheets == []
