"""What the package needs, says and carries: the core without extras, hints for those, versions and data files."""

import json
import re
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import etp
from etp.extras import EXTRAS, install_hint, requirement

ROOT = Path(__file__).resolve().parents[1]
CORE = {"huggingface_hub", "numpy", "safetensors", "scipy", "torch", "transformers"}
PYPROJECT = (ROOT / "pyproject.toml").read_text()


def extras_of_pyproject() -> dict[str, str]:
    """Extra -> the text of its requirements."""
    section = PYPROJECT.split("[project.optional-dependencies]")[1].split("\n[")[0]
    return {name: text for name, text in re.findall(r"^(\w+) = (\[.*?\n?\])$", section, re.MULTILINE | re.DOTALL)}


@pytest.fixture
def without(checkpoint_dir, archive_dir, tmp_path):
    """Run Python lines in a process where some packages are not installed; M is a model, E and OTHER_RATE are ECGs."""
    other_rate = tmp_path / "other_rate.csv"
    rows = ["time,I,II,V1", *(f"{row / 500},{row % 7 / 10},{row % 5 / 10},{row % 3 / 10}" for row in range(5000))]
    other_rate.write_text("\n".join(rows))

    def run(code: str, *missing: str) -> subprocess.CompletedProcess:
        ecg = archive_dir / "records100/00000/00001_lr.hea"
        lines = f"import sys\nfor name in {missing!r}: sys.modules[name] = None\nM, E = {str(checkpoint_dir)!r}, {str(ecg)!r}\nOTHER_RATE = {str(other_rate)!r}\n"
        return subprocess.run(
            [sys.executable, "-c", lines + code], capture_output=True, text=True, cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)},
        )  # fmt: skip

    return run


def test_the_core_alone_reads_classifies_with_label_sets_and_writes_cards(without):
    missing = [module for module, extra in EXTRAS.items() if extra is not None]
    code = """
from datasets_scripts.label_sets import load_label_set
from etp.cli import main
from modeling_etp import read_ecg
assert read_ecg(E).signal.shape == (12, 1000)
assert sorted(load_label_set("superclass")) == ["CD", "HYP", "MI", "NORM", "STTC"]
assert main(["classify", E, "--model", M, "--task", "rhythm"]) == 0
assert main(["card", M]) == 0
assert main(["info", M]) == 0
"""
    done = without(code, *missing)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("missing", "words", "hint"),
    [
        (
            "scipy",
            '["classify", OTHER_RATE, "--model", M, "--labels", "a"]',
            "scipy is not installed: pip install {core}.",
        ),
        ("matplotlib", '["plot", E, "-o", "a.png"]', "matplotlib is not installed: pip install {plot}."),
        ("accelerate", '["train", "--output_dir", "r"]', "accelerate is not installed: pip install {train}."),
        ("datasets", '["train", "--output_dir", "r"]', "datasets is not installed: pip install {train}."),
        ("datasets", '["index", "--data_dir", ".", "--model", M, "-o", "i"]', "pip install {data}."),
        ("datasets", '["evaluate", "retrieval", "--data_dir", ".", "--model", M, "-o", "r"]', "pip install {eval}."),
        ("gradio", '["app", "--model", M]', "gradio is not installed: pip install {app}."),
        ("onnx", '["export", M, "-o", "e"]', "pip install {onnx}."),
    ],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(without, missing, words, hint):
    done = without(f"from etp.cli import main\nsys.exit(main({words}))", missing)
    assert (done.returncode, done.stdout) == (1, "")
    extras = {name: requirement(name) for name in extras_of_pyproject()}
    assert hint.format(core=requirement(None), **extras) in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        (None, '"etp-ecg[plot]"'),
        ({"url": "file:///home/me/my%20etp", "dir_info": {"editable": True}}, '-e "/home/me/my etp[plot]"'),
        ({"url": "file:///home/me/etp", "dir_info": {}}, '"/home/me/etp[plot]"'),
        (
            {"url": "file:///tmp/etp_ecg-0.1.0-py3-none-any.whl", "archive_info": {"hashes": {}}},
            '"etp-ecg[plot] @ file:///tmp/etp_ecg-0.1.0-py3-none-any.whl"',
        ),
        (
            {
                "url": "https://example.org/etp.git",
                "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "v1"},
            },
            '"etp-ecg[plot] @ git+https://example.org/etp.git@abc"',
        ),
    ],
    ids=["index", "clone", "folder", "wheel", "repository"],
)
def test_a_hint_names_what_the_package_was_installed_from(monkeypatch, tmp_path, recorded, expected):
    """Of PEP 610: what pip writes into direct_url.json."""
    text = None if recorded is None else json.dumps(recorded)
    found = [SimpleNamespace(read_text=lambda file: None), SimpleNamespace(read_text=lambda file: text)]
    monkeypatch.setattr("etp.extras.distributions", lambda name: found)
    monkeypatch.setattr("etp.extras.ROOT", tmp_path)  # no clone
    hint = install_hint(ModuleNotFoundError("", name="matplotlib.pyplot"))
    assert hint == f"matplotlib is not installed: pip install {expected}."


def test_a_hint_in_a_clone_that_is_not_installed_names_the_clone(monkeypatch):
    monkeypatch.setattr("etp.extras.distributions", lambda name: [])
    assert requirement("plot") == f'-e "{ROOT}[plot]"'


def test_a_package_that_is_no_extra_keeps_its_traceback():
    assert install_hint(ModuleNotFoundError("", name="etp.nothing")) is None


def test_every_extra_that_is_named_brings_the_package():
    known, distributions = extras_of_pyproject(), packages_distributions()
    for module, extra in EXTRAS.items():
        names = {name.lower() for name in distributions.get(module, [module.replace("_", "-")])}
        if extra is None:
            assert module in CORE
            continue
        # Of some packages the extra names another that requires them.
        brought_by = {"psutil": "accelerate", "pyarrow": "datasets"}.get(module)
        assert any(name in known[extra].lower() for name in {*names, *filter(None, [brought_by])}), (module, extra)


def test_the_version_stands_in_one_place():
    assert 'dynamic = ["version"]' in PYPROJECT
    assert 'version = { attr = "etp.__version__" }' in PYPROJECT
    assert re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1] == etp.__version__


def workflow(name: str) -> dict:
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    # YAML 1.1 reads the key `on` as true.
    return {{True: "on"}.get(key, key): value for key, value in yaml.safe_load(text).items()}


def test_a_release_is_dry_unless_a_tag_or_a_person_says_otherwise():
    release = workflow("release")
    assert release["on"]["push"] == {"tags": ["v*"]}
    assert release["on"]["workflow_dispatch"]["inputs"]["dry_run"]["default"] is True
    jobs = release["jobs"]
    assert jobs["publish"]["if"] == "github.ref_type == 'tag' && !inputs.dry_run"
    pushing = [step for step in jobs["hub"]["steps"] if "HF_TOKEN" in step.get("env", {})]
    assert [step["if"] for step in pushing] == ["${{ !inputs.dry_run }}"]
    assert "etp push" not in str(
        [step for job in jobs.values() for step in job["steps"] if step not in pushing and "run" in step]
    )


def test_only_the_job_that_publishes_may_speak_for_the_repository_and_it_runs_no_code_of_ours():
    release = workflow("release")
    assert release["permissions"] == {"contents": "read"}
    assert {name for name, job in release["jobs"].items() if "permissions" in job} == {"publish"}
    publish = release["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert publish["needs"] == "first-minute"
    assert release["jobs"]["first-minute"]["needs"] == "build"


@pytest.mark.parametrize("name", ["ci", "release"])
def test_every_action_is_pinned_to_a_version(name):
    steps = [step for job in workflow(name)["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    for action in used:
        assert re.search(r"@(v\d+|release/v\d+)\Z", action), action


def test_what_a_release_runs_is_in_the_repository():
    steps = [step["run"] for job in workflow("release")["jobs"].values() for step in job["steps"] if "run" in step]
    targets = set(re.findall(r"make ([\w-]+)", "\n".join(steps)))
    makefile = (ROOT / "Makefile").read_text()
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    for file in (".ci/release-check", ".ci/first_minute.py"):
        assert (ROOT / file).is_file()
        assert any(file in text for text in (*steps, makefile))


@pytest.mark.slow
def test_the_wheel_holds_all_that_the_commands_read(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    source = tmp_path / "source"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        if name.startswith(("etp/", "modeling_etp/", "datasets_scripts/", "pyproject", "README", "LICENSE")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*command, str(source)], check=True)
    (wheel,) = tmp_path.glob("etp_ecg-*.whl")
    assert wheel.stat().st_size < 20e6  # the package index takes 100 MB; the weights are 10
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in tracked if name.startswith(("etp/", "modeling_etp/", "datasets_scripts/"))} <= packed
    assert {
        "etp/pretrained/etp-ptb-xl/model.safetensors",
        "etp/samples/normal.dat",
        "etp/presets/etp-base.yaml",
    } <= packed
    (entry_points,) = (name for name in packed if name.endswith("/entry_points.txt"))
    assert "etp-ptb-xl = etp.pretrained:default_model" in zipfile.ZipFile(wheel).read(entry_points).decode()
    assert {f"{package}/py.typed" for package in ("etp", "modeling_etp", "datasets_scripts")} <= packed
