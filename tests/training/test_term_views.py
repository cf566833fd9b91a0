"""Views of terms that a text tower is adapted with: siblings, negations, lists, descriptions, and what says the same."""

import numpy as np
import pytest

from etp.texts.descriptions import descriptions_of
from etp.texts.negations import NEGATIONS
from etp.texts.paraphrases import BESIDE, SENTENCES, is_clause, term_groups
from etp.texts.term_views import TermViews, siblings

NAMES = [own[0] for own in term_groups()]


def make_views(*, negated_fraction: float = 0.0, seed: int = 0, **weights: float) -> TermViews:
    return TermViews(weights=weights or {"synonym": 1.0}, negated_fraction=negated_fraction, seed=seed)


@pytest.mark.parametrize(
    ("term", "others"),
    [
        ("left bundle branch block", {"right bundle branch block"}),
        ("complete left bundle branch block", {"incomplete left bundle branch block", "complete right bundle branch block"}),
        ("ST elevation", {"ST depression"}),
        ("old inferior myocardial infarction", {"acute inferior myocardial infarction", "old anterior myocardial infarction"}),
        ("sinus tachycardia", {"sinus bradycardia", "atrial tachycardia", "ventricular tachycardia"}),
        ("first-degree AV block", {"second-degree AV block", "third-degree AV block"}),
        ("prolonged PR interval", {"short PR interval", "prolonged QT interval"}),
        ("left axis deviation", {"right axis deviation"}),
    ],
)  # fmt: skip
def test_a_sibling_differs_in_one_word_that_excludes_the_other(term, others):
    found = {NAMES[index] for index in siblings(NAMES)[NAMES.index(term)]}
    assert others <= found
    assert term not in found


def test_two_words_that_differ_make_no_siblings():
    found = siblings(["left bundle branch block", "right ventricular hypertrophy", "right bundle branch block"])
    assert found == [[2], [], [0]]


def test_a_term_is_followed_by_its_siblings_in_the_batch():
    views = make_views()
    of_term = siblings(NAMES)
    first, second, same = views.batch(0, size=120)
    assert len(first) == len(second) == len(same) == 120
    drawn = [term for term, _ in views._draw(np.random.default_rng(0), size=len(NAMES))]
    assert sorted(drawn) == list(range(len(NAMES)))
    place = {term: index for index, term in enumerate(drawn)}
    pairs = [(place[term], place[other]) for term in drawn for other in of_term[term]]
    assert np.median([abs(one - other) for one, other in pairs]) < 10  # 133 apart if they were shuffled


def test_views_are_the_same_whenever_a_step_is_asked_for_and_differ_between_steps_and_seeds():
    views = make_views(negated_fraction=0.2, synonym=1.0, list=1.0, sentence=1.0, description=1.0)
    first, second, same = views.batch(3, size=40)
    again = views.batch(3, size=40)
    assert (first, second) == again[:2]
    assert (same == again[2]).all()
    assert views.batch(4, size=40)[0] != first
    assert make_views(seed=1).batch(3, size=40)[0] != make_views(seed=0).batch(3, size=40)[0]


def test_the_two_views_of_a_term_differ_and_are_wordings_of_it():
    views = make_views()
    first, second, _ = views.batch(0, size=len(NAMES))
    of_term = {(a, b) for own in views.terms for a in own for b in own}
    assert all(a != b for a, b in zip(first, second, strict=True))
    assert set(zip(first, second, strict=True)) <= of_term


def test_each_kind_of_view_looks_as_it_should():
    sentences = make_views(sentence=1.0).batch(0, size=60)[0]
    starts = {sentence.partition("{}")[0] for sentence in SENTENCES}
    wrapped = [text for text in sentences if any(start and text.startswith(start) for start in starts)]
    assert len(wrapped) > 20
    descriptions = make_views(description=1.0).batch(0, size=60)[0]
    known = {text for name in NAMES for text in descriptions_of(name)}
    assert sum(text in known for text in descriptions) > 30
    lists = make_views(list=1.0).batch(0, size=60)[0]
    assert sum(", " in text for text in lists) > 40


def test_a_negation_negates_a_phrase_and_is_no_view_of_its_finding():
    views = make_views(negated_fraction=1.0)
    first, second, same = views.batch(0, size=60)
    negated = np.array([text not in {word for own in views.terms for word in own} for text in first])
    assert 15 < negated.sum() < 45
    beginnings = [form.split("{}")[0] for form in NEGATIONS] + [form.split("{}")[1] for form in NEGATIONS]
    for text in np.array([*first, *second])[np.tile(negated, 2)]:
        assert any(part and part in text for part in beginnings)
        assert not is_clause(text.replace(" is absent", ""))
    assert not same[np.ix_(negated, ~negated)].any()


def test_terms_that_share_a_wording_or_include_each_other_are_no_negatives():
    views = make_views()
    same = views._same
    at = NAMES.index
    assert same[at("left bundle branch block"), at("complete left bundle branch block")]
    assert same[at("old inferior myocardial infarction"), at("myocardial infarction")]
    assert same[at("first-degree AV block"), at("conduction disturbance")]
    assert not same[at("left bundle branch block"), at("right bundle branch block")]
    assert same.diagonal().all()
    assert (same == same.T).all()


def test_what_is_described_is_a_term_and_is_described_in_sentences():
    described = [name for name in NAMES if descriptions_of(name)]
    assert len(described) > 300
    for name in described:
        for text in descriptions_of(name):
            assert text.endswith(".")
            assert 4 <= len(text.split()) <= 60


def test_where_a_finding_is_is_neither_negated_nor_put_into_a_sentence():
    views = make_views(negated_fraction=1.0, sentence=1.0)
    modifiers = {word for own in views.terms if own[0].startswith("in ") for word in own}
    first, second, _ = views.batch(0, size=2 * len(NAMES))
    for text in (*first, *second):
        for form in (*SENTENCES, *NEGATIONS):
            before, after = form.split("{}")
            if text.startswith(before) and text.endswith(after):
                assert text[len(before) : len(text) - len(after)] not in modifiers


def test_beside_a_term_only_others_are_negated():
    views = make_views(beside=1.0)
    first, _, _ = views.batch(0, size=100)
    beside = [
        text
        for text in first
        if any(word in text for word in (" without ", ", no ", " absence of ", " evidence of ", " excluded"))
    ]
    assert len(beside) > 50
    term = NAMES.index("left bundle branch block")
    random = np.random.default_rng(0)
    own = {word for index in np.flatnonzero(views._same[term]) for word in views.terms[index]}
    forbidden = {form.format("LBBB", word) for form in BESIDE for word in own}
    drawn = {views._beside(term, "LBBB", random) for _ in range(400)}
    assert len(drawn) > 300
    assert all(text.startswith("LBBB") for text in drawn)
    assert not drawn & forbidden
