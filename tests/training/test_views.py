"""The texts of a record, and which text is true of which record."""

import numpy as np
import pytest

from etp.texts.views import TextViews

RECORDS = [["sinus rhythm", "lbbb"], ["sinus rhythm"], ["lbbb", "sinus rhythm"], ["afib", "lbbb", "sinus rhythm"]]


def views(*kinds: str, seed: int = 0) -> TextViews:
    return TextViews(RECORDS, weights=dict.fromkeys(kinds, 1.0), seed=seed)


def texts(views: TextViews, epoch: int = 0) -> list[str]:
    return [views.text(key) for key in views.draw(epoch)]


def test_a_report_is_all_its_statements_in_order():
    assert texts(views("report")) == [
        "sinus rhythm. lbbb",
        "sinus rhythm",
        "lbbb. sinus rhythm",
        "afib. lbbb. sinus rhythm",
    ]


def test_a_drawn_statement_is_one_of_the_records_own():
    for epoch in range(20):
        assert all(text in record for text, record in zip(texts(views("statement"), epoch), RECORDS, strict=True))


def test_a_drawn_subset_keeps_the_order_and_is_never_empty():
    drawn = {tuple(texts(views("subset"), epoch)[3].split(". ")) for epoch in range(60)}
    for subset in drawn:
        assert list(subset) == [statement for statement in RECORDS[3] if statement in subset]
    assert len(drawn) == 7  # every non-empty subset of three


def test_views_are_drawn_by_their_weights():
    many = TextViews([["a", "b"]] * 4000, weights={"report": 3, "statement": 1}, seed=0)
    share = np.mean([len(key) == 2 for key in many.draw(0)])
    assert share == pytest.approx(0.75, abs=0.03)


def test_the_same_epoch_and_seed_draw_the_same():
    kinds = ("report", "statement", "subset")
    draws = [[views(*kinds, seed=seed).draw(epoch) for epoch in range(8)] for seed in (0, 0, 1)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert draws[0][0] != draws[0][1] or draws[0][1] != draws[0][2]


def test_a_text_is_positive_for_every_record_it_could_be_drawn_for():
    everything = views("report", "statement", "subset")
    position = {statement: index for index, statement in enumerate(everything.vocabulary)}
    columns = [("lbbb",), ("sinus rhythm", "lbbb"), ("afib",)]
    keys = [tuple(position[statement] for statement in column) for column in columns]
    expected = [[all(s in record for s in column) for column in columns] for record in RECORDS]
    assert everything.positives(np.arange(4), keys).tolist() == np.float32(expected).tolist()


def test_with_reports_alone_only_the_same_content_is_positive():
    reports = views("report")
    keys = reports.reports()
    # Records 0 and 2 say the same in another order; "sinus rhythm" alone is not all that record 0 says.
    expected = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert reports.positives(np.arange(4), keys).tolist() == expected


def test_every_drawn_text_is_positive_for_its_own_record():
    for kinds in (("report",), ("statement",), ("subset",), ("report", "statement", "subset")):
        drawn = views(*kinds).draw(3)
        distinct = list(dict.fromkeys(drawn))
        positives = views(*kinds).positives(np.arange(4), distinct)
        assert all(positives[record, distinct.index(key)] == 1 for record, key in enumerate(drawn))


def test_the_vocabulary_does_not_depend_on_the_order_of_records():
    reverse = TextViews(RECORDS[::-1], weights={"report": 1}, seed=0)
    assert reverse.vocabulary == views("report").vocabulary


def test_a_record_without_text_is_refused():
    with pytest.raises(ValueError, match="Record 1 of the split has no statement"):
        TextViews([["a"], []], weights={"report": 1}, seed=0)
