"""Who may import whom: the direction in which the packages and scripts of this repository depend on each other."""

import ast
import sys
from itertools import permutations
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("modeling_etp", "datasets_scripts", "etp", "metrics", "tests", "benchmarks")
SCRIPTS = {path.stem for path in ROOT.glob("*.py")}

# What a checkpoint needs to run; readers of single file formats are imported where a file of theirs is read.
CORE_DEPENDENCIES = {"huggingface_hub", "numpy", "safetensors", "scipy", "torch", "transformers", "typing_extensions"}

# Package -> what of this repository it may import, itself aside.
MAY_IMPORT = {
    "modeling_etp": set(),
    "datasets_scripts": {"modeling_etp.ecg_files_etp", "modeling_etp.ecg_addresses_etp"},
    "etp": {"modeling_etp", "datasets_scripts"},
    "metrics": set(),
}
MAY_NOT_IMPORT_EACH_OTHER = ("etp.training", "etp.evaluation", "etp.finetuning")


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path, root: Path = ROOT) -> set[str]:
    """Full names of all modules that a file imports anywhere in it, relative ones resolved.

    `from x import y` counts as `x` and as `x.y`, because `y` may be a module.
    """
    package = path.relative_to(root).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names.update([module, *(f"{module}.{alias.name}" for alias in node.names)])
    return names


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def own(names: set[str]) -> set[str]:
    """Those names that are of this repository."""
    return {name for name in names if any(is_within(name, package) for package in (*PACKAGES, *SCRIPTS))}


def forbidden(package: str, names: set[str]) -> set[str]:
    """Those of `names` that lie neither in `package` nor below it."""
    allowed = {package, *MAY_IMPORT[package]}
    # `from modeling_etp import ecg_files_etp` also names the package that the allowed module is in.
    return {
        name
        for name in own(names)
        if not any(is_within(name, other) or (other != name and is_within(other, name)) for other in allowed)
    }


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_lies_below_them(package):
    for path in modules(package):
        names = forbidden(package, imports(path))
        assert not names, f"{path.relative_to(ROOT)} may import {sorted(MAY_IMPORT[package])}, not {sorted(names)}"


@pytest.mark.parametrize(
    ("package", "name", "is_forbidden"),
    [
        ("datasets_scripts", "modeling_etp.ecg_files_etp.read_ecg", False),
        ("datasets_scripts", "modeling_etp", False),
        ("datasets_scripts", "modeling_etp.ETPModel", True),
        ("datasets_scripts", "etp.archives", True),
        ("modeling_etp", "datasets_scripts.label_sets", True),
        ("modeling_etp", "torch", False),
        ("etp", "modeling_etp.ETPModel", False),
        ("etp", "tests.conftest", True),
        ("metrics", "etp", True),
    ],
)
def test_what_lies_below_is_told_from_what_does_not(package, name, is_forbidden):
    assert bool(forbidden(package, {name})) is is_forbidden


def test_pretraining_fine_tuning_and_evaluation_do_not_know_each_other():
    for one, other in permutations(MAY_NOT_IMPORT_EACH_OTHER, 2):
        for path in modules(one.replace(".", "/")):
            names = {name for name in imports(path) if is_within(name, other)}
            assert not names, f"{path.relative_to(ROOT)} imports {sorted(names)}"


def test_no_package_imports_a_script_and_no_script_another():
    files = [path for package in MAY_IMPORT for path in modules(package)] + [ROOT / f"{name}.py" for name in SCRIPTS]
    for path in files:
        names = {name for name in imports(path) if name.partition(".")[0] in SCRIPTS}
        assert not names, f"{path.relative_to(ROOT)} imports {sorted(names)}"


@pytest.mark.parametrize("path", modules("modeling_etp"), ids=lambda path: path.stem)
def test_modules_of_a_checkpoint_reach_each_other_by_from_dot_x_import_y(path):
    """The only form whose files transformers copies beside the weights; `from . import x` is left behind."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level == 1, f"line {node.lineno}: relative imports stay in the one flat folder"
            assert node.module, f"line {node.lineno}: write `from .module import name`"
            assert "." not in node.module, f"line {node.lineno}: the folder is flat"
            assert (ROOT / "modeling_etp" / f"{node.module}.py").is_file()
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            named = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            tops = {name.partition(".")[0] for name in named}
            assert tops <= CORE_DEPENDENCIES | set(sys.stdlib_module_names), (
                f"line {node.lineno}: {sorted(tops)} would be a requirement of every checkpoint"
            )


@pytest.mark.parametrize("path", modules("modeling_etp"), ids=lambda path: path.stem)
def test_what_travels_with_a_checkpoint_reaches_neither_the_package_file_nor_the_registration(path):
    if path.stem not in ("__init__", "_registration"):
        assert not {"modeling_etp", "modeling_etp._registration"} & imports(path)


def test_the_metric_is_one_self_contained_file():
    for path in modules("metrics"):
        relative = [node for node in ast.walk(ast.parse(path.read_text())) if getattr(node, "level", 0)]
        assert not relative, f"{path.relative_to(ROOT)} imports a neighbour"


def test_imports_are_resolved_however_they_are_written(tmp_path):
    file = tmp_path / "etp" / "evaluation" / "a.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import train\nfrom .b import c\nfrom ..training import d\n\n\ndef f():\n    from modeling_etp import e\n"
    )
    assert imports(file, tmp_path) >= {
        "train",
        "etp.evaluation.b",
        "etp.evaluation.b.c",
        "etp.training",
        "etp.training.d",
        "modeling_etp.e",
    }
