"""Training, evaluation, explanation, search, export, the app and the command line."""

import importlib
from typing import Any

__version__ = "0.1.0"

# What ships, by the names that people try first -> where it is.
_NAMES = {
    "list_label_sets": ("etp.common_options", "label_set_names"),
    "list_models": ("etp.pretrained", "list_models"),
    "list_presets": ("etp.options", "preset_names"),
    "list_samples": ("etp.samples", "list_samples"),
    "load_checkpoint": ("etp.loading", "load_checkpoint"),
    "sample_path": ("etp.samples", "sample_path"),
}
__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _NAMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
