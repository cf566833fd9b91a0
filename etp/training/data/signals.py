"""Signals, or features of a frozen tower, of a split, gathered batch by batch."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from etp.progress import Progress
from modeling_etp.ecg_microvolts_etp import MICROVOLTS_PER_MILLIVOLT

ROWS_PER_COPY = 4096


class SignalStore:
    """ECGs of a split in µV, int16, gathered batch by batch; PTB-XL's training split is 418 MB.

    On a GPU all signals live there if they take at most half of what is free; otherwise, and on a CPU, they stay where
    they are, usually a map of a file, and each batch is read from there.

    Args:
        signals: int16 µV, `(stored records, leads, samples)`.
        rows: Row of each record of the split in `signals`; all of them in order if omitted.
        device: Where batches are wanted.
    """

    def __init__(self, signals: np.ndarray, *, rows: np.ndarray | None = None, device: torch.device | str = "cpu"):
        self._device = torch.device(device)
        self._signals = signals
        self._rows = np.arange(len(signals)) if rows is None else rows
        self._resident = self._on_device() if self._device.type == "cuda" else None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="signals") if self._resident is None else None
        self._expected: tuple[np.ndarray, Future] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(records, leads, samples)`."""
        return (len(self._rows), *self._signals.shape[1:])

    def expect(self, records: np.ndarray) -> None:
        """Begin to read the batch that will be asked for next."""
        if self._reader is not None:
            self._expected = records, self._reader.submit(self._read, records)

    def batch(self, records: np.ndarray) -> Tensor:
        """ECGs of the given records, float32 mV, `(ecgs, leads, samples)`; a new tensor that may be changed."""
        if self._resident is not None:
            return self._resident[torch.from_numpy(records).to(self._device)].float().div_(MICROVOLTS_PER_MILLIVOLT)
        expected, self._expected = self._expected, None
        known = expected is not None and np.array_equal(expected[0], records)
        raw = expected[1].result() if expected is not None and known else self._read(records)
        return raw.to(self._device, non_blocking=True).float().div_(MICROVOLTS_PER_MILLIVOLT)

    def _read(self, records: np.ndarray) -> Tensor:
        raw = torch.from_numpy(self._signals[self._rows[records]])
        return raw.pin_memory() if self._device.type == "cuda" else raw

    def _on_device(self) -> Tensor | None:
        """All signals on the GPU, copied in parts; None if they would take more than half of what is free."""
        records, leads, samples = self.shape
        free, _ = torch.cuda.mem_get_info(self._device)
        if 2 * records * leads * samples > free // 2:
            return None
        resident = torch.empty(self.shape, dtype=torch.int16, device=self._device)
        for start in range(0, records, ROWS_PER_COPY):
            part = self._rows[start : start + ROWS_PER_COPY]
            resident[start : start + len(part)] = torch.from_numpy(self._signals[part]).to(self._device)
        return resident


class FeatureStore:
    """ECGs as features of a frozen tower, float32 `(records, pooled_size)`; gathered like signals.

    Args:
        features: Float32, `(records, pooled_size)`.
    """

    def __init__(self, features: Tensor):
        self._features = features

    def __len__(self) -> int:
        return len(self._features)

    def expect(self, records: np.ndarray) -> None:
        """Nothing is to be read: features are in memory."""

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
    with Progress("Embedding ECGs", total=len(signals), unit="ECG", shown=progress) as bar:
        for start in range(0, len(signals), batch_size):
            records = np.arange(start, min(start + batch_size, len(signals)))
            parts.append(ecg_model(signals.batch(records)).pooler_output.float())
            bar.update(len(records))
    return FeatureStore(torch.cat(parts))
