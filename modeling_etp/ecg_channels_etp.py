"""Which channels of a file are ECG leads, and in what unit."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from .ecg_errors_etp import EcgContentError
from .ecg_units_etp import is_other_quantity, millivolts_per
from .leads_etp import STANDARD_LEADS, leads_of


@dataclass(frozen=True)
class LeadChoice:
    """Which channels of a file are ECG leads, and what one unit of each is.

    Attributes:
        rows: Positions among the channels.
        lead_names: Of these, spelled as in `STANDARD_LEADS` where it is one of them.
        millivolts: mV per unit of these.
        dropped: Names of the other channels.
        notes: What was left out and assumed.
    """

    rows: list[int]
    lead_names: tuple[str, ...]
    millivolts: list[float]
    dropped: list[str]
    notes: tuple[str, ...]


def choose_leads(
    source: str | os.PathLike,
    names: Sequence[str] | None,
    units: Sequence[str | None],
    *,
    lead_names: Sequence[str] | None = None,
    stated_units: str | None = None,
    faults: Mapping[int, str] = MappingProxyType({}),
    required: bool = True,
) -> LeadChoice:
    """Find the ECG leads among the channels of a file, and check only these.

    Args:
        names: What the file calls its channels; `None` if it doesn't say, then twelve of them are `STANDARD_LEADS`.
        units: What the file says that its channels are in; `None` or empty where it doesn't say.
        lead_names: The caller's names, which override those of the file.
        stated_units: The caller's unit, for leads whose unit the file doesn't state or states unintelligibly.
        faults: By position, why the amplitude of a channel is unknown. One of the twelve leads is refused for it,
            another channel is left out.
        required: Whether to refuse channels among which no lead is.

    Raises:
        EcgContentError: If no channel is a lead, one of the twelve comes twice or has a fault, or its unit isn't known
            or isn't what the caller says.
    """
    given = None
    if stated_units is not None:
        given = millivolts_per(stated_units)
        if given is None:
            raise EcgContentError(
                source, f'`units` must be a unit of voltage such as "mV" or "uV", got {stated_units!r}.'
            )
    notes = []
    if names is None and lead_names is None and len(units) == len(STANDARD_LEADS):
        notes.append(f"Its 12 channels have no names; the order {', '.join(STANDARD_LEADS)} is assumed.")
    names = _channel_names(source, len(units), names, lead_names)
    leads = leads_of(names)
    scales = [millivolts_per(unit) for unit in units]
    for row, lead in enumerate(leads):
        if lead is None:
            continue
        standard = lead in STANDARD_LEADS
        if is_other_quantity(units[row]):
            if lead_names is not None and standard:
                raise EcgContentError(
                    source,
                    f"`lead_names` calls channel {row + 1} {lead}, the file says that it is in {units[row]}. "
                    "Give that channel another name.",
                )
            leads[row] = None
        elif not standard and (row in faults or (scales[row] is None and given is None) or leads.count(lead) > 1):
            leads[row] = None
        elif row in faults:
            raise EcgContentError(
                source, f"{faults[row]} To read the other leads, pass `lead_names` with another name for {names[row]}."
            )
    rows = [row for row, lead in enumerate(leads) if lead]
    shown = [
        name if scale is not None or not unit else f"{name} [{unit}]"
        for name, unit, scale in zip(names, units, scales, strict=True)
    ]
    if rows or required:
        _check_names(source, [leads[row] for row in rows], shown)
    unknown = [row for row in rows if scales[row] is None]
    if unknown and given is None:
        raise EcgContentError(
            source,
            f"the unit of lead(s) {_listed([names[row] for row in unknown])} is {_units_listed(units, unknown)}, "
            'expected a voltage. If the values are in mV, pass units="mV" (or "uV", "V").',
        )
    if unknown:
        notes.append(
            f"The unit of {', '.join(names[row] for row in unknown)} ({_units_listed(units, unknown)}) is taken as "
            f"{stated_units}, as `units` says."
        )
    for row in rows:
        if given is not None and scales[row] not in (None, given):
            raise EcgContentError(
                source, f"lead {leads[row]} is in {units[row]!r}, `units` says {stated_units!r}. Leave `units` out."
            )
    dropped = [name for name, lead in zip(shown, leads, strict=True) if not lead]
    if dropped:
        notes.append(f"Left out, as they are no ECG leads: {', '.join(dropped)}.")
    millivolts = [given if (scale := scales[row]) is None else scale for row in rows]
    return LeadChoice(rows, tuple(leads[row] for row in rows), millivolts, dropped, tuple(notes))


def _channel_names(source, count: int, names: Sequence[str] | None, lead_names: Sequence[str] | None) -> list[str]:
    if lead_names is not None:
        if len(lead_names) != count:
            raise EcgContentError(
                source, f"`lead_names` has {len(lead_names)} names, the file has {count} channels. Name each channel."
            )
        return [str(name) for name in lead_names]
    if names is not None:
        return list(names)
    if count == len(STANDARD_LEADS):
        return list(STANDARD_LEADS)
    raise EcgContentError(
        source, f"it has {count} channels and doesn't name them. Pass their names in order as `lead_names`."
    )


def _check_names(source, leads: Sequence[str], shown: Sequence[str]) -> None:
    if not leads:
        raise EcgContentError(
            source,
            f"none of its channels is an ECG lead ({_listed(shown)}). If they are leads under other names, "
            f"pass their names in order as `lead_names`, e.g. {list(STANDARD_LEADS)}.",
        )
    repeated = sorted({name for name in leads if leads.count(name) > 1})
    if repeated:
        raise EcgContentError(
            source,
            f"lead(s) {', '.join(repeated)} occur more than once among its channels ({_listed(shown)}). "
            "Keep one of each, or tell them apart with `lead_names`.",
        )


def _units_listed(units: Sequence[str | None], rows: Sequence[int]) -> str:
    return ", ".join(repr(unit) if unit else "not stated" for unit in dict.fromkeys(units[row] for row in rows))


def _listed(names: Sequence[str], limit: int = 20) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown + (f", … {len(names)} in all" if len(names) > limit else "")
