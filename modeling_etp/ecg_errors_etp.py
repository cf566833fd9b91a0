"""What goes wrong with an ECG file."""

import json
import os
from typing import Any


class EcgFileError(ValueError):
    """An ECG file that can't be used.

    ```
    EcgFileError(ValueError)
    ├── EcgFileNotFoundError   nothing at that path, or a header names a file that isn't there
    ├── EcgFormatError         no reader knows this content, or it is a variant that isn't supported
    ├── EcgCorruptError        truncated, malformed, or the checksum is wrong
    ├── EcgUnsafeError         reaches outside its folder, or would unfold to more than fits
    ├── EcgContentError        well-formed, but not a usable ECG: duplicate leads, zero gain, mixed rates, no rate
    └── EcgDependencyError     the package that reads this format isn't installed
    ```

    Args:
        source: Path or description of the file.
        problem: What was expected and what came, and what to do about it. An argument of the reader is named as `name`,
            or `name=value` with a literal, see [`argument`], and nothing else of that name stands in backticks: each
            interface puts its own words there. What comes behind a semicolon can be left out with an argument that an
            interface doesn't have. Quoted from the file, it may hold what a
            terminal would obey: that is escaped here, for everybody who shows or logs the error.
    """

    def __init__(self, source: str | os.PathLike, problem: str):
        self.source = str(source)
        self.problem = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(problem.split()))
        super().__init__(f"{source}: {self.problem}")

    def __reduce__(self):  # an exception raised in a worker process has to cross back
        return type(self), (self.source, self.problem)


def argument(name: str, value: Any) -> str:
    """An argument as errors name it.

    Example:
        >>> argument("lead_names", ["I", "II"])
        '`lead_names=["I", "II"]`'
    """
    return f"`{name}={json.dumps(value, ensure_ascii=False)}`"


class EcgFileNotFoundError(EcgFileError): ...


class EcgFormatError(EcgFileError): ...


class EcgCorruptError(EcgFileError): ...


class EcgUnsafeError(EcgFileError): ...


class EcgContentError(EcgFileError): ...


class EcgDependencyError(EcgFileError): ...
