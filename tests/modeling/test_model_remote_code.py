"""A saved model runs from its folder alone, in a process that has never heard of the package."""

import json
import subprocess
import sys

import pytest
import torch

import modeling_etp

SCRIPT = """
import sys
sys.modules["modeling_etp"] = None  # any import of the installed package fails
import torch
from transformers import AutoConfig, {auto_class}

model = {auto_class}.from_pretrained(sys.argv[1], trust_remote_code=True)
assert type(model).__module__.startswith("transformers_modules"), type(model)
inputs = torch.load(sys.argv[1] + "/inputs.pt")
with torch.no_grad():
    torch.save(model(**inputs)[{output!r}], sys.argv[1] + "/output.pt")
model.save_pretrained(sys.argv[1] + "/again")
"""


def run_without_the_package(folder, inputs, *, auto_class: str, output: str) -> torch.Tensor:
    torch.save(inputs, folder / "inputs.pt")
    script = SCRIPT.format(auto_class=auto_class, output=output)
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "OMP_NUM_THREADS": "1", "PATH": ""}
    process = subprocess.run(
        [sys.executable, "-c", script, str(folder)], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return torch.load(folder / "output.pt")


@pytest.mark.slow  # test_registration.py has the same of a whole pipeline
def test_the_model_runs_from_its_folder_alone(make_model, ecgs, texts, tmp_path):
    model = make_model(text_pooling="mean")
    model.save_pretrained(tmp_path)
    logits = run_without_the_package(
        tmp_path, {"input_values": ecgs, **texts}, auto_class="AutoModel", output="logits_per_ecg"
    )
    torch.testing.assert_close(logits, model(ecgs, **texts).logits_per_ecg)
    # Saved once more by that process, the folder still holds everything it needs.
    saved = {path.name for path in (tmp_path / "again").iterdir()}
    assert {"modeling_etp.py", "configuration_etp.py", "loss_etp.py", "ecg_resnet_etp.py"} <= saved


@pytest.mark.slow
def test_the_classifier_runs_from_its_folder_alone(make_model, ecgs, tmp_path):
    classifier = modeling_etp.ETPForEcgClassification(make_model().config.ecg_config).eval()
    classifier.save_pretrained(tmp_path)
    logits = run_without_the_package(
        tmp_path, {"input_values": ecgs}, auto_class="AutoModelForAudioClassification", output="logits"
    )
    torch.testing.assert_close(logits, classifier(ecgs).logits)


def test_the_code_beside_the_weights_needs_nothing_but_torch_and_transformers(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert auto_map["AutoModel"] == "modeling_etp.ETPModel"
    allowed = ("from .", "from transformers", "from torch", "import torch", "from safetensors", "from huggingface_hub")
    standard_library = tuple(f"{word} {name}" for name in sys.stdlib_module_names for word in ("import", "from"))
    for path in tmp_path.glob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith(("import ", "from ")):
                assert line.startswith(allowed + standard_library), f"{path.name}: {line}"
