"""Open an ECG archive by its name as a `DatasetDict`: prepared once, cached, ready to read."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import DatasetDict

# Name -> (module, class). Modules are imported when asked for; each brings its readers and tables along.
_BUILDERS = {
    "ptb_xl": ("datasets_scripts.ptb_xl", "PtbXl"),
    "cpsc2018": ("datasets_scripts.cpsc2018", "Cpsc2018"),
    "folder": ("datasets_scripts.wfdb_folder", "WfdbFolder"),
}
ARCHIVE_NAMES = tuple(_BUILDERS)


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
        name: `"ptb_xl"`, `"cpsc2018"`, or `"folder"` for an archive of one's own, see docs/your-own-data.md.
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
    if name not in _BUILDERS:
        raise ValueError(f"Unknown archive {name!r}; known are {', '.join(ARCHIVE_NAMES)}.")
    module, class_name = _BUILDERS[name]
    builder_class = getattr(importlib.import_module(module), class_name)
    # Only what differs from the default goes into the builder, for it becomes part of the cache's path.
    options = {} if on_error == "raise" else {"on_error": on_error}
    builder = builder_class(cache_dir=cache_dir, config_name=config, data_dir=data_dir, **options)
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset()
