"""All signals of a split as one int16 array at the model's rate and length, gathered per batch."""

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from etp.arrow_batches import read_signals
from etp.options import OptionError
from modeling_etp.ecg_microvolts_etp import NO_SAMPLE, to_millivolts

MICROVOLTS = 1000.0
ROWS_PER_READ = 512


class SignalStore:
    """ECGs in µV, int16 `(records, leads, samples)`; PTB-XL's training split takes 418 MB.

    Args:
        signals: int16 µV, `(records, leads, samples)`.
        device: Where batches are wanted; on a GPU all signals live there.
    """

    def __init__(self, signals: np.ndarray, *, device: torch.device | str = "cpu"):
        self._signals = torch.from_numpy(signals).to(device)

    def __len__(self) -> int:
        return len(self._signals)

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(records, leads, samples)`."""
        records, leads, samples = self._signals.shape
        return records, leads, samples

    def batch(self, records: np.ndarray) -> Tensor:
        """ECGs of the given records, float32 mV, `(ecgs, leads, samples)`; a new tensor that may be changed."""
        index = torch.from_numpy(records).to(self._signals.device)
        return self._signals[index].float().div_(MICROVOLTS)


class FeatureStore:
    """ECGs as features of a frozen tower, float32 `(records, pooled_size)`; gathered like signals.

    Args:
        features: Float32, `(records, pooled_size)`.
    """

    def __init__(self, features: Tensor):
        self._features = features

    def __len__(self) -> int:
        return len(self._features)

    def batch(self, records: np.ndarray) -> Tensor:
        """Features of the given records, `(ecgs, pooled_size)`."""
        return self._features[torch.from_numpy(records).to(self._features.device)]


@torch.no_grad()
def compute_features(
    ecg_model, signals: SignalStore, *, batch_size: int = 128, progress: bool = False
) -> FeatureStore:
    """Run a frozen `ETPEcgModel` over all signals once, in evaluation mode."""
    ecg_model.eval()
    parts = []
    with tqdm(total=len(signals), desc="Embedding ECGs", unit="ECG", disable=not progress) as bar:
        for start in range(0, len(signals), batch_size):
            records = np.arange(start, min(start + batch_size, len(signals)))
            parts.append(ecg_model(signals.batch(records)).pooler_output.float())
            bar.update(len(records))
    return FeatureStore(torch.cat(parts))


def load_signals(dataset, feature_extractor, *, progress: bool = False) -> np.ndarray:
    """Read every record of a split as the model takes it.

    Records of the model's rate and length are copied as they are; others, and those with samples missing, go through the
    feature extractor once, here, and not at every epoch.

    Args:
        dataset: Rows with `ecg` (int16 µV) and `sampling_rate`.
        feature_extractor: An `ETPFeatureExtractor`.

    Returns:
        int16 µV, `(records, leads, samples)`, zero where a lead is missing.

    Raises:
        OptionError: A record that the feature extractor can't use; its message names it.
    """
    leads, samples = len(feature_extractor.lead_names), feature_extractor.num_samples
    rates = np.asarray(dataset.with_format("numpy", columns=["sampling_rate"])["sampling_rate"])
    signals = np.empty((len(dataset), leads, samples), dtype=np.int16)
    with tqdm(total=len(dataset), desc="Reading ECGs", unit="ECG", disable=not progress) as bar:
        for start in range(0, len(dataset), ROWS_PER_READ):
            rows = np.arange(start, min(start + ROWS_PER_READ, len(dataset)))
            _read_rows(dataset, rows, rates[rows], feature_extractor, out=signals[rows[0] : rows[-1] + 1])
            bar.update(len(rows))
    return signals


def _read_rows(dataset, rows: np.ndarray, rates: np.ndarray, feature_extractor, *, out: np.ndarray) -> None:
    for position, (signal, rate) in enumerate(zip(read_signals(dataset, rows), rates, strict=True)):
        fits = rate == feature_extractor.sampling_rate and signal.shape == out.shape[1:]
        if fits and signal.min() > NO_SAMPLE:
            out[position] = signal
        else:
            out[position] = _extract(signal, int(rate), feature_extractor, dataset, int(rows[position]))


def _extract(signal: np.ndarray, rate: int, feature_extractor, dataset, row: int) -> np.ndarray:
    try:
        (values,) = feature_extractor(to_millivolts(signal), sampling_rate=rate)["input_values"]
    except ValueError as error:
        raise OptionError(f"Record {dataset[row]['record_id']} can't be used for training: {error}") from error
    limit = np.iinfo(np.int16).max
    return np.clip(np.rint(np.asarray(values) * MICROVOLTS), -limit, limit).astype(np.int16)
