"""Pieces of HTML that the page is made of; whatever comes from a user or a file is escaped."""

import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from datasets_scripts.archives import title_of
from etp.explain import Attribution
from etp.search import Hit

from .downloads import data_url
from .scorer import Labels, Scores
from .sources import MAX_MINUTES, MAX_UPLOAD_BYTES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH, PRINTED_DOTS_PER_INCH = 110, 200
MAX_MESSAGE = 600
LEADS_NAMED = 3
CODE_LENGTH = 9  # characters; longer labels are words that explain themselves
SHOWN_AT_ONCE = 12  # labels in the table; more are opened

TITLE = "ETP: an ECG against sentences"

INTRODUCTION = f"""<header class="etp-head"><h1>{TITLE}</h1>
<div class="etp-limits" role="note"><strong>Research software, not a medical device.</strong> No score is a diagnosis.
<details><summary>What it does, where it errs</summary>
<p>It takes a 12-lead ECG and sentences that might be said of it, and shows which of them a model trained on ECGs and
their reports finds nearest.</p>
<p>Do not use it to decide about a person. The model may be wrong on children, paced rhythms, exchanged electrodes, other
devices and populations than those it was trained on, and on phrases that reports do not use, negations and numbers
among them.</p></details></div></header>"""

PRIVACY = f"""<div class="etp-small">Upload nothing that names a patient.
<details><summary>Formats, limits, privacy</summary><p>WFDB, EDF, DICOM, SCP-ECG, HL7 aECG, GE MUSE, CSV, NumPy or MATLAB,
told by content; of a WFDB record choose all files in one go. Up to {MAX_UPLOAD_BYTES / 1e6:g} MB and {MAX_MINUTES}
minutes.</p><p>Files are deleted from the server as soon as they are read; their content stays in memory for this visit,
half an hour at most.</p></details></div>"""

STATED = '<p class="etp-small">Of NumPy, CSV and some MATLAB files. Then press “Score”.</p>'

# Kind of score -> column heading, what it means in a line, and the long answer.
SCORE_WORDS = {
    "tuned": (
        "Probability",
        "Probabilities of the {count} labels that this model was fine-tuned on, calibrated on validation records.",
        "A classifier with labels of its own. Fine-tuned for several labels per ECG it judges each by itself, and several may be "
        "probable at once; for one label per ECG they add up to 1. They hold for patients and devices like those it was "
        "calibrated on.",
    ),
    "tuned_raw": (
        "Score",
        "Scores of the {count} labels that this model was fine-tuned on. They were not calibrated.",
        "A classifier with labels of its own. Fine-tuned for several labels per ECG it judges each by itself, and several may be "
        "high at once; for one label per ECG they add up to 1. Without a calibration a score of 0.3 may mean any frequency.",
    ),
    "calibrated": (
        "Probability",
        "Calibrated probabilities, fitted on validation records of {dataset}: they hold for patients and devices like those.",
        "Each label is judged by itself, so several may be probable at once, and another label changes nothing. A scale and "
        "an offset per label (Platt) were fitted so that of the validation records given 0.3, three in ten had the finding. "
        "Where a finding is rarer or more frequent than there, the probability is too high or too low.",
    ),
    "shares": (
        "Score",
        "Scores, not probabilities of disease: shares of {count} labels that compete with each other and add up to 1.",
        "A softmax over the labels that are listed. What you list decides what is shared: the same ECG may give a label "
        "0.97 beside three others and 0.48 beside eleven, because one of those says nearly the same. One label wins even if "
        "none fits. Score each label by itself (multi-label) where several may be true at once: then they don't compete.",
    ),
    "independent": (
        "Score",
        "Scores, not probabilities of disease: each label by itself against what may be said of any ECG. 0.5 is no threshold.",
        "Multi-label: a label is weighed against neutral sentences such as “ECG”, not against the other labels. So the scores "
        "don't add up to 1, several may be high at once, and another label changes nothing. How high is high differs from "
        "label to label: compare ECGs by one label rather than labels of one ECG.",
    ),
}


def message(text: str, *, is_error: bool = False) -> str:
    """One line above the results."""
    text = " ".join(text.split())
    text = text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]} …"
    kind, role = ("error", "alert") if is_error else ("info", "status")
    return f'<p class="etp-message etp-{kind}" role="{role}">{escape(text)}</p>'


def notes_list(notes: Sequence[str]) -> str:
    """What was left out, assumed or filled in of the ECG; nothing where nothing was."""
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="etp-notes" aria-label="Notes on the recording">{items}</ul>'


def about(report: str, source: str) -> str:
    """What a cardiologist wrote about a sample, and whose it is; nothing of what isn't known."""
    said = f"Report: “{escape(report)}”. " if report else ""
    return f'<p class="etp-small etp-about">{said}{escape(source)}</p>' if report or source else ""


def picture(figure: "Figure", *, description: str, caption: str = "") -> str:
    """A figure inside the page, so that no file of it is written; a narrow screen scrolls it sideways."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    below = f'<p class="etp-small">{escape(caption)}</p>' if caption else ""
    return (
        '<section class="etp-part"><div class="etp-scroll" tabindex="0" role="region" aria-label="ECG">'
        f'<img class="etp-paper" src="{data_url(file.getvalue(), "png")}" alt="{escape(description)}"></div>'
        f"{below}</section>"
    )


def score_table(scores: Scores, labels: Labels) -> str:
    """Labels with bars, highest first, and what their scores mean."""
    heading, meaning, why = SCORE_WORDS[scores.kind]
    dataset = title_of(scores.calibration.dataset) if scores.calibration else ""
    meaning = meaning.format(dataset=dataset, count=len(scores.by_label))
    if scores.uncalibrated:
        meaning += f" No probability: {scores.uncalibrated}."
    rows = [_score_row(label, score, labels.get(label, ())) for label, score in scores.by_label.items()]
    head = (
        f'<thead><tr><th scope="col">Label</th><th aria-hidden="true"></th>'
        f'<th scope="col" class="etp-number">{heading}</th></tr></thead>'
    )
    first, rest = "".join(rows[:SHOWN_AT_ONCE]), rows[SHOWN_AT_ONCE:]
    table = f'<table class="etp-table etp-scores" data-kind="{scores.kind}">{head}<tbody>'
    more = (
        f"<details><summary>{len(rest)} more</summary>{table}{''.join(rest)}</tbody></table></details>" if rest else ""
    )
    return (
        f'<section class="etp-part"><h2>Scores</h2>{table}{first}</tbody></table>{more}'
        f'<div class="etp-small">{escape(meaning)}<details class="etp-why"><summary>What do these numbers mean?</summary>'
        f"<p>{escape(why)}</p></details></div></section>"
    )


def _score_row(label: str, score: float, phrases: Sequence[str]) -> str:
    """A code is followed by the first phrase that states it."""
    stated = f" <small>{escape(phrases[0])}</small>" if phrases and phrases[0].lower() != label.lower() else ""
    return (
        f'<tr><th scope="row">{escape(label)}{stated if len(label) <= CODE_LENGTH else ""}</th>'
        f'<td class="etp-bar" aria-hidden="true"><span style="width:{100 * score:.1f}%"></span></td>'
        f'<td class="etp-number">{_number(score)}</td></tr>'
    )


def nearest_table(hits: Sequence[Hit]) -> str:
    """Reports of an archive, nearest first; nothing if there are none."""
    if not hits:
        return ""
    rows = "".join(
        f'<tr><td class="etp-number">{hit.score:.2f}</td><td>{escape(hit.text or "")}</td></tr>' for hit in hits
    )
    return (
        '<section class="etp-part"><h2>Nearest reports</h2><table class="etp-table etp-nearest"><thead><tr>'
        '<th scope="col" class="etp-number">Similarity</th><th scope="col">Report of another ECG</th></tr></thead>'
        f'<tbody>{rows}</tbody></table><p class="etp-small">Cosine similarity of this ECG and each report.</p></section>'
    )


def attribution_picture(figure: "Figure", attribution: Attribution, *, against_others: bool) -> str:
    """The ECG with what the model looked at as a layer."""
    shares = sorted(attribution.share_of_leads.items(), key=lambda item: -item[1])[:LEADS_NAMED]
    leads = ", ".join(f"{lead} {100 * share:.0f}%" for lead, share in shares)
    compared = "against the other labels" if against_others else "by itself"
    return picture(
        figure,
        description=f"The ECG, coloured where it speaks for or against {attribution.label}.",
        caption=f"Integrated gradients of “{attribution.label}” {compared}, averaged over beats that look alike: red and "
        f"broad speaks for it, blue and narrow against it. Most in {leads}. It shows what the model used, which need not be "
        "what a cardiologist would look at.",
    )


def _number(score: float) -> str:
    """Two decimals, without claiming that anything is impossible or certain."""
    if score < 0.005:
        return "&lt; 0.01"
    return "&gt; 0.99" if score >= 0.995 else f"{score:.2f}"
