"""What the records of a split are, as a hash: ids, signals and texts, in their order."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fingerprint:
    """Identity of a split's content.

    Attributes:
        records: How many there are.
        sha256: Of their ids, sampling rates, signals as the archive has them, and statements.
    """

    records: int
    sha256: str


def fingerprint(
    record_ids: Sequence[str], statements: Sequence[Sequence[str]], *, rows: Sequence[int], source_sha256: str
) -> Fingerprint:
    """Hash every record that is trained on.

    Args:
        record_ids: Of the records, in order.
        statements: Of each record.
        rows: Of each record among those that `source_sha256` is of.
        source_sha256: Of rates and signals, see `PreparedSignals`; hashed once, when they are prepared.
    """
    content = json.dumps([source_sha256, list(rows), list(record_ids), statements])
    return Fingerprint(records=len(record_ids), sha256=hashlib.sha256(content.encode()).hexdigest())
