"""Pieces of HTML that the page is made of; whatever comes from a user or a file is escaped."""

import io
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from datasets_scripts.archives import title_of
from etp.explain import Attribution
from etp.search import Hit

from .scorer import Scores
from .sources import MAX_MINUTES, MAX_UPLOAD_BYTES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
MAX_MESSAGE = 600
LEADS_NAMED = 3

TITLE = "ETP: an ECG against sentences"

INTRODUCTION = f"""<header class="etp-head"><h1>{TITLE}</h1>
<p>Upload a 12-lead ECG, write what might be said of it, and see which sentences a model trained on ECGs and their
reports finds nearest.</p>
<p class="etp-limits" role="note"><strong>Research software, not a medical device.</strong> No score is a diagnosis; do
not use it to decide about a person. The model may be wrong on children, paced rhythms, exchanged electrodes, other devices and
populations than those it was trained on, and on phrases that reports do not use, negations and numbers among them.</p>
</header>"""

PRIVACY = f"""<p class="etp-small">WFDB, EDF, DICOM, SCP-ECG, HL7 aECG, GE MUSE, CSV, NumPy or MATLAB, told by content; of a WFDB record choose all
files in one go. Files are deleted from the server as soon as they are read; their content stays in memory for
this visit, half an hour at most. Upload nothing that names a patient. Up to {MAX_UPLOAD_BYTES / 1e6:g} MB and
{MAX_MINUTES} minutes.</p>"""

# Kind of score -> column heading and what it means.
SCORE_WORDS = {
    "calibrated": (
        "Probability",
        "Calibrated probabilities, fitted on validation records of {dataset}: they hold for patients and devices like those.",
    ),
    "shares": (
        "Score",
        "Scores, not probabilities of disease: they say how the labels above compare with each other, and add up to 1.",
    ),
    "independent": (
        "Score",
        "Scores, not probabilities of disease: each label by itself against what may be said of any ECG. 0.5 is no threshold.",
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


def picture(figure: "Figure", *, heading: str, description: str, caption: str = "") -> str:
    """A figure inside the page, so that no file of it is written; a narrow screen scrolls it sideways."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    source = f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
    return (
        f'<section class="etp-part"><h2>{escape(heading)}</h2>'
        f'<div class="etp-scroll" tabindex="0" role="region" aria-label="{escape(heading)}">'
        f'<img class="etp-paper" src="{source}" alt="{escape(description)}"></div>'
        f'<p class="etp-small">{escape(caption)}</p></section>'
    )


def score_table(scores: Scores) -> str:
    """Labels with bars, highest first, and what their scores mean."""
    heading, meaning = SCORE_WORDS[scores.kind]
    if scores.calibration is not None:
        meaning = meaning.format(dataset=title_of(scores.calibration.dataset))
    rows = "".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        f'<td class="etp-bar" aria-hidden="true"><span style="width:{100 * score:.1f}%"></span></td>'
        f'<td class="etp-number">{_number(score)}</td></tr>'
        for label, score in scores.by_label.items()
    )
    return (
        f'<section class="etp-part"><h2>Scores</h2><table class="etp-table etp-scores" data-kind="{scores.kind}"><thead><tr>'
        f'<th scope="col">Label</th><th aria-hidden="true"></th><th scope="col" class="etp-number">{heading}</th>'
        f'</tr></thead><tbody>{rows}</tbody></table><p class="etp-small">{escape(meaning)}</p></section>'
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


def attribution_picture(attribution: Attribution, *, against_others: bool) -> str:
    """What the model looked at, drawn over the trace."""
    from etp.explain import plot_attribution

    shares = sorted(attribution.share_of_leads.items(), key=lambda item: -item[1])[:LEADS_NAMED]
    leads = ", ".join(f"{lead} {100 * share:.0f}%" for lead, share in shares)
    compared = "against the other labels" if against_others else "by itself"
    return picture(
        plot_attribution(attribution),
        heading="What the model looked at",
        description=f"The ECG as the model saw it, coloured where it speaks for or against {attribution.label}.",
        caption=f"Integrated gradients of “{attribution.label}” {compared}: red speaks for it, blue against it. Most in {leads}. "
        "It shows what the model used, which need not be what a cardiologist would look at.",
    )


def _number(score: float) -> str:
    """Two decimals, without claiming that anything is impossible or certain."""
    if score < 0.005:
        return "&lt; 0.01"
    return "&gt; 0.99" if score >= 0.995 else f"{score:.2f}"
