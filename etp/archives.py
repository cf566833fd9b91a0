"""Open an ECG archive by its name as a `DatasetDict`: prepared once, cached, ready to read."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import DatasetDict

from datasets_scripts.archives import find_archive


def open_archive(
    name: str,
    data_dir: str | Path | None,
    *,
    config: str | None = None,
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
    on_error: str = "raise",
) -> "DatasetDict":
    """Prepare an archive, or find it prepared in the cache, and open its splits.

    Args:
        name: One of `datasets_scripts.archives.ARCHIVES`; `"folder"` is a data set of your own, see
            docs/your-own-data.md.
        data_dir: The unpacked archive; None fetches it from its publisher.
        config: Of the builder, e.g. `"500hz"`; default that of the builder.
        cache_dir: Where prepared data sets are kept, default that of `datasets`.
        num_proc: Processes that prepare it.
        on_error: `"raise"` or `"skip"` records that can't be used.

    Returns:
        Splits `train`, `validation` and `test`.

    Raises:
        ValueError: If the name is unknown.
        ArchiveError: If the archive is missing, incomplete or damaged.
    """
    builder_class = find_archive(name).load_builder()
    # Only what differs from the default goes into the builder, for it becomes part of the cache's path.
    options = {} if on_error == "raise" else {"on_error": on_error}
    builder = builder_class(cache_dir=cache_dir, config_name=config, data_dir=data_dir, **options)
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset()


def skipped_records(splits: "DatasetDict") -> list[dict[str, str]]:
    """Records that `open_archive(…, on_error="skip")` left out, as `{"record_id": …, "split": …, "error": …}`."""
    file = Path(next(iter(splits.values())).cache_files[0]["filename"]).with_name("skipped_records.jsonl")
    if not file.exists():
        return []
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    rows.sort(key=lambda row: (row["split"], row["position"]))
    return [{name: row[name] for name in ("record_id", "split", "error")} for row in rows]
