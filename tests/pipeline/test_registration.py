"""What `import modeling_etp` offers and registers, in processes of their own, because registration is for good."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from transformers.dynamic_module_utils import get_imports

import modeling_etp
from etp.saving import save_whole
from modeling_etp._registration import _REGISTRATIONS

ROOT = Path(__file__).resolve().parents[2]


def run(code: str, *, path: Path | None = ROOT, cwd: Path | None = None, cache: Path | None = None) -> str:
    """Standard output of a new interpreter that finds packages in `path` beside the installed ones."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(path or "")}
    if cache is not None:
        environment["HF_HOME"] = str(cache)
    finished = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        cwd=cwd,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


@pytest.fixture
def checkpoint(classifier, tmp_path):
    classifier.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_a_model_saved_whole_is_what_the_pipeline_saves_and_stays_as_it_was(classifier, checkpoint, tmp_path):
    classifier.model.train()
    classifier.model.text_model.eval()
    save_whole(classifier.model, classifier.processor, tmp_path / "whole")
    assert classifier.model.training
    assert not classifier.model.text_model.training
    for path in checkpoint.iterdir():
        assert (tmp_path / "whole" / path.name).read_bytes() == path.read_bytes(), path.name


def test_all_public_names_exist_and_come_sorted():
    assert modeling_etp.__all__ == sorted(modeling_etp.__all__)
    for name in modeling_etp.__all__:
        assert getattr(modeling_etp, name) is not None


def test_the_names_of_the_contract_are_public():
    names = (
        "ETPConfig ETPEcgConfig ETPEcgModel ETPFeatureExtractor ETPForEcgClassification ETPModel ETPOutput ETPProcessor "
        "EcgFileError EcgRecording STANDARD_LEADS ZeroShotEcgClassificationPipeline read_ecg"
    )
    assert set(names.split()) <= set(modeling_etp.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'modeling_etp' has no attribute 'ETPVision'"):
        modeling_etp.ETPVision  # noqa: B018


def test_importing_the_package_or_its_file_reader_loads_no_framework():
    code = (
        "import modeling_etp, sys; modeling_etp.STANDARD_LEADS; modeling_etp.read_ecg\n"
        "print([name for name in ('torch', 'transformers', 'scipy', 'wfdb') if name in sys.modules])"
    )
    assert run(code) == "[]"


CLASSIFY = """
import numpy as np
ecg = np.random.default_rng(0).normal(size=(12, 1000)).astype("float32")
scores = classifier(ecg, ["normal ecg", "atrial fibrillation"], sampling_rate=100)
import json, sys
print(json.dumps({
    "scores": {entry["label"]: entry["score"] for entry in scores},
    "module": type(classifier.model).__module__,
    "package": "modeling_etp" in sys.modules,
}))
"""


PARTS = """
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoProcessor
for auto_class in (AutoConfig, AutoModel, AutoFeatureExtractor, AutoProcessor):
    thing = auto_class.from_pretrained({folder!r}, trust_remote_code={trust})
    print(type(thing).__module__, type(thing).__name__)
"""

TOWER = """
from modeling_etp import ETPEcgConfig
from transformers import AutoModelForAudioClassification
tower = ETPEcgConfig(hidden_sizes=(8,), depths=(1,), kernel_sizes=(3,))
print(type(AutoModel.from_config(tower)).__name__, type(AutoModelForAudioClassification.from_config(tower)).__name__)
"""

OUR_PARTS = [
    "modeling_etp.configuration_etp ETPConfig",
    "modeling_etp.modeling_etp ETPModel",
    "modeling_etp.feature_extraction_etp ETPFeatureExtractor",
    "modeling_etp.processing_etp ETPProcessor",
]


@pytest.fixture
def expected(classifier):
    ecg = np.random.default_rng(0).normal(size=(12, 1000)).astype("float32")
    scores = classifier(ecg, ["normal ecg", "atrial fibrillation"], sampling_rate=100)
    return {entry["label"]: entry["score"] for entry in scores}


def test_pipeline_and_auto_classes_know_etp_after_the_import(checkpoint, expected):
    code = f"""
import modeling_etp
from transformers import pipeline
classifier = pipeline("zero-shot-ecg-classification", model={str(checkpoint)!r}, device="cpu")
{CLASSIFY}{PARTS.format(folder=str(checkpoint), trust=False)}{TOWER}"""
    result, *parts = run(code).splitlines()
    result = json.loads(result)
    assert result["module"] == "modeling_etp.modeling_etp"
    assert result["scores"] == pytest.approx(expected, abs=1e-6)
    assert parts == [*OUR_PARTS, "ETPEcgModel ETPForEcgClassification"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "from transformers import AutoModel, AutoProcessor, pipeline; import modeling_etp",
        "from modeling_etp.modeling_etp import ETPModel",
        "from modeling_etp import ZeroShotEcgClassificationPipeline",
        "from modeling_etp.processing_etp import ETPProcessor",
        "import torch; import modeling_etp",
    ],
)
def test_auto_classes_know_etp_whatever_is_imported_first(checkpoint, imports):
    code = f"{imports}{PARTS.format(folder=str(checkpoint), trust=False)}{TOWER}"
    assert run(code).splitlines() == [*OUR_PARTS, "ETPEcgModel ETPForEcgClassification"]


def test_all_runs_from_a_folder_without_the_package_and_can_be_saved_again(checkpoint, expected, tmp_path):
    code = f"""
from transformers import pipeline
for folder in ({str(checkpoint)!r}, "again"):
    classifier = pipeline("zero-shot-ecg-classification", model=folder, device="cpu", trust_remote_code=True)
    {CLASSIFY.replace(chr(10), chr(10) + "    ")}
    classifier.save_pretrained("again")
{PARTS.format(folder="again", trust=True)}"""
    first, again, *parts = run(code, path=None, cwd=tmp_path, cache=tmp_path / "cache").splitlines()
    for result in map(json.loads, (first, again)):
        assert result["module"].startswith("transformers_modules.")
        assert not result["package"]
        assert result["scores"] == pytest.approx(expected, abs=1e-6)
    assert [part.split()[1] for part in parts] == "ETPConfig ETPModel ETPFeatureExtractor ETPProcessor".split()


def test_saving_the_pipeline_leaves_no_trace_in_the_models_configuration(classifier, checkpoint, tmp_path):
    assert "custom_pipelines" in json.loads((checkpoint / "config.json").read_text())
    classifier.model.save_pretrained(tmp_path / "model")
    assert "custom_pipelines" not in json.loads((tmp_path / "model" / "config.json").read_text())


def test_a_checkpoint_needs_no_packages_but_the_core_ones(checkpoint):
    """What transformers would ask users of the remote code to install."""
    required = {package for path in checkpoint.glob("*.py") for package in get_imports(path)}
    assert required - set(sys.stdlib_module_names) <= {
        "huggingface_hub",
        "numpy",
        "safetensors",
        "scipy",
        "torch",
        "transformers",
        "typing_extensions",
    }


def test_the_modules_watched_for_registration_exist():
    """A module that transformers renames would silently never be registered with."""
    for theirs, ours in _REGISTRATIONS.values():
        __import__(theirs)
        assert (ROOT / "modeling_etp" / f"{ours}.py").is_file()


def test_every_file_of_a_checkpoint_came_from_the_package(checkpoint):
    own = {path.name for path in (ROOT / "modeling_etp").glob("*_etp.py")}
    saved = {path.name for path in checkpoint.glob("*.py")}
    assert saved <= own
    assert {"modeling_etp.py", "pipeline_etp.py", "processing_etp.py"} <= saved
    assert not [name for name in saved if re.search(r"test|registration", name)]
