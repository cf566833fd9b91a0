"""`etp measure`: heart rate, intervals and axis of ECG files, as text, JSON lines or a CSV table."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from etp.common_options import JSON_HELP, OVERWRITE_HELP, ReadingArguments
from etp.options import OptionError, option

from .files import FILES_HELP, EcgRun, check_output_file, find_ecgs, json_line, printable, write

if TYPE_CHECKING:
    from etp.measurements import EcgMeasurements
    from modeling_etp.ecg_files_etp import EcgRecording


@dataclass(kw_only=True)
class MeasureArguments(ReadingArguments):
    """The ECGs, and where the measurements go."""

    files: list[str] = option(FILES_HELP, positional=True, metavar="FILE")
    output: Path | None = option(".csv file that receives one line a file.", None, short="-o")
    overwrite: bool = option(OVERWRITE_HELP, False)
    json: bool = option(JSON_HELP, False)


def run(args: MeasureArguments) -> int:
    from etp.csv_files import write_csv
    from etp.measurements import FIELDS, measure

    paths = find_ecgs(args.files)
    if args.output is not None:
        if args.output.suffix.lower() != ".csv":
            raise OptionError(f"-o {args.output}: the name must end in .csv; --json prints JSON.")
        check_output_file(args.output, overwrite=args.overwrite, inputs=paths)

    longest_gap = args.max_gap_seconds or 0.0

    def measured(recordings: list["EcgRecording"]) -> list["EcgMeasurements"]:
        return [
            with_notes(measure(recording, max_gap_seconds=longest_gap), recording.notes) for recording in recordings
        ]

    ecgs = EcgRun(paths, args, batch_size=1)
    table = []
    for path, own in ecgs.map(measured, description="Measuring"):
        values = own.as_dict()
        reasons = "; ".join(f"{name}: {reason}" for name, reason in own.reasons.items())
        table.append([path, *(values[name] for name in FIELDS), reasons, "; ".join(own.notes)])
        if args.json:
            write(json_line({"file": path, **values}))
        elif args.output is None:
            write(f"{printable(path)}\n{as_text(own)}")
    if args.output is not None and table:
        write_csv(args.output, ["file", *FIELDS, "not_measurable", "notes"], table)
        if not args.json:
            write(f"{args.output}: {len(table)} of {len(paths)} ECGs")
    return ecgs.status


def with_notes(measurements: "EcgMeasurements", notes: tuple[str, ...]) -> "EcgMeasurements":
    """What the reader of the file says goes before what is said of the measurements."""
    return replace(measurements, notes=(*notes, *measurements.notes))


def as_text(measurements: "EcgMeasurements") -> str:
    """One line a measurement, then the notes."""
    rows = measurements.rows()
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name.ljust(width)}  {value}" for name, value in rows]
    return "\n".join([*lines, *(f"  note: {printable(note)}" for note in measurements.notes)])
