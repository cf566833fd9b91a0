"""Every python and bash example of README.md and docs/ runs, in order and in one folder, or says why it can't."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pytest

from etp import cli
from etp.options import options_of

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted({*(ROOT / "docs").glob("*.md"), *ROOT.glob("README.md")})
HISTORY = ("log.md",)  # what was done, in the words of its day
RUN_ELSEWHERE = {"zero-shot.md": "tests/pipeline/test_zero_shot_docs.py"}
# `<!-- not run: needs … -->` above a block, then its language and lines.
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?```(?P<language>python|bash)\n(?P<code>.*?)```", re.DOTALL
)


@dataclass(frozen=True)
class Example:
    """A block of a document; with a reason it is not run."""

    document: Path
    language: str
    code: str
    reason: str | None


def examples_of(document: Path) -> list[Example]:
    """The examples of a document, in order; none where another test runs them."""
    if document.name in RUN_ELSEWHERE:
        return []
    text = document.read_text(encoding="utf-8")
    return [Example(document, found["language"], found["code"], found["reason"]) for found in _BLOCK.finditer(text)]


def documents(*, with_commands: bool) -> list[Path]:
    """Documents with something to run, with or without shell commands among it."""
    running = {path: [example for example in examples_of(path) if not example.reason] for path in DOCUMENTS}
    return [
        path
        for path, examples in running.items()
        if examples and any(example.language == "bash" for example in examples) is with_commands
    ]


@pytest.fixture
def folder(tmp_path, checkpoint_dir, archive_dir, monkeypatch):
    """What the documents speak of: a checkpoint, PTB-XL, an ECG, and the scripts of the repository."""
    shutil.copytree(checkpoint_dir, tmp_path / "build" / "etp-ptb-xl")
    (tmp_path / "data").mkdir()
    for link in ("ptb-xl", "data/ptb-xl"):
        (tmp_path / link).symlink_to(archive_dir)
    (tmp_path / "records100").symlink_to(archive_dir / "records100")
    np.save(tmp_path / "ecg.npy", np.random.default_rng(0).normal(size=(12, 5000)).astype(np.float32))
    for path in [*ROOT.glob("*.py"), ROOT / "examples"]:
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def run_in(folder: Path, examples: list[Example]) -> None:
    """Run examples in order; those in Python share their names."""
    names: dict = {"__name__": "example"}
    for example in examples:
        if example.reason:
            continue
        if example.language == "python":
            exec(compile(example.code, str(example.document), "exec"), names)
        else:
            run_commands(folder, example.code)


def run_commands(folder: Path, code: str) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HF_DATASETS_CACHE": str(folder / "cache"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",
        "ACCELERATE_USE_CPU": "true",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("document", documents(with_commands=False), ids=lambda path: path.name)
def test_examples_in_python_run(document, folder):
    run_in(folder, examples_of(document))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("document", documents(with_commands=True), ids=lambda path: path.name)
def test_examples_with_commands_run(document, folder):
    run_in(folder, examples_of(document))


def test_a_failing_example_fails(tmp_path):
    document = tmp_path / "example.md"
    document.write_text(
        "```python\nvalue = 1\n```\n<!-- not run: needs data -->\n```bash\nfalse\n```\n```python\nassert value == 2\n```\n"
    )
    assert [example.reason for example in examples_of(document)] == [None, "needs data", None]
    with pytest.raises(AssertionError):
        run_in(tmp_path, examples_of(document))
    with pytest.raises(AssertionError):
        run_commands(tmp_path, "false\ntrue")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def flags_of(command: str) -> set[str]:
    groups = cli._load(cli.ALL_COMMANDS[command].arguments)
    return {each.flag for each in options_of(groups if isinstance(groups, tuple) else (groups,)).values()}


def commands_in(text: str) -> list[tuple[str, list[str]]]:
    """Each `etp COMMAND` of a text, in a block or in a line, with the flags behind it."""
    found = []
    for name, command in {"train.py": "etp train", "evaluate_zeroshot.py": "etp evaluate zero-shot"}.items():
        text = re.sub(rf"\b(?:python |launch .*){re.escape(name)}", command, text)
    for line in re.findall(r"(?<![\w/-])etp ([a-z].*?)(?=[`\n]|\setp\s|\Z)", text.replace("\\\n", " ")):
        words = re.split(r"\s[|>#&]|;|…|\)$", line)[0].split()
        for length in (2, 1):
            if (command := " ".join(words[:length])) in cli.ALL_COMMANDS:
                found.append((command, re.findall(r"(?<!\S)--[a-z]\w*", " ".join(words[length:]))))
                break
    return found


# Flags that docs name and that are not of `etp`.
OTHERS_FLAGS = {
    "--build-arg": "docker", "--every": "benchmarks/amplitudes.py", "--quiet": "accelerate launch",
    "--repeats": "benchmarks", "--threads": "benchmarks",
}  # fmt: skip


@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if path.name not in HISTORY], ids=lambda path: path.name
)
def test_documents_name_only_flags_and_commands_that_exist(document):
    text = document.read_text(encoding="utf-8")
    for command, flags in commands_in(text):
        unknown = {*flags} - flags_of(command) - {"--config", "--help"}
        assert not unknown, f"{document.name}: etp {command} has no {', '.join(unknown)}"
    every = set().union(*map(flags_of, cli.ALL_COMMANDS)) | {"--config", "--help", "--version"} | {*OTHERS_FLAGS}
    unknown = {*re.findall(r"`(--[a-z][\w-]*)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))} - every
    assert not unknown, f"{document.name} names {', '.join(unknown)}"


def test_a_flag_that_does_not_exist_is_found_in_blocks_and_lines():
    text = "`etp classify a.hea --model m --colour red`\n```bash\npython train.py x --bar \\\n    --foo 1 | etp info --json\n```"
    assert commands_in(text) == [
        ("classify", ["--model", "--colour"]),
        ("train", ["--bar", "--foo"]),
        ("info", ["--json"]),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "examples" / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_notebooks_run_and_are_kept_without_output(notebook, folder, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    content = nbformat.read(notebook, as_version=4)
    assert not any(cell.get("outputs") for cell in content.cells), f"clear the outputs of {notebook.name}"
    nbclient.NotebookClient(content, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    scores = next(cell.outputs[-1]["data"]["text/plain"] for cell in content.cells if "scores = " in cell.source)
    assert "left bundle branch block" in scores


@pytest.mark.slow
def test_the_first_answers_in_the_readme_are_those_of_the_shipped_weights(tmp_path):
    """The scores below README's first command and first call, to what they print: they change with the weights."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    (command,) = re.findall(r"^etp (classify sample:.*)$", text, re.MULTILINE)
    assert run("-m", "etp.cli", *shlex.split(command)).strip() in text
    (code,) = (example.code for example in examples_of(ROOT / "README.md") if "candidate_labels" in example.code)
    call, _, answer = code.partition("# [")
    script = call.replace("\nclassifier(", "\nanswer = classifier(") + "\nimport json\nprint(json.dumps(answer))\n"
    found = {entry["label"]: entry["score"] for entry in json.loads(run("-c", script).splitlines()[-1])}
    printed = re.findall(r"'score': ([\d.]+), 'label': '([^']+)'", answer)
    assert {label: float(score) for score, label in printed} == pytest.approx(found, abs=2e-3)


def _pages(nav: object) -> set[str]:
    """The pages that a navigation leads to."""
    if isinstance(nav, str):
        return {nav}
    entries = nav.values() if isinstance(nav, dict) else nav
    return set().union(*map(_pages, entries))


@pytest.fixture
def site(monkeypatch):
    """The configuration of the pages, as it is read under some environment."""
    config = pytest.importorskip("mkdocs.config")

    def site(**environment: str):
        for name in ("SITE_URL", "REPOSITORY_URL"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return config.load_config(str(ROOT / "mkdocs.yml"))

    return site


def test_every_page_is_in_the_navigation(site):
    docs = ROOT / "docs"
    written = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    assert _pages(site().nav) == written


def test_the_pages_name_the_repository_that_the_environment_names_and_none_of_their_own(site):
    assert not site().repo_url
    assert "http" not in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config = site(REPOSITORY_URL="https://example.org/user/etp", SITE_URL="https://example.org/etp/")
    assert (config.repo_url, config.site_url) == ("https://example.org/user/etp", "https://example.org/etp/")


def test_the_pages_can_be_searched_read_in_the_dark_and_kept_in_versions(site):
    config = site()
    assert "search" in config.plugins or "material/search" in config.plugins
    assert {palette.get("scheme") for palette in config.theme["palette"]} == {None, "default", "slate"}
    assert config.extra["version"]["provider"] == "mike"
