"""python load_again.py REPO ECG: score an ECG with a model of the Hub of HF_ENDPOINT, without our packages."""

import json
import sys

for package in ("modeling_etp", "etp", "datasets_scripts"):
    sys.modules[package] = None  # any import of it fails

from transformers import AutoModel, AutoProcessor, pipeline  # noqa: E402

repo, ecg = sys.argv[1:]
classifier = pipeline("zero-shot-ecg-classification", model=repo, device="cpu", trust_remote_code=True)
scores = classifier(ecg, ["normal ECG", "atrial fibrillation"])
loaded = [auto.from_pretrained(repo, trust_remote_code=True) for auto in (AutoModel, AutoProcessor)]
modules = [type(part).__module__.partition(".")[0] for part in (classifier, classifier.model, *loaded)]
print(json.dumps({"scores": {entry["label"]: entry["score"] for entry in scores}, "modules": modules}))
