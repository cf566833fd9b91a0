"""What a run is made of, written into each checkpoint and compared when the run is continued."""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from etp.file_hashes import tensors_sha256
from etp.source_code import source_sha256

from .arguments import Arguments
from .checkpoints import CheckpointError
from .data.fingerprint import Fingerprint
from .logs import versions

logger = logging.getLogger(__name__)

# What decides the numbers of a run, given its options and data.
SOURCES = (
    "modeling_etp", "datasets_scripts", "etp/training", "etp/texts",
    "etp/archives.py", "etp/arrow_batches.py", "etp/augmentation.py", "etp/prepared_signals.py", "etp/randomness.py",
    "etp/retrieval.py",
)  # fmt: skip
COMPARED_PACKAGES = ("torch", "transformers", "datasets", "accelerate", "numpy")


@cache
def training_code_sha256() -> str:
    """sha256 of the code that trains."""
    return source_sha256(SOURCES)


@dataclass(frozen=True)
class Identity:
    """What a run is made of beside its options.

    Attributes:
        data: Of each split.
        text_tower: Fingerprint of the text encoder's frozen part and its tokenizer.
        ecg_tower: sha256 of a frozen ECG tower; None where the tower is trained, for a checkpoint then holds it.
        code: sha256 of the code that trains.
        versions: Of Python, the machine and the packages that take part.
    """

    data: dict[str, Fingerprint]
    text_tower: str
    ecg_tower: str | None = None
    code: str = field(default_factory=training_code_sha256)
    versions: dict[str, str] = field(default_factory=versions)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    def changes(self, state: Mapping[str, Any], args: Arguments, *, folder: Path) -> dict[str, Any]:
        """What is different from the checkpoint that a run continues from, and may be by `--accept_changes`.

        Args:
            state: Of the checkpoint.
            args: Options of the run.
            folder: Of the checkpoint, for errors.

        Returns:
            For each kind that changed, what the checkpoint holds of it; patch releases of packages are left out.

        Raises:
            CheckpointError: Another text encoder or frozen ECG tower, or a change of a kind that is not accepted;
                names all that differs, then and now.
        """
        self._check_towers(state, args, folder=folder)
        found = {
            "data": _changed_data(state.get("data"), self.data),
            "code": _changed_code(state.get("code"), self.code),
            "versions": _changed_versions(state["versions"], self.versions),
        }
        found = {kind: sentence for kind, sentence in found.items() if sentence}
        refused = [kind for kind in found if kind not in args.training.accept_changes]
        if refused:
            raise CheckpointError(
                f"--resume {folder}: {'; '.join(found[kind] for kind in refused)}. A run continues on what it was made "
                f"of: restore that, start anew in another --output_dir, or go on with the change by --accept_changes "
                f"{' '.join(found)}."
            )
        for sentence in found.values():
            logger.warning("Going on although %s.", sentence)
        if patched := _version_changes(state["versions"], self.versions, patches=True):
            logger.warning("Patch releases since the checkpoint: %s.", patched)
        return {kind: state.get(kind) for kind in found}

    def _check_towers(self, state: Mapping[str, Any], args: Arguments, *, folder: Path) -> None:
        for flag, name, tower, same in (
            ("text_model", args.model.text_model, "text tower", state["text_tower"] == self.text_tower),
            ("ecg_model", args.model.ecg_model, "frozen ECG tower", state.get("ecg_tower") in (None, self.ecg_tower)),
        ):
            if not same:
                raise CheckpointError(
                    f"--resume {folder}: --{flag} {name} is not the {tower} of that run, or its files changed since. "
                    "Give the same tower, or start anew."
                )


@dataclass
class Lineage:
    """Which run this is, and of which runs' steps it was made.

    Attributes:
        run_id: Random; another one wherever a run leaves the line of its checkpoints.
        history: For each time it was continued: `run_id` and `step` of the checkpoint, and in `changed` what that
            checkpoint was made of and the rest of the run is not.
    """

    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def continued(cls, state: Mapping[str, Any], *, changed: Mapping[str, Any], branches: bool) -> "Lineage":
        """The lineage of a run that goes on from a checkpoint.

        Args:
            state: Of the checkpoint.
            changed: What the run is no longer made of, by kind.
            branches: Whether the run leaves the line of the checkpoint's run: it lies elsewhere, or has later steps.
        """
        before = state.get("run_id")
        entry = {"run_id": before, "step": state["position"]["step"], "changed": dict(changed)}
        history = [*state.get("history", ()), entry]
        if before is None or branches or changed:
            return cls(history=history)
        return cls(run_id=before, history=history)


def run_facts(identity: Identity, lineage: Lineage, *, step: int) -> dict[str, Any]:
    """What weights were made of, ready for JSON.

    Args:
        step: The last one of these weights.

    Returns:
        With `data`: for each stretch of steps the fingerprints of the splits, in their order.
    """
    data: list[dict[str, Any]] = []
    first = 1
    for entry in lineage.history:
        if "data" in entry["changed"]:
            last = min(entry["step"], step)
            if first <= last:
                data.append({"first_step": first, "last_step": last, **(entry["changed"]["data"] or {})})
            first = entry["step"] + 1
    if first <= step:
        now = {name: asdict(found) for name, found in identity.data.items()}
        data.append({"first_step": first, "last_step": step, **now})
    return {
        **asdict(lineage),
        "step": step,
        "data": data,
        "code": identity.code,
        "versions": identity.versions,
    }


def tower_sha256(tower: torch.nn.Module) -> str:
    """sha256 of all weights and buffers of a module."""
    return tensors_sha256(tower.state_dict())


def _changed_data(then: Mapping[str, Any] | None, now: Mapping[str, Fingerprint]) -> str:
    if then is None:
        return "the checkpoint does not say which data it was trained on (an earlier version wrote it)"
    parts = []
    for split, found in now.items():
        if then[split] != asdict(found):
            before, after = then[split]["records"], found.records
            number = f"{before} records then, {after} now" if before != after else f"{after} records then and now"
            parts.append(
                f"the data of the {split} split changed ({number}; sha256 {then[split]['sha256'][:12]} then, "
                f"{found.sha256[:12]} now)"
            )
    return " and ".join(parts)


def _changed_code(then: str | None, now: str) -> str:
    return "" if then == now else f"the code changed (sha256 {(then or 'unknown')[:12]} then, {now[:12]} now)"


def _changed_versions(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    changes = _version_changes(then, now, patches=False)
    return f"versions of packages changed ({changes})" if changes else ""


def _version_changes(then: Mapping[str, str], now: Mapping[str, str], *, patches: bool) -> str:
    """Packages with another release, or with another patch of the same release."""
    changes = []
    for package in COMPARED_PACKAGES:
        before, after = then.get(package, "unknown"), now[package]
        same_release = before.split(".")[:2] == after.split(".")[:2]
        if before != after and same_release == patches:
            changes.append(f"{package} {before} then, {after} now")
    return ", ".join(changes)
