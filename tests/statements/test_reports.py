"""Reports of PTB-XL to English statements."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from datasets_scripts.ptb_xl_reports import main, measure_coverage, report_language, report_statements, translate

SCP_CODES = (
    "NORM NDT NST_ DIG LNGQT IMI ASMI LVH LAFB ISC_ IRBBB 1AVB IVCD ISCAL CRBBB CLBBB ILMI LAO/LAE AMI ALMI ISCIN "
    "INJAS LMI ISCIL LPFB ISCAS INJAL ISCLA RVH ANEUR RAO/RAE EL WPW ILBBB IPLMI ISCAN IPMI SEHYP INJIN INJLA PMI "
    "3AVB INJIL 2AVB ABQRS PVC STD_ VCLVH QWAVE LOWT NT_ PAC LPR INVT LVOLT HVOLT TAB_ STE_ PRC(S) SR AFIB STACH "
    "SARRH SBRAD PACE SVARR BIGU AFLT SVTAC PSVT TRIGU"
).split()
#: Frontal QRS axis in degrees, Surawicz et al., AHA/ACCF/HRS recommendations, part III (2009).
AXIS_LIMITS = {
    "left axis deviation": (-90, -30),
    "leftward axis": (-30, 20),
    "normal axis": (0, 90),
    "vertical axis": (55, 90),
    "right axis deviation": (90, 180),
    "marked right axis deviation": (100, 180),
}
LIKELIHOOD = re.compile(rf"\b({'|'.join(map(re.escape, SCP_CODES))})\b[ ,]*\d", re.IGNORECASE)


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


@pytest.mark.parametrize(
    ("german", "english", "swedish"),
    [
        ("sinusrhythmus a-v block i", "sinus rhythm. first degree av block.", "sinusrytm a-v block i"),
        (
            "sinusrhythmus linksanteriorer hemiblock",
            "sinus rhythm. left anterior fascicular block.",
            "sinusrytm vÄnster anteriort hemiblock",
        ),
        (
            "sinusrhythmus inferiorer infarkt     wahrscheinlich alt",
            "sinus rhythm. inferior myocardial infarction, probably old.",
            "sinusrytm inferior infarkt     sannolikt Äldre",
        ),
        (
            "ventrikulÄre extrasystole(n) periphere niederspannung",
            "premature ventricular contraction(s). low limb lead voltage.",
            "ventrikulÄr(a) extrasystoli(er) lÅga qrs amplituder i extremitetsavledningarna",
        ),
    ],
)
def test_the_same_finding_reads_the_same_whatever_the_language(german, english, swedish):
    assert report_statements(german) == report_statements(english) == report_statements(swedish)
    assert len(report_statements(german)) == 2


@pytest.mark.parametrize(
    ("report", "statement"),
    [
        ("linkshypertrophie mÖglich", "possible left ventricular hypertrophy"),
        ("verdacht auf p-sinistrocardiale", "possible left atrial enlargement"),
        ("qrs(t) abnorm    inferiorer myokardschaden mÖglich", "possible inferior myocardial damage"),
        ("septaler infarkt nicht auszuschliessen", "septal myocardial infarction cannot be excluded"),
        ("inferior myokardskada kan ej uteslutas", "inferior myocardial damage cannot be excluded"),
        ("inferior infarkt bÖr ÖvervÄgas", "possible inferior myocardial infarction"),
        ("old inferior infarct cannot be entirely excluded.", "old inferior myocardial infarction cannot be excluded"),
        ("this may be due to lv strain or ischaemia.", "possible myocardial ischemia or left ventricular strain"),
        ("wahrscheinlich normales ekg", "probably normal ECG"),
        ("kammerhypertrophie lvh, sicher", "definite left ventricular hypertrophy"),
        ("anteroseptaler infarkt     alter unbest.", "anteroseptal myocardial infarction of undetermined age"),
        ("anteriorer infarkt     mÖgl. akut", "possible acute anterior myocardial infarction"),
        ("infarkt inferior chronisch moeglich", "possible old inferior myocardial infarction"),
        ("V.a. Vorderwandinfarkt", "possible anterior myocardial infarction"),
        ("Z.n. Hinterwandinfarkt", "old inferior myocardial infarction"),
    ],
)
def test_uncertainty_and_age_are_kept(report, statement):
    assert report_statements(report)[-1] == statement


@pytest.mark.parametrize(
    ("report", "statements"),
    [
        ("sinus rhythm. no definite pathology.", ["sinus rhythm", "no definite abnormality"]),
        ("sinusrytm inget sÄkert patologiskt", ["sinus rhythm", "no definite abnormality"]),
        ("regelmÄssiger rhythmus, keine p-welle erkannt", ["regular rhythm without P waves"]),
        ("no st elevation or depression", ["no ST elevation or ST depression"]),
        ("there is no definite ecg evidence to suggest pericarditis.", ["no definite evidence of pericarditis"]),
        ("delta waves are not seen.", ["no delta waves"]),
        ("q in ii,iii (nicht signifikant)", ["Q waves in leads II, III, nonsignificant"]),
    ],
)
def test_negation_is_kept(report, statements):
    assert report_statements(report) == statements


@pytest.mark.parametrize(
    ("report", "statements"),
    [
        (
            "st segments are depressed in i,,avl, v4,5,6.",
            ["ST depression in leads I, aVL", "ST depression in leads V4-V6"],
        ),
        (
            "st segments are depressed and t waves inverted in i, ii.",
            ["ST depression in leads I, II", "T-wave inversion in leads I, II"],
        ),
        (
            "t waves are flat in limb leads and inverted in v2-6.",
            ["T-wave flattening in limb leads", "T-wave inversion in leads V2-V6"],
        ),
        (
            "st segments are depressed in v2, v5. t waves are low in these leads.",
            ["ST depression in leads V2, V5", "low T waves in leads V2, V5"],
        ),
        (
            "t waves are low in v6. otherwise normal ecg. lead v5 shows artifact.",
            ["low T waves in lead V6", "otherwise normal ECG", "artifact in lead V5"],
        ),
        ("st-senkung ii,iii,f neg. t l", ["ST depression in leads II, III, aVF", "T-wave inversion in lead aVL"]),
        (
            "t abnorm in anterioren ableitungen    lateralen ableitungen",
            ["T-wave abnormality in anterior leads", "T-wave abnormality in lateral leads"],
        ),
        (
            "st-t abnormalities in inferior and anterolateral leads.",
            ["ST-T abnormality in inferior leads", "ST-T abnormality in anterolateral leads"],
        ),
        (
            "non-specific st-t wave changes in anterior, lateral and inferior leads.",
            [f"nonspecific ST-T changes in {region} leads" for region in ("anterior", "lateral", "inferior")],
        ),
        ("qsiii", ["QS complexes in lead III"]),
        ("sinusrytm t-inversion i avl", ["sinus rhythm", "T-wave inversion in lead aVL"]),
        ("sinusrhythmus a-v block i", ["sinus rhythm", "first-degree AV block"]),
    ],
)
def test_leads_stay_with_their_finding(report, statements):
    assert report_statements(report) == statements


def test_a_list_of_regions_shares_the_certainty_said_once():
    report = "st & t abnorm, wahrscheinlich    anteriore ischÄmie oder linksbelastung    laterale ischÄmie oder linksbelastung"
    assert report_statements(report) == [
        "ST-T abnormality",
        "probable anterior myocardial ischemia or left ventricular strain",
        "probable lateral myocardial ischemia or left ventricular strain",
    ]


def test_an_adjective_before_its_noun_is_not_taken_by_the_finding_before():
    assert report_statements("linksanteriorer hemiblock unvollstÄndiger rechtsschenkelblock") == [
        "left anterior fascicular block",
        "incomplete right bundle branch block",
    ]


@pytest.mark.parametrize(
    "residue",
    [
        "",
        " ",
        "trace only requested.",
        "4.46                          unbestÄtigter bericht",
        " 4.46                          unbestÄt",
        "Edit: NORM 100, (NORM 100)",
        "suggest repeat if clinically indicated.",
        "pat. uppgifter saknas !",
    ],
)
def test_residue_gives_no_statement(residue):
    assert translate(residue).statements == ()
    assert report_statements("sinus rhythm. " + residue) == ["sinus rhythm"]


@pytest.mark.parametrize("code", SCP_CODES)
@pytest.mark.parametrize("likelihood", ["100", "50", "0"])
def test_label_text_never_becomes_a_statement(code, likelihood):
    plain = report_statements("sinusrhythmus linkstyp")
    for label_text in (f"Edit: {code} {likelihood}, (m,34)({code} {likelihood})", f"edit:{code} {likelihood}"):
        assert report_statements(f"sinusrhythmus linkstyp {label_text}") == plain


def test_what_another_tracing_showed_is_not_said_of_this_one():
    report = "sinus rhythm. compared with tracing of 21:4:92, rhythm was previously atrial fibrillation. normal ecg."
    assert report_statements(report) == ["sinus rhythm", "normal ECG"]


def test_an_unknown_word_keeps_qualifiers_from_the_wrong_finding():
    translation = translate(
        "sinus rhythm. t waves are inverted in v2. possible qwertz. zuiop cannot be excluded. flutter."
    )
    assert translation.statements == ("sinus rhythm", "T-wave inversion in lead V2")
    assert translation.untranslated == ("qwertz", "zuiop", "flutter")


def test_a_report_cut_off_by_its_field_says_nothing_of_the_cut():
    report = ("sinusrytm " + "avvikande qrs(t) fÖrlopp inferior infarkt kan ej uteslutas ").ljust(
        220
    ) + "anterior myokardskada bÖr ÖvervÄgas"
    cut = report[:255].ljust(255, "x")[:245] + "bÖr Överv "
    assert "anterior myocardial damage" not in report_statements(cut)
    assert "possible anterior myocardial damage" in report_statements(report)


def test_translation_is_the_same_every_time():
    report = (
        "sinusrhythmus linkstyp qrs(t) abnorm    inferiorer infarkt     alter unbest. t flach in v4-6, neg. in avl"
    )
    first = report_statements(report)
    first.append("changed by the caller")
    translate.cache_clear()
    assert report_statements(report) == first[:-1]


def test_coverage_counts_reports_words_and_statements(tmp_path, capsys):
    reports = ["sinusrhythmus lagetyp normal", "sinusrhythmus qwertz", "sinus rhythm."]
    coverage = measure_coverage(reports)
    assert (coverage.num_reports, coverage.num_complete, coverage.num_words) == (3, 2, 7)
    assert coverage.untranslated == {"qwertz": 1}
    assert coverage.statements == {"sinus rhythm": 3, "normal axis": 1}

    table = tmp_path / "table.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["report"], *([report] for report in reports)])
    main([str(table)])
    assert "66.67% complete" in capsys.readouterr().out


@pytest.fixture(scope="session")
def real_coverage(data_root):
    with (data_root / "ptb-xl" / "ptbxl_database.csv").open(encoding="utf-8", newline="") as file:
        return measure_coverage([row["report"] for row in csv.DictReader(file)])


def frontal_axis(record: Path) -> float:
    """QRS axis in degrees, roughly, by the net amplitudes of I and aVF of a 100 Hz record."""
    limb = np.fromfile(record.with_suffix(".dat"), dtype="<i2").reshape(-1, 12)[:, [0, 5]].astype(float)
    limb -= np.median(limb, axis=0)
    lead_i, lead_avf = np.percentile(limb, 99.5, axis=0) + np.percentile(limb, 0.5, axis=0)
    return float(np.degrees(np.arctan2(lead_avf * 2 / np.sqrt(3), lead_i)))


@pytest.mark.real_data
def test_axis_words_mean_what_the_signals_show(data_root):
    records = {}
    with (data_root / "ptb-xl" / "ptbxl_database.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for statement in set(report_statements(row["report"])) & AXIS_LIMITS.keys():
                key = report_language(row["report"]), statement
                if len(records.setdefault(key, [])) < 100:
                    records[key].append(data_root / "ptb-xl" / row["filename_lr"])
    assert {language for language, _ in records} == {"de", "en", "sv"}
    for (language, statement), paths in records.items():
        if len(paths) >= 20:
            low, high = AXIS_LIMITS[statement]
            assert low < np.median([frontal_axis(path) for path in paths]) < high, (language, statement)


@pytest.mark.real_data
def test_nearly_every_word_of_the_archive_is_translated(real_coverage):
    assert real_coverage.num_reports == 21_799
    assert real_coverage.num_complete >= 0.995 * real_coverage.num_reports
    assert real_coverage.untranslated.total() <= 0.001 * real_coverage.num_words


@pytest.mark.real_data
def test_no_statement_of_the_archive_holds_a_label(real_coverage):
    assert not [statement for statement in real_coverage.statements if LIKELIHOOD.search(statement)]
    assert not [
        statement for statement in real_coverage.statements if re.search(r"\b\d{2,3}\b|edit", statement.lower())
    ]


@pytest.mark.real_data
def test_statements_of_the_archive_are_few_english_and_stay_as_they_are(real_coverage):
    statements = real_coverage.statements
    assert len(statements) < 2_500
    assert not [statement for statement in statements if not statement.isascii()]
    changed = sum(count for statement, count in statements.items() if report_statements(statement) != [statement])
    assert changed <= 1e-3 * statements.total()
