"""The synthetic ECGs show what their condition says, measured on the signal as one measures a real one."""

import numpy as np
import pytest
from scipy.signal import find_peaks

from datasets_scripts.synthetic_ecg import CONDITIONS, HEART_RATES, Condition, Patients, simulate_ecgs
from modeling_etp.ecg_files_etp import STANDARD_LEADS

RATE = 500
LEAD = {name: row for row, name in enumerate(STANDARD_LEADS)}
BEFORE, AFTER = 0.4, 0.5  # seconds around the R peak
RECORDS = 24


def r_peaks(ecg: np.ndarray) -> np.ndarray:
    """Samples at which the leads together are steepest, once per beat."""
    steepness = np.sqrt((np.gradient(ecg, axis=1) ** 2).sum(axis=0))
    steepness = np.convolve(steepness, np.ones(RATE // 25) / (RATE // 25), mode="same")
    return find_peaks(steepness, distance=RATE // 4, height=0.35 * np.quantile(steepness, 0.99))[0]


def mean_beat(ecg: np.ndarray) -> np.ndarray:
    """Median beat around the R peaks, from 0.4 s before to 0.5 s after; the baseline is the level before the QRS."""
    before, after = round(BEFORE * RATE), round(AFTER * RATE)
    peaks = [peak for peak in r_peaks(ecg) if before <= peak < ecg.shape[1] - after]
    beat = np.median([ecg[:, peak - before : peak + after] for peak in peaks], axis=0)
    return beat - beat[:, before - round(0.075 * RATE), None]


def mean_beats(name: str) -> np.ndarray:
    """Shape (records, 12, samples)."""
    ecgs = simulate_ecgs([CONDITIONS[name]] * RECORDS, sampling_rate=RATE, seed=4)
    return np.stack([mean_beat(ecg) for ecg in ecgs.signal])


def level(beats: np.ndarray, lead: str, seconds: float) -> np.ndarray:
    """mV in a lead so long after the R peak, one value per record."""
    return beats[:, LEAD[lead], round((BEFORE + seconds) * RATE)]


@pytest.fixture(scope="module")
def normal() -> np.ndarray:
    return mean_beats("normal")


def test_the_seed_decides_everything():
    first, again, other = (
        simulate_ecgs(list(CONDITIONS.values()), sampling_rate=100, seed=seed).signal for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_signals_are_millivolts_of_twelve_leads():
    ecgs = simulate_ecgs([Condition()] * 3, sampling_rate=250, seconds=4, seed=0)
    assert ecgs.signal.shape == (3, 12, 1000)
    assert ecgs.signal.dtype == np.float32
    assert (np.ptp(ecgs.signal, axis=2) < 6).all()
    assert (np.ptp(ecgs.signal[:, LEAD["V4"]], axis=1) > 0.5).all()


def test_limb_leads_obey_einthoven_and_goldberger_with_all_disturbances():
    lead_i, lead_ii, lead_iii, avr, avl, avf = (
        simulate_ecgs(list(CONDITIONS.values()), sampling_rate=100, seed=3).signal[:, :6].swapaxes(0, 1)
    )
    np.testing.assert_allclose(lead_iii, lead_ii - lead_i, atol=1e-5)
    np.testing.assert_allclose(avr, -(lead_i + lead_ii) / 2, atol=1e-5)
    np.testing.assert_allclose(avl, lead_i - lead_ii / 2, atol=1e-5)
    np.testing.assert_allclose(avf, lead_ii - lead_i / 2, atol=1e-5)


def test_two_sampling_rates_show_the_same_hearts():
    slow, fast = (simulate_ecgs(list(CONDITIONS.values()), sampling_rate=rate, seed=3) for rate in (100, 500))
    np.testing.assert_array_equal(slow.num_premature, fast.num_premature)
    difference = slow.signal - fast.signal[..., ::5]
    assert np.sqrt((difference**2).mean()) < 0.02  # noise and mains hum alone


@pytest.mark.parametrize("rhythm", HEART_RATES)
def test_the_rate_is_that_of_the_rhythm_and_only_fibrillation_is_irregular(rhythm):
    ecgs = simulate_ecgs([Condition(rhythm=rhythm)] * RECORDS, sampling_rate=RATE, seed=8)
    intervals = [np.diff(r_peaks(ecg)) / RATE for ecg in ecgs.signal]
    low, high = HEART_RATES[rhythm]
    rates = np.array([60 / interval.mean() for interval in intervals])
    variation = np.array([interval.std() / interval.mean() for interval in intervals])
    slack = 1.25 if rhythm == "AFIB" else 1.08
    assert ((rates > low / slack) & (rates < high * slack)).all()
    if rhythm == "AFIB":
        assert np.median(variation) > 0.15
    else:
        assert variation.max() < 0.09


def test_fibrillation_has_waves_but_no_p_wave(normal):
    before_qrs = slice(round((BEFORE - 0.2) * RATE), round((BEFORE - 0.08) * RATE))
    assert np.median(normal[:, LEAD["II"], before_qrs].max(axis=1)) > 0.07
    # Fibrillatory waves keep no step with the beats: few remain in their mean, and none of a P wave.
    assert mean_beats("atrial fibrillation")[:, LEAD["II"], before_qrs].mean(axis=0).max() < 0.04
    fibrillating = simulate_ecgs([CONDITIONS["atrial fibrillation"]] * RECORDS, sampling_rate=RATE, seed=4).signal
    sinus = simulate_ecgs([CONDITIONS["normal"]] * RECORDS, sampling_rate=RATE, seed=4).signal

    def power(signal: np.ndarray) -> float:
        spectrum = np.abs(np.fft.rfft(np.clip(signal[:, LEAD["V1"]], -0.15, 0.15), axis=1)) ** 2
        return np.median(spectrum[:, 45:75].sum(axis=1))  # 4.5 - 7.5 Hz, without the tall QRS

    assert power(fibrillating) > 2 * power(sinus)


def test_the_pr_interval_is_long_in_av_block(normal):
    def p_peak(beats: np.ndarray) -> float:
        window = beats[:, LEAD["II"], : round((BEFORE - 0.09) * RATE)]
        return float(np.median(BEFORE - window.argmax(axis=1) / RATE))

    assert p_peak(normal) < 0.17
    assert p_peak(mean_beats("first-degree AV block")) > 0.2


def qrs_width(beats: np.ndarray) -> np.ndarray:
    """Seconds during which the leads together move fast."""
    window = beats[..., round((BEFORE - 0.15) * RATE) : round((BEFORE + 0.17) * RATE)]
    steepness = np.sqrt((np.gradient(window, axis=2) ** 2).sum(axis=1)) * RATE  # mV/s
    return (steepness > 25).sum(axis=1) / RATE


def test_bundle_branch_blocks_are_wide_and_turn_the_right_way(normal):
    left, right = mean_beats("left bundle branch block"), mean_beats("right bundle branch block")
    assert np.median(qrs_width(normal)) < 0.1
    assert np.median(qrs_width(left)) > 0.12
    assert np.median(qrs_width(right)) > 0.105
    ventricular = slice(round((BEFORE - 0.05) * RATE), round((BEFORE + 0.06) * RATE))
    assert (left[:, LEAD["V1"], ventricular].mean(axis=1) < -0.25).mean() > 0.9
    assert (left[:, LEAD["V6"], ventricular].mean(axis=1) > 0.25).mean() > 0.9
    terminal = slice(round((BEFORE + 0.03) * RATE), round((BEFORE + 0.09) * RATE))
    assert (right[:, LEAD["V1"], terminal].max(axis=1) > 0.3).mean() > 0.9  # R'
    assert (right[:, LEAD["V6"], terminal].min(axis=1) < -0.15).mean() > 0.9  # broad S
    assert (normal[:, LEAD["V1"], terminal].max(axis=1) < 0.3).all()


@pytest.mark.parametrize(
    ("name", "elevated", "depressed"),
    [
        ("anterior ST elevation", ["V2", "V3"], []),
        ("inferior ST elevation", ["II", "III", "aVF"], ["aVL"]),
        ("ST depression", ["aVR"], ["V5", "V4"]),
    ],
)
def test_st_segments_move_in_the_leads_that_the_report_names(normal, name, elevated, depressed):
    beats = mean_beats(name)
    for lead in elevated:
        assert np.median(level(beats, lead, 0.09)) > 0.07 + np.median(level(normal, lead, 0.09)), lead
    for lead in depressed:
        assert np.median(level(beats, lead, 0.09)) < -0.07 + np.median(level(normal, lead, 0.09)), lead


def test_hypertrophy_meets_the_sokolow_lyon_criterion(normal):
    def sokolow_lyon(beats: np.ndarray) -> np.ndarray:
        return beats[:, [LEAD["V5"], LEAD["V6"]]].max(axis=(1, 2)) - beats[:, LEAD["V1"]].min(axis=1)

    assert (sokolow_lyon(mean_beats("left ventricular hypertrophy")) > 3.5).mean() > 0.8
    assert (sokolow_lyon(normal) < 3.5).mean() > 0.9


def test_premature_beats_come_early_and_are_followed_by_a_pause():
    ecgs = simulate_ecgs([CONDITIONS["premature ventricular beats"]] * RECORDS, sampling_rate=RATE, seed=2)
    assert (ecgs.num_premature >= 1).all()
    ratios = []
    for ecg in ecgs.signal:
        intervals = np.diff(r_peaks(ecg))
        early = np.argmin(intervals[:-1] / intervals[1:])
        ratios.append(intervals[early + 1] / intervals[early])
    assert np.median(ratios) > 1.6
    assert not simulate_ecgs([Condition()] * 4, sampling_rate=100, seed=2).num_premature.any()


def test_a_patient_keeps_the_heart_between_records():
    people = Patients.draw(20, np.random.default_rng(0))
    visits = [simulate_ecgs([Condition()] * 20, sampling_rate=100, seed=seed, patients=people).axis for seed in (5, 6)]
    strangers = simulate_ecgs([Condition()] * 20, sampling_rate=100, seed=7).axis
    assert np.corrcoef(*visits)[0, 1] > 0.9
    assert abs(np.corrcoef(visits[0], strangers)[0, 1]) < 0.6


def test_conditions_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="rhythm must be one of SR, SBRAD, STACH, AFIB, got 'VT'"):
        Condition(rhythm="VT")
    with pytest.raises(ValueError, match="ventricles must be one of NORM"):
        Condition(ventricles="LAFB")
    with pytest.raises(ValueError, match="no P wave"):
        Condition(rhythm="AFIB", av_block=True)
    with pytest.raises(ValueError, match="2 conditions need as many patients, got 3"):
        simulate_ecgs(
            [Condition()] * 2, sampling_rate=100, seed=0, patients=Patients.draw(3, np.random.default_rng(0))
        )
    with pytest.raises(ValueError, match="nothing to simulate: 0 conditions"):
        simulate_ecgs([], sampling_rate=100, seed=0)


def test_the_stated_intervals_are_those_of_the_condition():
    ecgs = {name: simulate_ecgs([CONDITIONS[name]] * RECORDS, sampling_rate=100, seed=2) for name in CONDITIONS}
    assert (np.abs(ecgs["normal"].pr_interval - 155) < 36).all()  # 125-185 ms were drawn for it
    assert (ecgs["first-degree AV block"].pr_interval > 200).all()
    assert np.isnan(ecgs["atrial fibrillation"].pr_interval).all()
    assert (ecgs["normal"].qrs_duration < 115).all()
    for block in ("left bundle branch block", "right bundle branch block"):
        assert (ecgs[block].qrs_duration > 120).all()
    assert np.corrcoef(ecgs["normal"].heart_rate, ecgs["normal"].qt_interval)[0, 1] < -0.8


def test_signals_change_where_the_stated_intervals_say_so():
    ecgs = simulate_ecgs([CONDITIONS["normal"]] * RECORDS, sampling_rate=RATE, seed=4)
    beats = np.stack([mean_beat(ecg) for ecg in ecgs.signal])
    steepness = np.sqrt((np.gradient(beats, axis=2) ** 2).sum(axis=1)) * RATE
    window = steepness[:, round((BEFORE - 0.08) * RATE) : round((BEFORE + 0.12) * RATE)]  # neither P nor T
    widths = [np.ptp(np.flatnonzero(row > 15)) / RATE * 1000 for row in window]
    assert np.median(np.abs(widths - ecgs.qrs_duration)) < 8
