"""Fuzzing targets that take values or text: feature extractor, processor, report translator, configurations."""

import contextlib
import copy
import csv
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzzing import Target, mutate
from huggingface_hub.errors import StrictDataclassError
from transformers import BatchFeature, PreTrainedConfig

from datasets_scripts import ptb_xl_reports
from datasets_scripts.ptb_xl_reports import report_statements
from modeling_etp.configuration_etp import ETPConfig
from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.leads_etp import STANDARD_LEADS
from modeling_etp.processing_etp import ETPProcessor

# Those of transformers' configuration classes too, which have no error of their own: AttributeError is what they make
# of a dtype that torch lacks or of a key that is a property. `load_checkpoint` turns all of them into one.
CONFIG_ERRORS = (OSError, ValueError, TypeError, KeyError, AttributeError, StrictDataclassError)

_SAMPLES = 200
_DTYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", ">f4", ">i2", "?", "c8", "O", "U3")
_NUMBERS = (0, 1, -1, 50, 99.9, 100, 100.0000001, 250, 359.9, 500, 1000, 1e9, 1e308, float("nan"), float("inf"), None, "500", True, [100])  # fmt: skip
_NAMES = (*STANDARD_LEADS, "i", "MLII", "avr", "", "X", "Resp", "V10", "\x00", "I ", 3, None)
_UNITS = ("mV", "mV", "mV", "uV", "µV", "V", "nV", "", "mmHg", None, 3)

_REPORTS = (
    "sinusrhythmus linkstyp t abnormal in anterolateralen ableitungen v4-6, i, avl  4.46 unbestätigter bericht",
    "Sinus rhythm. Normal ECG.",
    "sinusrytm vänsterställd el-axel inkomplett högersidigt skänkelblock",
    "vorhofflimmern linkslage unvollständiger rechtsschenkelblock qrs(t) abnormal inferiorer infarkt alter unbest.",
    "premature ventricular contraction(s). t wave inversion in leads i, avl, v3 - v6. Edit: NORM 100, (IMI 50)",
    "ERREGUNGSRÜCKBILDUNGSSTÖRUNGEN, ST-HEBUNG V2-V4; DD: PERIKARDITIS?",
)


def feature_extractor_target() -> Target:
    extractor = ETPFeatureExtractor(num_samples=_SAMPLES)
    return Target(_make_ecg, lambda value: extractor(value[0], **value[1]), _check_features, (ValueError,))


def processor_target(tokenizer: Any) -> Target:
    processor = ETPProcessor(ETPFeatureExtractor(num_samples=_SAMPLES), tokenizer)

    def make(rng: random.Random) -> tuple[Any, dict]:
        ecg, options = _make_ecg(rng)
        texts = [_make_report(rng) for _ in range(rng.randint(1, 3))]
        text = rng.choice([texts, texts[0], None])
        return ecg, {**options, "text": text, "return_tensors": "pt"}

    def check(value: tuple[Any, dict], features: BatchFeature) -> None:
        if value[0] is not None:
            _check_features(value, features)
        if value[1]["text"] is not None:
            assert features["input_ids"].shape == features["attention_mask"].shape
            assert features["input_ids"].shape[1] <= tokenizer.model_max_length
            assert int(features["input_ids"].max()) < len(tokenizer)

    return Target(make, lambda value: processor(value[0], **value[1]), check, (ValueError,))


def report_target() -> Target:
    """Any text has statements, perhaps none: nothing may be raised, and no label may pass."""

    def check(report: str, statements: list[str]) -> None:
        assert all(isinstance(statement, str) and statement.strip() == statement != "" for statement in statements)
        text = " ".join(statements).lower()
        assert "edit:" not in text
        assert "4.46" not in text
        ptb_xl_reports.translate.cache_clear()
        assert report_statements(report) == statements

    return Target(_make_report, report_statements, check, ())


def config_target() -> Target:
    """`config.json` with values of other types and sizes: refused, or a configuration that survives saving."""
    valid = ETPConfig().to_dict()

    def make(rng: random.Random) -> dict:
        config = copy.deepcopy(valid)
        for _ in range(rng.randint(1, 3)):
            part = rng.choice([config, config, config["ecg_config"], config["text_config"]])
            if not isinstance(part, dict) or not part:
                continue
            name = rng.choice(
                sorted(part.keys() - {"dtype"})
            )  # saving a config whose dtype is none fails in transformers
            change = rng.randrange(4)
            if change == 0:
                del part[name]
            elif change == 1:
                part[name] = copy.deepcopy(rng.choice(_JSON_VALUES))
            elif change == 2:
                part[rng.choice(["zzz", "auto_map", "_name_or_path", name + "_"])] = rng.choice(_JSON_VALUES)
            elif isinstance(part[name], (int, float)):
                part[name] = part[name] * rng.choice([-1, 0, 0.5, 2, 10**6])
            if "ecg_config" not in config or "text_config" not in config:
                break
        return config

    def check(value: dict, config: ETPConfig) -> None:
        with _without_repr():
            saved = json.loads(config.to_json_string(use_diff=False))
            # As saved: transformers writes an infinity that it knows no field for in a form of its own.
            assert json.loads(ETPConfig.from_dict(copy.deepcopy(saved)).to_json_string(use_diff=False)) == saved

    def run(value: dict) -> ETPConfig:
        with _without_repr():
            return ETPConfig.from_dict(copy.deepcopy(value))

    return Target(make, run, check, CONFIG_ERRORS)


@contextlib.contextmanager
def _without_repr() -> Iterator[None]:
    """Spare the text of every configuration, made for log lines that nobody reads: two thirds of the time."""
    original = PreTrainedConfig.__repr__
    PreTrainedConfig.__repr__ = object.__repr__
    try:
        yield
    finally:
        PreTrainedConfig.__repr__ = original


def config_file_target(folder: Path) -> Target:
    """The bytes of `config.json`, through `ETPConfig.from_pretrained`."""
    valid = ETPConfig().to_json_string(use_diff=False).encode()

    def make(rng: random.Random) -> Path:
        (folder / "config.json").write_bytes(mutate(valid, rng))
        return folder

    def check(folder: Path, config: ETPConfig) -> None:
        assert isinstance(config, ETPConfig)

    return Target(make, ETPConfig.from_pretrained, check, CONFIG_ERRORS, folder)


_JSON_VALUES = (
    None, True, False, 0, -1, 1, 3, 12, 10**12, 1e308, 0.5, -0.5, "", "mean", "bert", "etp", "etp_ecg_model", "x" * 300,
    [], [0], [64, 128], [64, 128, 256, 512], [[1]], ["a"], {}, {"model_type": "bert"}, {"a": 1}, "../../etc/passwd",
)  # fmt: skip


def _make_ecg(rng: random.Random) -> tuple[Any, dict]:
    """An ECG and options, most of them valid, some in one or several ways not."""
    leads = _mostly(rng, 12, (1, 2, 3, 0, 13))
    samples = _mostly(rng, _SAMPLES, (0, 1, 99, 100, 150, 1000, 2003))
    scale = _mostly(rng, 0.3, (0, 1e-4, 300, 1e5, 1e30))
    ecg: Any = np.random.default_rng(rng.randrange(2**32)).normal(0, scale, (leads, samples))
    if ecg.size and rng.random() < 0.2:
        value = rng.choice([0, np.nan, np.inf, -np.inf, 1e300, 5, -0.0])
        ecg[rng.randrange(leads), rng.randrange(samples) :] = value
    options: dict[str, Any] = {"sampling_rate": _mostly(rng, rng.choice([100, 50, 99.9, 250, 500]), _NUMBERS)}
    if rng.random() < 0.3:
        names = list(STANDARD_LEADS[:leads]) if leads <= 12 else [*STANDARD_LEADS, "X"]
        rng.shuffle(names)
        if names and rng.random() < 0.3:
            names[rng.randrange(len(names))] = rng.choice(_NAMES)
        options["lead_names"] = _mostly(rng, names, ("II", "", (), names[:-1], 12))
    if rng.random() < 0.2:
        options["units"] = rng.choice(_UNITS)
    return _in_some_form(ecg, rng), options


def _mostly(rng: random.Random, usual: Any, others: Sequence[Any]) -> Any:
    return rng.choice(others) if rng.random() < 0.1 else usual


def _in_some_form(ecg: np.ndarray, rng: random.Random) -> Any:
    """The same numbers as another type or container, or something that is no ECG at all."""
    form = rng.randrange(20)
    if form == 0:
        kind = rng.choice([torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int16, torch.bool])
        return torch.from_numpy(ecg).to(kind)
    if form == 1:
        return ecg.tolist()
    if form == 2:
        return [ecg, ecg[:, : ecg.shape[1] // 2]]
    if form == 3:
        return np.stack([ecg, ecg])
    if form == 4:
        return ecg.T
    if form == 5:
        return rng.choice([ecg.ravel(), [], None, "ecg", {}, ecg[None, None], [ecg, "x"], [[1, 2], [3]], 3, b"x"])
    if form in (6, 7, 8):
        with np.errstate(all="ignore"):
            return ecg.astype(rng.choice(_DTYPES))
    return ecg


def _check_features(value: tuple[Any, dict], features: BatchFeature) -> None:
    signals = np.asarray(features["input_values"])
    assert signals.dtype == np.float32
    assert signals.shape[1:] == (12, _SAMPLES)
    assert len(signals) >= 1
    assert np.isfinite(signals).all()


def _make_report(rng: random.Random) -> str:
    if rng.random() < 0.2:
        words = [rng.choice(_glossary_words()) for _ in range(rng.randrange(40))]
        return rng.choice([" ", ". ", ", "]).join(words)
    return mutate(rng.choice(_REPORTS).encode(), rng).decode("utf-8", errors=rng.choice(["replace", "ignore"]))


_words: list[str] = []


def _glossary_words() -> list[str]:
    if not _words:
        for path in sorted((Path(ptb_xl_reports.__file__).parent / "glossary").glob("*.?sv")):
            with path.open(encoding="utf-8", newline="") as file:
                rows = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
                _words.extend(row[0] for row in rows if row and row[0])
    return _words
