"""Changes of ECGs: bounded, seeded, the same on any number of processes, and none where none is asked for."""

import pytest
import torch

from etp.augmentation import Augmentation, in_band
from etp.common_options import AugmentationArguments

BATCH, LEADS, SAMPLES, EPOCHS = 40, 12, 200, 5
ALL = {
    "initial_crop": 0.6,
    "max_shift": 0.2,
    "amplitude_range": 0.3,
    "wander_mv": 0.2,
    "noise_mv": 0.05,
    "lead_dropout": 0.3,
    "limb_only": 0.2,
    "time_mask": 0.3,
}


def augment(
    ecg: torch.Tensor, *, seed: int = 0, epoch: int = 0, step: int = 0, rows: slice | None = None, **options
) -> torch.Tensor:
    augmentation = Augmentation(AugmentationArguments(**options), sampling_rate=100, num_epochs=EPOCHS, seed=seed)
    rows = rows or slice(0, BATCH)
    return augmentation(ecg[rows].clone(), epoch=epoch, step=step, rows=rows, batch_size=BATCH)


@pytest.fixture
def ecg() -> torch.Tensor:
    return 1 + torch.rand(BATCH, LEADS, SAMPLES, generator=torch.Generator().manual_seed(0))


def test_nothing_asked_for_changes_nothing(ecg):
    assert torch.equal(augment(ecg), ecg)


def test_none_of_the_records_changes_nothing(ecg):
    assert torch.equal(augment(ecg, **ALL | {"initial_crop": 1.0}, augment_fraction=0.0), ecg)


def test_the_seed_and_the_step_decide(ecg):
    assert torch.equal(augment(ecg, **ALL), augment(ecg, **ALL))
    assert not torch.equal(augment(ecg, **ALL), augment(ecg, **ALL, seed=1))
    assert not torch.equal(augment(ecg, **ALL), augment(ecg, **ALL, step=1))


def test_parts_of_a_batch_change_as_the_whole_does(ecg):
    parts = [augment(ecg, **ALL, rows=rows) for rows in (slice(0, 7), slice(7, 23), slice(23, BATCH))]
    assert torch.equal(torch.cat(parts), augment(ecg, **ALL))


def test_a_shift_moves_all_leads_alike_and_uncovers_zeros(ecg):
    shifts = set()
    for before, after in zip(ecg, augment(ecg, max_shift=0.2), strict=True):
        uncovered = (after == 0).all(dim=0)
        count = int(uncovered.sum())
        shift = count if uncovered[0] else -count
        start, end = max(0, shift), SAMPLES + min(0, shift)
        assert torch.equal(after[:, start:end], before[:, start - shift : end - shift])
        shifts.add(shift)
    assert max(map(abs, shifts)) <= 0.2 * SAMPLES
    assert min(shifts) < 0 < max(shifts)


def test_crops_grow_from_their_first_share_to_the_whole(ecg):
    lengths = [augment(ecg, initial_crop=0.4, epoch=epoch).shape[-1] for epoch in range(EPOCHS)]
    assert lengths == [80, 110, 140, 170, 200]
    assert torch.equal(augment(ecg, initial_crop=0.4, epoch=EPOCHS - 1), ecg)


@pytest.mark.parametrize("max_shift", [0.0, 0.2])
def test_a_crop_is_a_stretch_of_its_ecg_cut_anywhere(ecg, max_shift):
    position = torch.arange(1, SAMPLES + 1).expand_as(ecg).float()
    cut = augment(position, initial_crop=0.5, max_shift=max_shift)
    assert torch.equal(cut, cut[:, :1].expand_as(cut))
    inside = (cut[:, 0, 1:] > 0) & (cut[:, 0, :-1] > 0)
    assert (cut[:, 0].diff(dim=-1)[inside] == 1).all()
    assert (cut > 0).float().mean() > 0.9
    first = cut[:, 0].max(dim=-1).values - SAMPLES / 2
    assert first.min() < 0.1 * SAMPLES
    assert first.max() > 0.4 * SAMPLES


def test_amplitude_changes_by_one_factor_per_record(ecg):
    factor = augment(ecg, amplitude_range=0.3) / ecg
    torch.testing.assert_close(factor, factor[:, :1, :1].expand_as(factor))
    assert 0.7 <= factor.min() < 0.85
    assert 1.15 < factor.max() <= 1.3


def test_wander_is_slow_and_bounded(ecg):
    wander = augment(ecg, wander_mv=0.2) - ecg
    assert 0.1 < wander.abs().max() <= 0.2 + 1e-6
    # 0.5 Hz at 100 Hz moves by at most 2 pi 0.5 / 100 of its amplitude per sample.
    assert wander.diff(dim=-1).abs().max() <= 0.2 * 0.0315 + 1e-6


def test_noise_has_the_deviation_that_was_asked_for():
    noise = augment(torch.zeros(BATCH, LEADS, SAMPLES), noise_mv=0.05)
    deviations = noise.std(dim=(1, 2))
    assert deviations.max() < 0.06
    assert deviations.mean() == pytest.approx(0.025, rel=0.25)  # uniform from 0 to 0.05
    assert abs(torch.corrcoef(noise[0])[0, 1]) < 0.3


def test_silenced_leads_are_exactly_zero_even_under_noise_and_wander(ecg):
    silent = (augment(ecg, **ALL | {"time_mask": 0.0, "max_shift": 0.0}) == 0).all(dim=-1)
    assert 0.25 < silent.float().mean() < 0.6
    assert not silent.all(dim=1).any()


def test_a_wearable_recording_has_limb_leads_only(ecg):
    silent = (augment(ecg, limb_only=1.0) == 0).all(dim=-1)
    assert silent[:, 6:].all()
    assert not silent[:, :6].any()


def test_a_time_mask_is_one_stretch_in_all_leads(ecg):
    silent = augment(ecg, time_mask=0.3) == 0
    assert torch.equal(silent, silent[:, :1].expand_as(silent))
    edges = silent[:, 0].int().diff(dim=-1).abs().sum(dim=-1)
    assert edges.max() <= 2
    assert 0 < silent[:, 0].sum(dim=-1).max() <= 0.3 * SAMPLES


def test_a_handheld_recording_is_one_limb_lead_now_and_then_upside_down(ecg):
    out = augment(ecg + torch.randn(1, 1, SAMPLES, generator=torch.Generator().manual_seed(1)), handheld=1.0)
    there = (out != 0).any(dim=-1)
    assert (there.sum(dim=1) == 1).all()
    assert there[:, 0].sum() > there[:, 1].sum() > 0
    assert not there[:, 2:].any()


def test_a_handheld_recording_keeps_its_beats_and_loses_what_its_band_lacks():
    position = torch.arange(1000) / 100
    beat = torch.exp(-(((position % 0.8) - 0.4) ** 2) / (2 * 0.02**2))  # 20 ms wide, 75 a minute
    ecg = (beat + 3.0 + 0.5 * torch.sin(2 * torch.pi * 0.1 * position)).expand(BATCH, LEADS, 1000)
    out = augment(ecg, handheld=1.0)
    lead = out[:, :2].sum(dim=1)  # the other one is zero
    likeness = torch.stack([torch.corrcoef(torch.stack([beat, one]))[0, 1] for one in lead])
    assert (likeness.abs() > 0.8).all()  # neither offset nor wander is left
    assert 0 < (likeness < 0).sum() < BATCH / 3
    assert lead.mean(dim=-1).abs().max() < 0.01


def test_handhelds_are_the_chosen_share_and_leave_the_others_as_they_were(ecg):
    with_some = augment(ecg, **ALL, handheld=0.3)
    without = augment(ecg, **ALL)
    changed = (with_some != without).flatten(1).any(dim=1)
    assert 0.1 < changed.float().mean() < 0.5


def test_a_band_halves_the_power_at_its_ends():
    position = torch.arange(1000) / 100
    for frequency, power in ((0.5, 0.5), (10.0, 1.0), (40.0, 0.5), (0.1, 0.04)):
        wave = torch.sin(2 * torch.pi * frequency * position)
        assert in_band(wave, (0.5, 40.0), sampling_rate=100).square().mean() / 0.5 == pytest.approx(power, abs=0.02)


def test_windows_of_a_batch_are_drawn_apart(ecg):
    augmentation = Augmentation(AugmentationArguments(**ALL), sampling_rate=100, num_epochs=EPOCHS, seed=0)
    batch = {"epoch": 0, "step": 0, "rows": slice(0, BATCH), "batch_size": BATCH}
    first, second, again = (augmentation(ecg.clone(), window=window, **batch) for window in (0, 1, 0))
    assert torch.equal(first, augment(ecg, **ALL))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_parts_without_any_handheld_are_left_alone(ecg):
    parts = [augment(ecg, handheld=0.05, rows=slice(row, row + 1)) for row in range(BATCH)]
    assert torch.equal(torch.cat(parts), augment(ecg, handheld=0.05))
    assert 0 < sum(not torch.equal(part[0], own) for part, own in zip(parts, ecg, strict=True)) < BATCH / 4
