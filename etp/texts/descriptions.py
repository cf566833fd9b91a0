"""What a finding looks like on an ECG: criteria, leads and shapes in whole sentences."""

import json
from functools import lru_cache
from pathlib import Path

DESCRIPTIONS = Path(__file__).with_name("descriptions.json")


def descriptions_of(term: str) -> list[str]:
    """The descriptions of a term of the table of paraphrases, perhaps none."""
    return list(_descriptions().get(term, ()))


@lru_cache
def _descriptions() -> dict[str, list[str]]:
    return json.loads(DESCRIPTIONS.read_text(encoding="utf-8"))["descriptions"]
