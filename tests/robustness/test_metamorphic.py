"""Changes of an input that change nothing about the ECG leave its embedding where it is."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch

from modeling_etp.feature_extraction_etp import ETPFeatureExtractor
from modeling_etp.leads_etp import STANDARD_LEADS
from modeling_etp.modeling_etp import ETPModel
from modeling_etp.processing_etp import ETPProcessor

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "build" / "etp-ptb-xl"  # what `make weights` joins

# Least cosine between embeddings of the same ECG; rates differ by what an anti-aliasing filter takes away.
EXACT, ROUNDING, RATE = 1 - 1e-6, 1 - 1e-3, 0.99


@pytest.fixture(scope="module", params=["tiny", pytest.param("shipped", marks=pytest.mark.slow)])
def folder(request, checkpoint_dir) -> Path:
    folder = checkpoint_dir if request.param == "tiny" else SHIPPED
    if not folder.is_dir():
        pytest.skip("needs the joined weights: make weights")
    return folder


@pytest.fixture(scope="module")
def model_and_extractor(folder) -> tuple[ETPModel, ETPFeatureExtractor]:
    return open_model(folder)


def open_model(folder: Path) -> tuple[ETPModel, ETPFeatureExtractor]:
    model = ETPModel.from_pretrained(folder, dtype="float32").eval()
    return model, ETPProcessor.from_pretrained(folder).feature_extractor


def embed_in_a_process(folder: Path, ecgs: list[np.ndarray]) -> np.ndarray:
    model, extractor = open_model(folder)
    with torch.inference_mode():
        return model.get_ecg_features(
            extractor(ecgs, sampling_rate=1000, return_tensors="pt")["input_values"]
        ).pooler_output.numpy()


@pytest.fixture(scope="module")
def embed(model_and_extractor):
    model, extractor = model_and_extractor

    def embed(ecg, *, rate: float = 1000, **options) -> torch.Tensor:
        features = extractor(ecg, sampling_rate=rate, return_tensors="pt", **options)
        with torch.inference_mode():
            return model.get_ecg_features(features["input_values"]).pooler_output

    return embed


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    """10 s at 1000 Hz in mV: beats, a different amplitude in each lead, nothing above 40 Hz; limb leads as Einthoven."""
    time = np.arange(10_000) / 1000
    beats = sum(
        np.exp(-(((time % 0.83) - 0.4) ** 2) / (2 * width**2)) * height for width, height in ((0.012, 1), (0.05, 0.2))
    )
    ecg = np.stack([beats * np.cos(lead) + 0.05 * np.sin(2 * np.pi * (lead + 1) * time / 3) for lead in range(12)])
    one, two = ecg[0], ecg[1]
    ecg[2:6] = two - one, -(one + two) / 2, one - two / 2, two - one / 2
    return ecg


def assert_close(first: torch.Tensor, second: torch.Tensor, least: float) -> None:
    assert first.shape == second.shape
    cosines = torch.nn.functional.cosine_similarity(first.double(), second.double(), dim=-1)
    assert cosines.min() >= least, f"cosine {cosines.min():.8f}, expected at least {least}"


def test_lead_order_follows_the_names(embed, ecg):
    order = np.random.default_rng(0).permutation(12)
    shuffled = embed(ecg[order], lead_names=[STANDARD_LEADS[lead] for lead in order])
    assert_close(shuffled, embed(ecg), EXACT)
    assert not torch.allclose(embed(ecg[order]), embed(ecg), atol=1e-3), "the model doesn't tell leads apart"


@pytest.mark.parametrize("factor", [2, 10])
def test_the_sampling_rate_matters_little(embed, ecg, factor):
    assert_close(embed(ecg[:, ::factor], rate=1000 / factor), embed(ecg), RATE)


@pytest.mark.parametrize(("unit", "scale"), [("uV", 1e3), ("µV", 1e3), ("V", 1e-3), ("nV", 1e6)])
def test_units_are_scaled(embed, ecg, unit, scale):
    assert_close(embed(ecg * scale, units=unit), embed(ecg), EXACT)


@pytest.mark.parametrize("dtype", ["f4", ">f4", "f8", "f2"])
def test_the_number_type_matters_little(embed, ecg, dtype):
    assert_close(embed(ecg.astype(dtype)), embed(ecg), EXACT if "2" not in dtype else ROUNDING)


def test_whole_microvolts_are_enough(embed, ecg):
    assert_close(embed(np.round(ecg * 1000).astype(np.int16), units="uV"), embed(ecg), ROUNDING)


def test_lists_tensors_and_arrays_are_one(embed, ecg):
    short = ecg[:, ::10]
    for other in (short.tolist(), torch.from_numpy(short), np.asfortranarray(short)):
        assert_close(embed(other, rate=100), embed(short, rate=100), EXACT)


def test_limb_leads_follow_from_two(embed, ecg):
    kept = [0, 1, *range(6, 12)]
    assert_close(embed(ecg[kept], lead_names=[STANDARD_LEADS[lead] for lead in kept]), embed(ecg), EXACT)


def test_the_batch_does_not_matter(embed, ecg):
    records = [ecg * scale for scale in (1, 0.5, 1.5, -1, 0.8)]
    together = embed(records)
    assert_close(together, torch.cat([embed(record) for record in records]), EXACT)
    assert_close(embed(records[::-1]), together.flip(0), EXACT)


@pytest.mark.slow
def test_the_number_of_processes_does_not_matter(folder, embed, ecg):
    records = [ecg * scale for scale in (1, 0.5, 1.5, -1, 0.8, 1.2)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        parts = pool.starmap(embed_in_a_process, [(folder, records[:3]), (folder, records[3:])])
    assert_close(torch.from_numpy(np.concatenate(parts)), embed(records), EXACT)


@pytest.mark.slow
def test_onnx_embeds_as_the_model_does(folder, model_and_extractor, embed, ecg, tmp_path):
    from etp.evaluation.checkpoints import load_checkpoint
    from etp.export import export_checkpoint, open_onnx

    export_checkpoint(load_checkpoint(folder), tmp_path / "onnx", format="onnx")
    extractor = ETPFeatureExtractor.from_pretrained(tmp_path / "onnx")
    order = np.random.default_rng(1).permutation(12)
    values = extractor(
        [ecg[order], -ecg[order]], sampling_rate=1000, lead_names=[STANDARD_LEADS[lead] for lead in order]
    )["input_values"]
    embedded = open_onnx(tmp_path / "onnx" / "ecg_tower.onnx")((np.asarray(values),))
    assert_close(torch.from_numpy(embedded), embed([ecg, -ecg]), EXACT)


def test_what_follows_the_models_length_is_not_seen(embed, ecg):
    longer = np.concatenate([ecg, 3 * ecg[::-1]], axis=1)
    assert_close(embed(longer[:, ::10], rate=100), embed(ecg[:, ::10], rate=100), EXACT)


def test_saving_and_loading_changes_nothing(embed, model_and_extractor, ecg, tmp_path):
    model, extractor = model_and_extractor
    model.save_pretrained(tmp_path)
    values = extractor(ecg, sampling_rate=1000, return_tensors="pt")["input_values"]
    with torch.inference_mode():
        again = ETPModel.from_pretrained(tmp_path).eval().get_ecg_features(values).pooler_output
    assert torch.equal(again, embed(ecg))


def test_two_runs_are_equal_and_threads_matter_little(embed, ecg):
    first = embed(ecg)
    assert torch.equal(embed(ecg), first)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert_close(embed(ecg), first, EXACT)
    finally:
        torch.set_num_threads(threads)


# Numerics


def test_bfloat16_is_close_to_float32(model_and_extractor, embed, ecg):
    model, extractor = model_and_extractor
    values = extractor([ecg, 0.5 * ecg], sampling_rate=1000, return_tensors="pt")["input_values"]
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = model.get_ecg_features(values).pooler_output
    assert half.dtype == torch.float32
    assert_close(half, embed([ecg, 0.5 * ecg]), 0.995)


@pytest.mark.parametrize("scale", [0.15, 0.2, 5])
def test_extreme_amplitudes_stay_finite(embed, ecg, scale):
    embeds = embed(ecg * scale)
    assert embeds.isfinite().all()
    torch.testing.assert_close(embeds.norm(dim=-1), torch.ones(1))


def test_a_constant_lead_stays_finite(embed, ecg):
    flat = ecg.copy()
    flat[3], flat[7] = 0, 2.5
    assert embed(flat).isfinite().all()


@pytest.mark.slow
def test_one_second_and_one_day(embed, ecg):
    assert embed(ecg[:, :1000]).isfinite().all()
    day = np.broadcast_to(ecg[:, None, ::10], (12, 8640, 1000)).reshape(12, -1).astype(np.float32)
    assert day.shape[1] == 86_400 * 100
    assert_close(embed(day, rate=100), embed(ecg[:, ::10], rate=100), EXACT)
