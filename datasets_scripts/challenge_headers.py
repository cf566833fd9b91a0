"""What a header of the PhysioNet/CinC Challenges says of its patient: `#Age`, `#Sex` and `#Dx`, in all their spellings."""

from collections.abc import Iterable
from typing import Any

from datasets_scripts.archive_errors import RecordError
from datasets_scripts.archive_tables import MAX_AGE

_SEXES = {"male": "male", "m": "male", "female": "female", "f": "female"}
# Early copies of the Challenge 2020 write the names of CPSC2018's classes, `#Dx: RBBB`.
_EARLY_NAMES = {
    "Normal": "426783006",
    "AF": "164889003",
    "I-AVB": "270492004",
    "LBBB": "164909002",
    "RBBB": "59118001",
    "PAC": "284470004",
    "PVC": "164884008",
    "STD": "429622005",
    "STE": "164931005",
}


def header_fields(comments: Iterable[str]) -> dict[str, str]:
    """Name -> value of comment lines such as `Age: 74`."""
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in comments)}


def header_age(value: object) -> int | None:
    """Whole years; None for the NaN, -1 and the like that are written where the age isn't known."""
    try:
        age = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return int(age) if 0 <= age < MAX_AGE else None


def header_sex(value: object) -> str | None:
    """`male`, `female`, or None where it isn't known."""
    return _SEXES.get(str(value).lower())


def diagnosis_codes(fields: dict[str, str], source: object) -> list[str]:
    """SNOMED CT codes of `#Dx`, in their order, each once.

    Raises:
        RecordError: If the header has no `#Dx`, or it holds something that is no code; names the file.
    """
    if "Dx" not in fields:
        raise RecordError(f"{source}: the header has no diagnosis (`#Dx: …`). Fetch the header again.")
    words = [word.strip() for word in fields["Dx"].split(",")]
    codes = [_EARLY_NAMES.get(word, word) for word in words if word and word.lower() != "unknown"]
    if wrong := [code for code in codes if not (code.isascii() and code.isdigit())]:
        raise RecordError(
            f"{source}: #Dx: expected SNOMED CT codes separated by commas, got {', '.join(wrong)}. Fetch the header again."
        )
    return list(dict.fromkeys(codes))


def patient_and_codes(comments: Iterable[str], source: object) -> dict[str, Any]:
    """Columns `age`, `sex` and `codes` of a record, from the comments of its header.

    Raises:
        RecordError: As [`diagnosis_codes`].
    """
    fields = header_fields(comments)
    return {
        "age": header_age(fields.get("Age")),
        "sex": header_sex(fields.get("Sex")),
        "codes": diagnosis_codes(fields, source),
    }
