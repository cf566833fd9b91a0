"""Errors of the archive builders."""

from datasets.exceptions import DatasetGenerationError


class ArchiveError(DatasetGenerationError, ValueError):
    """An archive on disk is missing, incomplete, or of another layout than its publisher's.

    It derives from `DatasetGenerationError` because `datasets` re-raises those unchanged and hides every other
    error of a build behind "An error occurred while generating the dataset".
    """


class RecordError(ArchiveError):
    """One record of an archive can't be used; with `on_error="skip"` it is left out, counted and listed."""
