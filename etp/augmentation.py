"""Random augmentation of ECG batches that keeps the report true."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from etp.common_options import AugmentationArguments
from etp.randomness import Purpose, generator

NUM_LIMB_LEADS = 6  # the first six of STANDARD_LEADS
WANDER_HZ = (0.05, 0.5)  # respiration and electrode drift
NOISE_POOL = 1 << 18  # drawn once; a fresh normal per sample would cost more than the tower's first layers
# A handheld recorder as AliveCor's of the CinC Challenge 2017 (doi:10.22489/CinC.2017.065-469): lead I between two hands, or
# II by hand and leg, that band; what muscles add and how often it is held upside down are our choice.
HANDHELD_LEADS, HANDHELD_SHARES = (0, 1), (0.8, 0.2)  # of STANDARD_LEADS
HANDHELD_HZ = (0.5, 40.0)
HANDHELD_NOISE_MV = 0.1  # largest standard deviation
HANDHELD_INVERTED = 0.1
CPU_BLOCK = 16  # ECGs whose float32 samples stay in a core's cache through all changes


@dataclass(frozen=True)
class Changes:
    """What happens to each ECG of a batch; every field has the batch as its first axis."""

    crop_start: np.ndarray  # samples, int64 (batch,)
    shift: np.ndarray  # samples, int64 (batch,)
    gain: np.ndarray  # factor per lead, 0 where a lead is silenced, (batch, leads)
    wander_mv: np.ndarray  # amplitude per lead, (batch, leads)
    wander_hz: np.ndarray  # (batch,)
    wander_phase: np.ndarray  # radians, (batch,)
    noise_mv: np.ndarray  # standard deviation, (batch,)
    noise_offset: np.ndarray  # start in the pool of noise, int64 (batch, leads)
    mask_start: np.ndarray  # samples, int64 (batch,)
    mask_length: np.ndarray  # samples, int64 (batch,)
    handheld: np.ndarray  # whether it looks as from a handheld recorder, bool (batch,)


class Augmentation:
    """Draws and applies the changes; off altogether where every option is zero.

    Args:
        options: How much of what.
        sampling_rate: Of the ECGs, in Hz.
        num_epochs: Over which crops grow to whole ECGs.
        seed: Decides every change.
        device: Where the ECGs are.
    """

    def __init__(
        self,
        options: AugmentationArguments,
        *,
        sampling_rate: int,
        num_epochs: int,
        seed: int,
        device: torch.device | str = "cpu",
    ):
        self._options = options
        self._sampling_rate = sampling_rate
        self._num_epochs = num_epochs
        self._seed = seed
        pool = generator(seed, Purpose.AUGMENTATION).standard_normal(NOISE_POOL, dtype=np.float32)
        self._noise = torch.from_numpy(pool).to(device)

    @property
    def is_active(self) -> bool:
        o = self._options
        leads = (o.lead_dropout, o.limb_only, o.single_lead, o.handheld)
        samples = (o.max_shift, o.amplitude_range, o.wander_mv, o.noise_mv, o.time_mask)
        return o.initial_crop < 1 or (o.augment_fraction > 0 and any(size > 0 for size in (*leads, *samples)))

    def crop_length(self, epoch: int, samples: int) -> int:
        """Samples of each ECG that an epoch, counted from 0, sees."""
        first, progress = self._options.initial_crop, min(1.0, epoch / max(1, self._num_epochs - 1))
        return round(samples * (first + (1 - first) * progress))

    def draw(self, epoch: int, step: int, *, shape: tuple[int, int, int], window: int = 0) -> Changes:
        """The changes of one global batch, the same on every process and in every resumed run.

        Args:
            shape: Of the global batch, `(batch, leads, samples)`, before it is cropped.
            window: Which of several windows of the same ECGs.
        """
        o = self._options
        batch, leads, whole = shape
        samples = self.crop_length(epoch, whole)
        random = generator(self._seed, Purpose.AUGMENTATION, epoch, step, *([window] if window else []))
        touched = random.random(batch) < o.augment_fraction
        most = int(o.max_shift * samples)
        silent = random.random((batch, leads)) < o.lead_dropout
        silent[np.arange(batch), random.integers(leads, size=batch)] = False
        silent[:, NUM_LIMB_LEADS:] |= (random.random(batch) < o.limb_only)[:, None]
        revived = silent.all(axis=1)  # the one kept lead was a chest lead
        silent[revived, random.integers(min(NUM_LIMB_LEADS, leads), size=batch)[revived]] = False
        alone = random.random(batch) < o.single_lead
        silent[alone] = np.arange(leads) != random.integers(min(NUM_LIMB_LEADS, leads), size=batch)[alone, None]
        gain = 1 + o.amplitude_range * random.uniform(-1, 1, size=(batch, 1))
        length = (random.random(batch) * o.time_mask * samples).astype(np.int64)
        changes = Changes(
            shift=random.integers(-most, most + 1, size=batch) * touched,
            gain=np.where(touched[:, None], np.where(silent, 0.0, gain), 1.0).astype(np.float32),
            wander_mv=(o.wander_mv * random.uniform(-1, 1, size=(batch, leads)) * touched[:, None]).astype(np.float32),
            wander_hz=random.uniform(*WANDER_HZ, size=batch).astype(np.float32),
            wander_phase=random.uniform(0, 2 * math.pi, size=batch).astype(np.float32),
            noise_mv=(o.noise_mv * random.random(batch) * touched).astype(np.float32),
            noise_offset=random.integers(NOISE_POOL - samples, size=(batch, leads)),
            mask_start=(random.random(batch) * (samples - length + 1)).astype(np.int64),
            mask_length=length * touched,
            crop_start=random.integers(whole - samples + 1, size=batch),
            handheld=np.zeros(batch, dtype=bool),
        )
        return self._with_handhelds(changes, touched, random) if o.handheld else changes

    def _with_handhelds(self, changes: Changes, touched: np.ndarray, random: np.random.Generator) -> Changes:
        """Changes of which some leave one lead, as a handheld recorder gives it."""
        batch, leads = changes.gain.shape
        handheld = (random.random(batch) < self._options.handheld) & touched
        lead = random.choice(HANDHELD_LEADS, p=HANDHELD_SHARES, size=batch)
        loudest = np.abs(changes.gain).max(axis=1, keepdims=True)  # of a lead that is not silenced
        sign = np.where(random.random((batch, 1)) < HANDHELD_INVERTED, -1, 1)
        alone = np.where(np.arange(leads) == lead[:, None], sign * loudest, 0.0).astype(np.float32)
        noise_mv = HANDHELD_NOISE_MV * random.random(batch, dtype=np.float32)
        return replace(
            changes,
            handheld=handheld,
            gain=np.where(handheld[:, None], alone, changes.gain),
            noise_mv=np.where(handheld, noise_mv, changes.noise_mv),
        )

    def __call__(self, ecg: Tensor, *, epoch: int, step: int, rows: slice, batch_size: int, window: int = 0) -> Tensor:
        """Apply this process's share of the batch's changes.

        Args:
            ecg: float32 mV, `(rows, leads, samples)`; changed in place unless it is cropped.
            rows: Which rows of the global batch these are.
            batch_size: Rows of the global batch.
            window: Which of several windows of the same ECGs.

        Returns:
            float32 mV, `(rows, leads, crop_length(epoch, samples))`.
        """
        if not self.is_active:
            return ecg
        _, leads, samples = ecg.shape
        length = self.crop_length(epoch, samples)
        changed = ecg if length == samples else ecg.new_empty(len(ecg), leads, length)
        changes = self.draw(epoch, step, shape=(batch_size, leads, samples), window=window)
        mine = {name: torch.from_numpy(value[rows]).to(ecg.device) for name, value in vars(changes).items()}
        block = CPU_BLOCK if ecg.device.type == "cpu" else max(len(ecg), 1)
        for start in range(0, len(ecg), block):
            part = slice(start, start + block)
            now = {name: value[part] for name, value in mine.items()}
            self._cut(ecg[part], changed[part], start=now.pop("crop_start"), shift=now.pop("shift"))
            self._apply(changed[part], **now)
        return changed

    def _cut(self, ecg: Tensor, cut: Tensor, *, start: Tensor, shift: Tensor) -> None:
        """Write the stretch of each ECG that is seen to `cut`; what lies outside the ECG is zero."""
        samples, length = ecg.shape[-1], cut.shape[-1]
        most = int(self._options.max_shift * length)
        if most or length < samples:
            windows = F.pad(ecg, (most, most)).unfold(2, length, 1)  # (rows, leads, starts, length)
            cut.copy_(windows[torch.arange(len(ecg), device=ecg.device), :, most + start - shift])

    def _apply(
        self,
        ecg: Tensor,
        *,
        gain: Tensor,
        wander_mv: Tensor,
        wander_hz: Tensor,
        wander_phase: Tensor,
        noise_mv: Tensor,
        noise_offset: Tensor,
        mask_start: Tensor,
        mask_length: Tensor,
        handheld: Tensor,
    ) -> None:
        o = self._options
        samples = ecg.shape[-1]
        position = torch.arange(samples, device=ecg.device)
        if o.wander_mv:
            angle = (2 * math.pi / self._sampling_rate) * wander_hz[:, None] * position + wander_phase[:, None]
            ecg.addcmul_(wander_mv[:, :, None], angle.sin()[:, None])
        if o.noise_mv or o.handheld:
            ecg.addcmul_(self._noise.unfold(0, samples, 1)[noise_offset], noise_mv[:, None, None])
        # After what is added: a lead that is not there is exactly zero, as the feature extractor gives it.
        if o.amplitude_range or o.lead_dropout or o.limb_only or o.single_lead or o.handheld:
            ecg.mul_(gain[:, :, None])
        if handheld.any():  # MKL has no transform of nothing
            ecg[handheld] = in_band(ecg[handheld], HANDHELD_HZ, sampling_rate=self._sampling_rate)
        if o.time_mask:
            inside = (position >= mask_start[:, None]) & (position < (mask_start + mask_length)[:, None])
            ecg.masked_fill_(inside[:, None], 0.0)


def in_band(ecg: Tensor, band: tuple[float, float], *, sampling_rate: float) -> Tensor:
    """What a recorder of first order at the lower and fourth order at the upper end keeps, without its delay.

    Args:
        ecg: `(..., samples)`.
        band: Frequencies in Hz at which half of the power is left.
        sampling_rate: In Hz.
    """
    samples = ecg.shape[-1]
    frequency = torch.fft.rfftfreq(samples, d=1 / sampling_rate, device=ecg.device)
    low, high = band
    amplitude = (1 + (low / frequency) ** 2).rsqrt() * (1 + (frequency / high) ** 8).rsqrt()  # 0 at 0 Hz
    return torch.fft.irfft(torch.fft.rfft(ecg) * amplitude, n=samples)
