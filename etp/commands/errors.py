"""Wrong usage of a command line."""


class UsageError(ValueError):
    """An argument that cannot be right; the message names it and how to fix it. Exit status 2."""
