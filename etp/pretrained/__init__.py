"""The models that come with the package: their ECG sides are here and are joined with a public text tower on first use."""

import hashlib
import json
import shutil
from pathlib import Path

SHIPPED = Path(__file__).parent
DEFAULT_MODEL = "etp-ptb-xl"
_MANIFEST = "manifest.json"


def list_models() -> list[str]:
    """Names that `load_checkpoint`, `--model` and `model_folder` take; the first is the default."""
    names = {path.parent.name for path in SHIPPED.glob("*/text_tower.json")} - {DEFAULT_MODEL}
    return [DEFAULT_MODEL, *sorted(names)]


def cache_folder() -> Path:
    """Where joined models are kept: the folder `etp` in the cache of Hugging Face, which HF_HOME moves."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME).expanduser() / "etp"


def default_model() -> str:
    """Folder of the default model, for `pipeline` without `model=`."""
    return str(model_folder())


def model_folder(name: str = DEFAULT_MODEL, *, cache: Path | None = None) -> Path:
    """Folder of a model that comes with the package, whole; joined into the cache if it isn't there or is damaged.

    An entry of the cache is named by what it is made of, so that another version of either side makes another one.

    Args:
        name: One of `list_models()`.
        cache: Instead of `cache_folder()`.

    Raises:
        ValueError: There is no model of that name; what ships is damaged; or its text tower isn't at hand.
        NotWrittenError: The cache can't be written.
    """
    if name not in list_models():
        raise ValueError(f"no model {name!r} comes with the package; there are {', '.join(list_models())}.")
    entry = (cache or cache_folder()) / _made_of(SHIPPED / name)
    if not _is_whole(entry, name):
        _make(entry, name)
    return entry / name


def _made_of(detached: Path) -> str:
    """Hash of the detached weights, settings and results, of the hash of the named text tower, and of our version."""
    from etp import __version__
    from etp.file_hashes import file_sha256

    files = sorted(path for path in detached.rglob("*") if path.suffix in (".json", ".safetensors"))
    content = [__version__, *(f"{path.relative_to(detached).as_posix()} {file_sha256(path)}" for path in files)]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:32]


def _is_whole(entry: Path, name: str) -> bool:
    """Whether an entry holds every file that was put there, byte for byte."""
    from etp.file_hashes import file_sha256

    try:
        files = json.loads((entry / _MANIFEST).read_text(encoding="utf-8"))
        return all(file_sha256(entry / name / file) == digest for file, digest in files.items())
    except (OSError, ValueError, AttributeError):  # missing or damaged, and so made again
        return False


def _make(entry: Path, name: str) -> None:
    """Join beside the entry and give it its name in one go; of several processes that want it, one does."""
    from huggingface_hub.utils import WeakFileLock

    from etp.atomic_files import NotWrittenError, sync_all, writing
    from etp.file_hashes import file_sha256
    from etp.weights import join

    unfinished = entry.with_name(f"{entry.name}.unfinished")
    try:
        with writing(entry):
            entry.parent.mkdir(parents=True, exist_ok=True)
            with WeakFileLock(entry.with_name(f"{entry.name}.lock")):
                if _is_whole(entry, name):  # another process was faster
                    return
                shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
                folder = join(SHIPPED / name, unfinished / name)
                paths = [path for path in folder.rglob("*") if path.is_file()]
                digests = {path.relative_to(folder).as_posix(): file_sha256(path) for path in paths}
                (unfinished / _MANIFEST).write_text(json.dumps(digests, indent=1), encoding="utf-8")
                sync_all(unfinished)
                shutil.rmtree(entry, ignore_errors=True)
                unfinished.rename(entry)
    except NotWrittenError as error:
        raise NotWrittenError(
            f"the model {name} is joined with its text tower on first use and kept in a cache, but {error} "
            "The variable HF_HOME names another folder for the cache."
        ) from error
