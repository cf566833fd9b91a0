"""Parse lead lists in reports, such as "v2-6" or "ii, iii, avf"."""

from collections.abc import Sequence

from modeling_etp.ecg_files_etp import STANDARD_LEADS

LEADS_BY_NAME = {lead.lower(): lead for lead in STANDARD_LEADS}
#: German carts write L and F for aVL and aVF; typists made "lll" of III.
LEADS_BY_NAME |= {"l": "aVL", "f": "aVF", "ll": "II", "lll": "III"}
SEPARATORS = {",", ";", "/", "&", "+", "und", "and", "u", "samt", "och", ".", "¦"}
RANGES = {"-", "bis", "to"}
CHEST_NUMBERS = {"1", "2", "3", "4", "5", "6"}
#: After "r" they say that it is the wave, not German shorthand for aVR.
R_WAVE = {"progression", "in", "verlust", "reduktion"}


def lead_list(tokens: Sequence[str], start: int) -> tuple[tuple[str, ...], int]:
    """Read the longest list of leads at `start`.

    Returns:
        The leads in the order of `STANDARD_LEADS`, and the position after the list; `((), start)` if there is none.
    """
    found: list[int] = []
    position = end = start
    is_range, in_chest = False, False
    while position < len(tokens):
        token = tokens[position]
        step = 1
        if token == "v" and position + 1 < len(tokens) and tokens[position + 1] in CHEST_NUMBERS:
            lead, step, in_chest = "V" + tokens[position + 1], 2, True
        elif token in LEADS_BY_NAME:
            lead, in_chest = LEADS_BY_NAME[token], False
        elif in_chest and token in CHEST_NUMBERS:
            lead = "V" + token
        elif (
            found
            and token == "r"
            and tokens[position - 1] == ","
            and not R_WAVE.intersection(tokens[position + 1 :][:2])
        ):
            lead = "aVR"
        elif found and token in RANGES:
            is_range, position = True, position + 1
            continue
        elif found and token in SEPARATORS:
            position += 1
            continue
        else:
            break
        index = STANDARD_LEADS.index(lead)
        found += range(found[-1] + 1, index + 1) if is_range else [index]
        is_range = False
        position += step
        end = position
    return tuple(STANDARD_LEADS[index] for index in sorted(set(found))), end


def format_leads(leads: Sequence[str]) -> str:
    """Write leads as "leads II, III, aVF" or "leads V4-V6"; neighbouring chest leads become a range."""
    parts: list[list[str]] = []
    for lead in leads:
        follows = parts and lead.startswith("V") and parts[-1][-1] == f"V{int(lead[1]) - 1}"
        if follows:
            parts[-1].append(lead)
        else:
            parts.append([lead])
    text = ", ".join(part[0] if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
    return f"{'lead' if len(leads) == 1 else 'leads'} {text}"
