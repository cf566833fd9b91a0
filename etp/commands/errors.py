"""What a command line was asked that it cannot be asked."""


class UsageError(ValueError):
    """An argument that cannot be right; the message names it and the cure. Exit status 2."""
