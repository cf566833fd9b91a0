"""The nine classes of CPSC2018 in each of the three ways its publishers write them."""

from collections.abc import Mapping, Sequence

# In the order of REFERENCE.csv, whose numbers count from 1.
CLASSES = ("NORM", "AFIB", "1AVB", "CLBBB", "CRBBB", "PAC", "VPC", "STD", "STE")

# Names in the headers of early copies of the Challenge 2020, `#Dx: RBBB`.
_NAMES = {
    "Normal": "NORM",
    "AF": "AFIB",
    "I-AVB": "1AVB",
    "LBBB": "CLBBB",
    "RBBB": "CRBBB",
    "PAC": "PAC",
    "PVC": "VPC",
    "STD": "STD",
    "STE": "STE",
}

# SNOMED CT codes in the headers of release 1.0.2, `#Dx: 59118001`; the Challenge scored the second code of a class as
# equal to the first (Physiol Meas 41, 124003, table 3).
_SNOMED = {
    "426783006": "NORM",
    "164889003": "AFIB",
    "270492004": "1AVB",
    "164909002": "CLBBB",
    "59118001": "CRBBB",
    "713427006": "CRBBB",
    "284470004": "PAC",
    "63593006": "PAC",
    "164884008": "VPC",
    "427172004": "VPC",
    "429622005": "STD",
    "164931005": "STE",
}


def labels_of_diagnoses(diagnoses: str) -> list[int]:
    """Class indices of the text after `#Dx:`, names or SNOMED CT codes separated by commas, ascending.

    Raises:
        ValueError: If there is none, or one is not among the nine classes of CPSC2018.
    """
    names = [name.strip() for name in diagnoses.split(",") if name.strip()]
    unknown = [name for name in names if name not in _NAMES and name not in _SNOMED]
    if unknown or not names:
        raise ValueError(f"expected names or SNOMED CT codes of the classes {', '.join(CLASSES)}, got {diagnoses!r}")
    return sorted({CLASSES.index(_NAMES.get(name) or _SNOMED[name]) for name in names})


def labels_of_reference(row: Mapping[str, str]) -> list[int]:
    """Class indices of a row of REFERENCE.csv, ascending.

    Raises:
        ValueError: If there is none, or a number is not 1 to 9.
    """
    return labels_of_numbers([row[column] for column in ("First_label", "Second_label", "Third_label") if row[column]])


def labels_of_numbers(numbers: Sequence[str]) -> list[int]:
    """Class indices of the publisher's numbers, which count from 1."""
    if not numbers or not set(numbers) <= {str(number + 1) for number in range(len(CLASSES))}:
        raise ValueError(f"expected one to three labels from 1 to {len(CLASSES)}, got {', '.join(numbers) or 'none'}")
    return sorted({int(number) - 1 for number in numbers})
