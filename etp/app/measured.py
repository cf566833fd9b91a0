"""Rate and intervals beside the scores, where the package that measures them is installed."""

from html import escape

from etp.extras import install_hint
from etp.measurements import EcgMeasurements, measure
from modeling_etp.ecg_files_etp import EcgRecording


def measured(recording: EcgRecording) -> EcgMeasurements | None:
    """Rate, intervals and axis; None where nothing can measure them here."""
    try:
        return measure(recording)
    except ModuleNotFoundError as error:
        if install_hint(error) is None:
            raise
        return None


def measurement_table(measurements: EcgMeasurements | None) -> str:
    """A row for each, and what could not be measured with its reason."""
    if measurements is None:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in measurements.rows()
    )
    notes = " ".join(measurements.notes)
    return (
        '<section class="etp-part"><h2>Rate and intervals</h2><table class="etp-table etp-measured"><tbody>'
        f'{rows}</tbody></table><p class="etp-small">Measured from the signal by a program; nobody checked it. {escape(notes)}'
        "</p></section>"
    )
