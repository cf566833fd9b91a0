"""Training texts without a finding: nothing that training shows names it, and the rest stays as it was."""

import re

import numpy as np
import pytest

from etp.archives import open_archive
from etp.options import OptionError
from etp.texts.held_out import without_finding
from etp.texts.statement_vocabulary import StatementVocabulary
from etp.texts.training_texts import training_texts
from etp.training.arguments import DataArguments
from etp.training.data.records import load_split, record_statements
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor

RECORDS = [
    ["atrial fibrillation", "left bundle branch block"],
    ["sinus rhythm", "no Atrial Fibrillation"],
    ["probable old inferior myocardial infarction", "sinus rhythm"],
    ["atrial fibrillation"],
]


def test_statements_that_name_the_finding_go_denied_or_not_and_the_others_stay():
    kept = without_finding(RECORDS, ["atrial fibrillation"], must_match=True)
    assert kept == [["left bundle branch block"], ["sinus rhythm"], RECORDS[2], []]


@pytest.mark.parametrize("pattern", ["myocardial infarction", "inferior infarction|inferior myocardial infarction"])
def test_a_statement_goes_with_what_follows_from_it(pattern):
    assert without_finding(RECORDS, [pattern], must_match=True)[2] == ["sinus rhythm"]


def test_a_statement_goes_when_another_wording_of_it_names_the_finding():
    assert without_finding(RECORDS, ["LBBB"], must_match=True)[0] == ["atrial fibrillation"]


def test_no_text_of_the_bank_names_what_was_left_out():
    def named(records):
        vocabulary = StatementVocabulary(records, generalise=True, paraphrase_rate=1.0, seed=0)
        return [text for text in vocabulary.paraphrases() if re.search(r"fibrillation|\bAF\b", text, re.IGNORECASE)]

    assert named(RECORDS)
    kept = without_finding(RECORDS, ["fibrillation", "AF"], must_match=True)
    assert named([record for record in kept if record]) == []


def test_a_pattern_matches_whole_words():
    records = [["marked abnormality"], ["AF"]]
    assert without_finding(records, ["AF", "abnormal"], must_match=False) == [["marked abnormality"], []]
    assert without_finding(records, [r"abnormal\w*"], must_match=True) == [[], ["AF"]]


def test_a_pattern_that_leaves_nothing_out_is_refused_where_it_must():
    with pytest.raises(OptionError, match="--held_out_findings 'torsades' matches none of the 5 distinct statements"):
        without_finding(RECORDS, ["fibrillation", "torsades"], must_match=True)
    assert without_finding(RECORDS, ["torsades"], must_match=False) == RECORDS


@pytest.mark.parametrize(("pattern", "message"), [("(", "not a regular expression"), ("a*", "matches the empty text")])
def test_bad_patterns_are_refused_before_anything_is_computed(pattern, message):
    with pytest.raises(OptionError, match=message):
        DataArguments(held_out_findings=[pattern])


@pytest.fixture(scope="module")
def splits(archive, common_options):
    return open_archive("ptb_xl", archive, cache_dir=common_options[common_options.index("--cache_dir") + 1])


def load(splits, name, **options):
    return load_split(
        splits[name],
        DataArguments(**options),
        ETPFeatureExtractor(),
        name=name,
        seed=0,
        device="cpu",
        progress=False,
    )


def speaks_of_rhythm(statement: str) -> bool:
    return any(
        re.search(r"\brhythm\b", text) for text in training_texts([[statement]], of_terms=False)
    )  # but "arrhythmia"


def test_records_keep_their_other_statements_and_signals(splits):
    everything = load(splits, "train")
    part = load(splits, "train", held_out_findings=["rhythm"])
    assert part.statements != everything.statements
    row = {name: index for index, name in enumerate(everything.record_ids)}
    for index, name in enumerate(part.record_ids):
        expected = [text for text in everything.statements[row[name]] if not speaks_of_rhythm(text)]
        assert part.statements[index] == expected
    assert not any(map(speaks_of_rhythm, part.views.vocabulary))
    ours, theirs = part.signals.batch(np.array([0])), everything.signals.batch(np.array([row[part.record_ids[0]]]))
    assert (ours == theirs).all()


def test_only_training_has_to_name_the_finding(splits):
    said = {
        name: {text for own in record_statements(splits[name], DataArguments()) for text in own} for name in splits
    }
    rare = sorted(said["train"] - said["validation"])[0]
    assert len(load(splits, "validation", held_out_findings=[re.escape(rare)])) > 0
    with pytest.raises(OptionError, match="matches none"):
        load(splits, "train", held_out_findings=["torsades"])
