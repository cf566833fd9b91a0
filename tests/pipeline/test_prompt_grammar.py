"""Which candidates are lists, descriptions and negations, and which only look like it."""

import time

import pytest

from datasets_scripts.label_sets import LABEL_TASKS, load_label_set
from modeling_etp.prompt_grammar_etp import LONGEST_PROMPT, Prompt, read_prompt
from modeling_etp.prompt_words_etp import without_patient
from modeling_etp.zero_shot_etp import NEUTRAL_PHRASES


@pytest.mark.parametrize(
    ("text", "alternatives"),
    [
        (
            "atrial fibrillation, AF, irregularly irregular rhythm",
            "atrial fibrillation|AF|irregularly irregular rhythm",
        ),
        ("heart attack, STEMI, and myocardial infarction", "heart attack|STEMI|myocardial infarction"),
        ("Heart block; AV block; PR prolongation", "Heart block|AV block|PR prolongation"),
        ("ST elevation in V1-V3, Q waves", "ST elevation in V1-V3|Q waves"),
        ("inferior MI, Q waves in II, III, aVF, RCA occlusion", "inferior MI|Q waves in II, III, aVF|RCA occlusion"),
        ("LVH, increased voltage in V5, V6", "LVH|increased voltage in V5, V6"),
        ("sinus bradycardia, rate below 60 bpm", "sinus bradycardia|rate below 60 bpm"),
        ("atrial fibrillation or atrial flutter", "atrial fibrillation|atrial flutter"),
        ("heart attack, scar tissue or dead heart muscle", "heart attack|scar tissue|dead heart muscle"),
        ("either atrial fibrillation or atrial flutter", "atrial fibrillation|atrial flutter"),
        ("atrial fibrillation and/or atrial flutter", "atrial fibrillation|atrial flutter"),
        ("ectopic beats, PVC or ventricular extrasystole", "ectopic beats|PVC|ventricular extrasystole"),
        ("AV block / heart block", "AV block|heart block"),
        ("AV block/heart block", "AV block|heart block"),
        ("LAFB/LPFB", "LAFB|LPFB"),
        ("atrial fibrillation (AF)", "atrial fibrillation|AF"),
        ("AF (atrial fibrillation), AFL (atrial flutter)", "AF|atrial fibrillation|AFL|atrial flutter"),
        ("complete heart block, also known as third-degree AV block", "complete heart block|third-degree AV block"),
        (
            "atrial fibrillation: irregular rhythm, fibrillatory waves",
            "atrial fibrillation|irregular rhythm|fibrillatory waves",
        ),
        ("atrial fibrillation\nirregular rhythm", "atrial fibrillation|irregular rhythm"),
        ("AF, AF, atrial fibrillation", "AF|atrial fibrillation"),
    ],
)
def test_a_list_is_its_alternatives(text, alternatives):
    assert read_prompt(text) == Prompt(tuple(alternatives.split("|")))


@pytest.mark.parametrize(
    "text",
    [
        # leads, numbers, units, names of waves
        "Q waves in II, III and aVF",
        "T wave inversion in leads V1, V2 and V3",
        "ST depression of 1,5 mV",
        "rate of 100, 110 or 120 bpm",
        "ST-T changes",
        "ST/T changes",
        "QRS/T angle",
        "PR/PQ interval",
        "1/2",
        "leads II/III",
        "R/S ratio above 1 in V1",
        "0.5 mV/s",
        # adjectives before or after their noun
        "infarction, old",
        "Bundle-branch block, left",
        "Hypertrophy, left ventricle",
        "AV block, type 2",
        "inferior, posterior and lateral infarction",
        "wide, bizarre QRS complexes",
        "low or flat T waves",
        "left or right bundle branch block",
        "anterior/inferior infarction",
        "old infarction, age undetermined",
        "first-degree AV block, otherwise normal ECG",
        "ST-T abnormality, consider ischemia",
        "ST elevation, ≥ 1 mm",
        "sinus rhythm, rate 70",
        "ST segment off the baseline, cause unclear",
        "T wave abnormality (nonspecific)",
        "ST elevation (V1-V3)",
        "bradycardia (rate < 60, regular)",
        "premature complex(es)",
        # one word that needs the one before, or what is shared by both sides
        "ST elevation or depression",
        "ST elevation/depression",
        "elevation/depression of the ST segment",
        "ST-T changes due to electrolyte disturbance or drug effect",
        "scar or damage in the heart muscle",
        # prose
        "Atrial fibrillation is an irregularly irregular rhythm, with a variable ventricular response.",
        "Does this ECG show atrial fibrillation, flutter or sinus rhythm?",
        "an irregular rhythm characterized by absent P waves, fibrillatory waves and a variable response",
        "No. 5",
        "",
        ",",
        "/",
        "()",
    ],
)
def test_what_only_looks_like_a_list_stays_as_it_is(text):
    assert read_prompt(text) == Prompt((text,))


def test_a_description_is_its_sentences():
    text = "The rhythm is irregular. There are no P waves, e.g. in II. Its rate is 1.5 times the usual."
    assert read_prompt(text).stated == (
        "The rhythm is irregular.",
        "There are no P waves, e.g. in II.",
        "Its rate is 1.5 times the usual.",
    )


@pytest.mark.parametrize(
    "form",
    [
        "no {}",
        "No {}.",
        "NO {}",
        "without {}",
        "Without any {}",
        "w/o {}",
        "absence of {}",
        "the absence of {}",
        "not {}",
        "{} excluded",
        "{} has been ruled out",
        "{} is absent",
        "{} not present",
        "{}: no",
        "{} (ruled out)",
        "{}, ruled out",
        "excluded: {}",
        "no evidence of {}",
        "no definite evidence of {}",
        "no electrocardiographic signs of {}",
        "no significant {}",
        "no {} is seen on this ECG",
        "There is no {}.",
        "negative for {}",
        "free of {}",
        "ECG without {}",
        "the ECG shows no {}",
        "The ECG does not show {}.",
        "not suggestive of {}",
    ],
)
@pytest.mark.parametrize("finding", ["atrial fibrillation", "LBBB", "ST elevation", "inferior myocardial infarction"])
def test_a_negation_is_the_absence_of_its_finding(form, finding):
    assert read_prompt(form.replace("{}", finding)) == Prompt((), (finding,))


@pytest.mark.parametrize(
    ("text", "stated", "negated"),
    [
        ("sinus rhythm without ST elevation", "sinus rhythm", "ST elevation"),
        ("sinus rhythm with no ST elevation", "sinus rhythm", "ST elevation"),
        ("sinus rhythm, no ST elevation", "sinus rhythm", "ST elevation"),
        ("sinus rhythm and no ST elevation or T wave inversion", "sinus rhythm", "ST elevation|T wave inversion"),
        ("Sinus rhythm. No ST elevation.", "Sinus rhythm.", "ST elevation"),
        ("wide QRS complexes without bundle branch block", "wide QRS complexes", "bundle branch block"),
        ("left bundle branch block without acute infarction", "left bundle branch block", "acute infarction"),
        ("atrial fibrillation, AF, no atrial flutter", "atrial fibrillation|AF", "atrial flutter"),
        ("no ST elevation but T wave inversion", "T wave inversion", "ST elevation"),
        ("no ST elevation; T wave inversion", "T wave inversion", "ST elevation"),
        ("no LBBB/RBBB", "", "LBBB|RBBB"),
        ("neither LBBB nor RBBB", "", "LBBB|RBBB"),
        ("no ST elevation, T wave inversion or LVH", "", "ST elevation|T wave inversion|LVH"),
        ("no ST elevation, no T wave inversion", "", "ST elevation|T wave inversion"),
        ("no atrial fibrillation (AF)", "", "atrial fibrillation|AF"),
        ("no ST elevation or depression", "", "ST elevation or depression"),
        ("no Q waves in II, III and aVF", "", "Q waves in II, III and aVF"),
        ("no LBBB and no RBBB", "", "LBBB|RBBB"),
        ("LBBB and not RBBB", "LBBB", "RBBB"),
        ("LBBB, AF excluded", "LBBB", "AF"),
        ("sinus rhythm, no ST elevation and no LVH", "sinus rhythm", "ST elevation|LVH"),
        ("atrial fibrillation but not flutter", "atrial fibrillation", "flutter"),
        ("not a normal ECG", "", "normal ECG"),
        ("no sinus rhythm", "", "sinus rhythm"),
        ("no T wave abnormality", "", "T wave abnormality"),
        ("no pathological Q waves", "", "pathological Q waves"),
    ],
)
def test_what_is_stated_and_what_is_negated(text, stated, negated):
    assert read_prompt(text) == Prompt(*(tuple(side.split("|")) if side else () for side in (stated, negated)))


@pytest.mark.parametrize(
    "text",
    [
        # names that hold the word
        "non-ST elevation myocardial infarction",
        "nonspecific ST-T changes",
        "negative T waves",
        "minor T wave abnormality, not diagnostic",
        "infarction, not acute",
        # statements that every report makes, about an ECG as a whole
        "no abnormality",
        "no pathological findings",
        "no certain abnormality",
        "no change since the last ECG",
        "no sign of heart disease on the tracing",
        "normal ECG, no abnormality",
        # what a rhythm looks like, or how something is
        "no P waves",
        "absent P waves",
        "irregularly irregular rhythm without P waves",
        "no organised atrial activity",
        "no R wave progression",
        "PVCs without compensatory pause",
        "ST deviation without a specific cause",
        "broad M-shaped R in V5 without septal q",
        "lack of oxygen in the heart muscle",
        "QRS axis not normal",
        "T waves not inverted",
        # doubt, time, a second negation, an unclear reach
        "atrial fibrillation cannot be excluded",
        "atrial fibrillation not ruled out",
        "rule out infarction",
        "no longer atrial fibrillation",
        "probably no acute pericarditis",
        "no abnormality other than sinus bradycardia",
        "atrial fibrillation or not",
        "no ST elevation, T wave inversion",
        "sinus rhythm, no ST elevation, left axis deviation",
        "sinus rhythm and no abnormality",
        "no",
        "not",
        "without",
    ],
)
def test_what_is_no_certain_negation_is_left_to_the_model(text):
    assert read_prompt(text) == Prompt((text,))


@pytest.mark.parametrize("task", LABEL_TASKS)
def test_the_phrases_of_the_label_sets_are_taken_as_they_are(task):
    for phrases in [*load_label_set(task).values(), list(NEUTRAL_PHRASES)]:
        for phrase in phrases:
            assert read_prompt(phrase, alone=len(phrases) == 1) == Prompt((phrase,))


def test_among_several_phrases_two_parts_make_no_list_and_three_do():
    assert read_prompt("ST depression, ischemia", alone=False) == Prompt(("ST depression, ischemia",))
    assert read_prompt("ischemia or ST depression", alone=False).stated == ("ischemia or ST depression",)
    assert read_prompt("ischemia, ST depression, T wave inversion", alone=False).stated == (
        "ischemia",
        "ST depression",
        "T wave inversion",
    )
    assert read_prompt("no ischemia", alone=False) == Prompt((), ("ischemia",))


@pytest.mark.parametrize("unit", ["a, ", "no a, ", "I, ", "AF: ", "(", "without ", "AF or ", "a. A", "but no ", "no "])
def test_no_text_takes_long(unit):
    text = (unit * LONGEST_PROMPT)[:LONGEST_PROMPT]
    start = time.process_time()
    read_prompt.__wrapped__(text)
    assert time.process_time() - start < 3
    assert read_prompt(text + "a") == Prompt((text + "a",))


PATIENTS = """72-year-old woman with|72-year-old woman.|72 year old female:|male, 45 years.|a 70-year-old man presenting with|65yo male with|65 y/o female,
female patient, 70 years old with|Woman over 89 years old.|Woman.|man aged 60:|aged 45.|patient aged 45 with|boy with|45-year-old.|72-year-old woman,""".replace(
    "\n", "|"
).split("|")


@pytest.mark.parametrize("patient", PATIENTS)
@pytest.mark.parametrize("finding", ["atrial fibrillation", "LBBB", "no ST elevation", "sinus rhythm, LVH"])
def test_age_and_sex_in_front_of_a_finding_are_no_part_of_it(patient, finding):
    assert read_prompt(f"{patient} {finding}") == read_prompt(finding)


@pytest.mark.parametrize(
    "text",
    "72-year-old woman|woman|male|a 70-year-old man|male, female|man, ST elevation|old infarction|5 years old LBBB|70 years old|"
    "rate 72. normal|female: |patient with|male pattern of early repolarization|120 ms: wide QRS|72-year-old woman, 3".split(
        "|"
    ),
)
def test_a_patient_alone_and_what_only_looks_like_one_stay(text):
    assert without_patient(text) == text


@pytest.mark.parametrize(
    "frame",
    [
        "Does this ECG show {}?",
        "Does the patient have an {}?",
        "Is there any evidence of {}?",
        "Is {} present on this tracing?",
        "Is this consistent with {}?",
        "Has the patient had an {}?",
        "Can you see {} on this ECG?",
        "Identify {}.",
        "Please check for {}",
        "Determine whether {} is present.",
        "Assess if there are signs of {}",
        "Identify whether the patient has had an {}.",
        "The patient has an {}.",
        "This 12-lead ECG shows {}.",
        "ECG showing {}",
    ],
)
@pytest.mark.parametrize(
    "finding", ["atrial fibrillation", "LBBB", "inferior or lateral infarction", "no ST elevation"]
)
def test_a_question_instruction_or_statement_is_the_finding_it_is_about(frame, finding):
    expected = read_prompt(finding)
    assert read_prompt(frame.replace("{}", finding)) == expected


def test_a_question_how_something_is_is_its_answer():
    assert read_prompt("Is the QT interval prolonged?") == Prompt(("QT interval prolonged",))


@pytest.mark.parametrize(
    "text",
    "Does this ECG look normal?|Is this patient ill?|Does this ECG show AF, or is it flutter?|Is there anything else?|Is there AF that is new?|"
    "report|report of sinus rhythm|search in lead II|Check the leads|Look at the ECG|The patient|The patient has a fever|Is there?".split(
        "|"
    ),
)
def test_what_asks_for_no_certain_finding_stays_as_it_is(text):
    assert read_prompt(text) == Prompt((text,))


@pytest.mark.parametrize(
    ("text", "alternatives"),
    [
        ("atrial fibrillation, AF, etc.", "atrial fibrillation|AF"),
        ("LVH; hypertrophy; consider", "LVH|hypertrophy"),
    ],
)
def test_what_is_no_member_of_a_list(text, alternatives):
    assert read_prompt(text).stated == tuple(alternatives.split("|"))
