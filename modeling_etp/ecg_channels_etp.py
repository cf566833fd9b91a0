"""Which channels of a file are ECG leads, and in what unit."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from .ecg_errors_etp import EcgContentError, argument
from .ecg_units_etp import is_other_quantity, millivolts_per, unit_size
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

    rows: tuple[int, ...]
    lead_names: tuple[str, ...]
    millivolts: tuple[float, ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...] = ()


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
    try:
        return _choose(
            None if names is None else tuple(names),
            tuple(units),
            None if lead_names is None else tuple(map(str, lead_names)),
            stated_units,
            tuple(faults.items()),
            required,
        )
    except EcgContentError as error:
        raise EcgContentError(source, error.problem) from None


# An archive repeats the same few lists of channels in every file.
@lru_cache(maxsize=1024)
def _choose(
    names: tuple[str, ...] | None,
    units: tuple[str | None, ...],
    lead_names: tuple[str, ...] | None,
    stated_units: str | None,
    faults: tuple[tuple[int, str], ...],
    required: bool,
) -> LeadChoice:
    """`choose_leads`; its errors don't name the file."""
    given = unit_size(stated_units)
    if stated_units is not None and given is None:
        raise _refusal(f'`units` must be a unit of voltage such as "mV" or "uV", got {stated_units!r}.')
    check_names(names, lead_names, "")
    notes = []
    if names is None and lead_names is None and len(units) == len(STANDARD_LEADS):
        notes.append(f"Its 12 channels have no names; the order {', '.join(STANDARD_LEADS)} is assumed.")
    called = _channel_names(len(units), names, lead_names)
    scales = [millivolts_per(unit) for unit in units]
    leads = _usable_leads(called, units, named_by_caller=lead_names is not None, given=given, faults=dict(faults))
    rows = tuple(row for row, lead in enumerate(leads) if lead)
    labels = [name or f"channel {row}" for row, name in enumerate(called, 1)]
    shown = [
        label if scale is not None or not unit else f"{label} [{unit}]"
        for label, unit, scale in zip(labels, units, scales, strict=True)
    ]
    chosen = tuple(lead for lead in leads if lead)
    if rows or required:
        _check_names(leads, called, shown)
    if unknown := [row for row in rows if scales[row] is None]:
        which = [called[row] for row in unknown]
        stated = ", ".join(
            repr(unit) if unit else "not stated" for unit in dict.fromkeys(units[row] for row in unknown)
        )
        if given is None:
            raise _refusal(
                f"the unit of lead(s) {_listed(which)} is {stated}, expected a voltage. Pass it, e.g. "
                '`units="mV"`, `units="uV"` or `units="V"`.'
            )
        notes.append(f"The unit of {', '.join(which)} ({stated}) is taken as {stated_units}, which was given.")
    for row in rows:
        if given is not None and scales[row] not in (None, given):
            raise _refusal(
                f"lead {leads[row]} is in {units[row]!r}, `units` says {stated_units!r}. Leave `units` out."
            )
    dropped = tuple(name for name, lead in zip(shown, leads, strict=True) if not lead)
    named = [lead is not None for lead, usable in zip(leads_of(called), leads, strict=True) if not usable]
    for reason, is_named in (("they are no ECG leads", False), ("they can't be used", True)):
        if names_left := [name for name, lead in zip(dropped, named, strict=True) if lead == is_named]:
            notes.append(f"Left out, as {reason}: {', '.join(names_left)}.")
    known = (scales[row] if given is None else given for row in rows)
    return LeadChoice(rows, chosen, tuple(scale for scale in known if scale is not None), dropped, tuple(notes))


def check_names(file_names: Sequence[str] | None, lead_names: Sequence[str] | None, source: str) -> None:
    """Refuse names of the caller that contradict those of the file.

    A channel may be named that the file calls no lead, or calls like another; a lead may be left out by another name.

    Raises:
        EcgContentError: If the file calls a channel one lead and the caller another.
    """
    if file_names is None or lead_names is None or len(file_names) != len(lead_names):
        return
    own = leads_of(file_names)
    for name, lead, given in zip(file_names, own, leads_of(list(lead_names)), strict=True):
        if lead and given and lead != given and lead in STANDARD_LEADS and own.count(lead) == 1:
            raise EcgContentError(
                source, f"the file calls a channel {name!r}, `lead_names` calls it {given!r}. Leave `lead_names` out."
            )


def _usable_leads(
    names: Sequence[str],
    units: Sequence[str | None],
    *,
    named_by_caller: bool,
    given: float | None,
    faults: Mapping[int, str],
) -> list[str | None]:
    """The lead that each channel is; `None` for those that are none, or that nobody wants and that have a fault."""
    named = leads_of(names)
    leads = list(named)
    for row, lead in enumerate(named):
        if lead is None:
            continue
        wanted = lead in STANDARD_LEADS
        if wanted and row in faults:
            raise _refusal(
                f"{faults[row]} To read the other leads, pass `lead_names` with another name for {names[row]}, e.g. "
                f"{_without(names, [row])}."
            )
        if is_other_quantity(units[row]):
            if named_by_caller and wanted:
                raise _refusal(
                    f"`lead_names` calls channel {row + 1} {lead}, the file says that it is in {units[row]}. "
                    f"Give that channel another name, e.g. {_without(names, [row])}."
                )
            leads[row] = None
        elif not wanted:
            without_unit = given is None and millivolts_per(units[row]) is None
            if row in faults or without_unit or named.count(lead) > 1:
                leads[row] = None
    return leads


def _refusal(problem: str) -> EcgContentError:
    return EcgContentError("", problem)


def _channel_names(count: int, names: Sequence[str] | None, lead_names: Sequence[str] | None) -> list[str]:
    if lead_names is not None:
        if len(lead_names) != count:
            raise _refusal(
                f"`lead_names` has {len(lead_names)} names, the file has {count} channels. Name each channel."
            )
        return [str(name) for name in lead_names]
    if names is not None:
        return list(names)
    if count == len(STANDARD_LEADS):
        return list(STANDARD_LEADS)
    raise _refusal(f"it has {count} channels and doesn't name them. Pass their names in order, {names_wanted(count)}.")


def _check_names(channels: Sequence[str | None], called: Sequence[str], shown: Sequence[str]) -> None:
    leads = [lead for lead in channels if lead]
    if not leads:
        raise _refusal(
            f"none of its channels is an ECG lead ({_listed(shown)}). If they are leads under other names, "
            f"pass their names in order, {names_wanted(len(shown))}.",
        )
    repeated = sorted({name for name in leads if leads.count(name) > 1})
    if repeated:
        again = [row for row, lead in enumerate(channels) if lead in repeated and lead in channels[:row]]
        raise _refusal(
            f"lead(s) {', '.join(repeated)} occur more than once among its channels ({_listed(shown)}). "
            f"Keep one of each, or tell them apart with `lead_names`, e.g. {_without(called, again)}.",
        )


def names_wanted(count: int) -> str:
    """What an error says on how to name so many channels."""
    if count > len(STANDARD_LEADS):
        return f"as `lead_names`, one for each of {count}"
    return f"e.g. {argument('lead_names', STANDARD_LEADS[:count])}"


def _without(names: Sequence[str], rows: Sequence[int]) -> str:
    """The argument that names all channels as they are called, and some of them by no lead's name."""
    return argument("lead_names", ["unused" if row in rows else name for row, name in enumerate(names)])


def _listed(names: Sequence[str], limit: int = 20) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown + (f", … {len(names)} in all" if len(names) > limit else "")
