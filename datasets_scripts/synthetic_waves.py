"""The Gaussian waves of a heart beat, sinus and ectopic, as tables of times, widths and dipoles.

Rows are waves. Columns are the delay of the peak after the QRS onset, the standard deviations of rise and fall
(seconds), and the dipole at the peak to the left, inferior and posterior (multiplied by Dower's matrix: mV).
P waves count their delay from the P onset. Normal values follow the vectorcardiogram of an adult: the septum turns to
the right and forward, the free wall to the left and down, the base late to the back.
"""

import numpy as np

P_WAVES = np.array(
    [
        [0.042, 0.017, 0.017, 0.03, 0.10, -0.05],  # right atrium
        [0.072, 0.017, 0.019, 0.08, 0.05, 0.05],  # left atrium
    ]
)
NORMAL_QRS = [
    [0.016, 0.007, 0.007, -0.16, -0.05, -0.26],
    [0.040, 0.010, 0.010, 1.20, 0.80, 0.28],
    [0.060, 0.009, 0.010, 0.30, 0.10, 0.75],
    [0.077, 0.009, 0.010, -0.12, -0.18, 0.25],
]
NORMAL_T = [0.300, 0.062, 0.040, 0.32, 0.24, -0.20]
NO_WAVE = [0.150, 0.050, 0.050, 0.0, 0.0, 0.0]

# Four waves of the QRS complex, one of the ST segment, one T wave each.
VENTRICULAR_WAVES = {
    "NORM": [*NORMAL_QRS, NO_WAVE, NORMAL_T],
    # The septum depolarises from the right: no q in I and V6, all slow and to the left, notched; ST and T discordant.
    "CLBBB": [
        [0.022, 0.010, 0.012, 0.30, 0.15, -0.05],
        [0.055, 0.016, 0.018, 1.05, 0.45, 0.95],
        [0.100, 0.018, 0.018, 0.95, 0.20, 1.15],
        [0.135, 0.012, 0.014, 0.15, 0.00, 0.35],
        [0.190, 0.040, 0.070, -0.10, -0.05, -0.16],
        [0.340, 0.065, 0.045, -0.30, -0.12, -0.36],
    ],
    # The right ventricle comes last, to the right and forward: rSR' in V1, broad S in I and V6.
    "CRBBB": [
        [0.016, 0.007, 0.007, -0.16, -0.05, -0.26],
        [0.040, 0.010, 0.010, 1.15, 0.75, 0.35],
        [0.062, 0.009, 0.010, 0.15, 0.10, 0.30],
        [0.100, 0.016, 0.018, -0.55, 0.05, -0.65],
        NO_WAVE,
        [0.325, 0.062, 0.042, 0.30, 0.18, 0.08],
    ],
    # Acute anterior infarction: the septal vector is lost (QS in V1-V2), injury current forward and to the left.
    "AMI": [
        [0.018, 0.008, 0.008, -0.05, -0.05, 0.16],
        [0.040, 0.010, 0.010, 1.00, 0.72, 0.42],
        [0.060, 0.009, 0.010, 0.20, 0.10, 0.70],
        [0.077, 0.009, 0.010, -0.12, -0.15, 0.20],
        [0.150, 0.040, 0.075, 0.13, -0.10, -0.26],
        [0.290, 0.075, 0.045, 0.38, 0.08, -0.36],
    ],
    # Acute inferior infarction: q in II, III, aVF, injury current downwards, reciprocal depression in I and aVL.
    "IMI": [
        [0.018, 0.009, 0.010, 0.02, -0.34, -0.16],
        [0.042, 0.010, 0.010, 1.15, 0.70, 0.25],
        [0.060, 0.009, 0.010, 0.28, 0.12, 0.70],
        [0.077, 0.009, 0.010, -0.10, -0.10, 0.22],
        [0.150, 0.040, 0.075, -0.08, 0.25, 0.07],
        [0.290, 0.075, 0.045, 0.14, 0.42, -0.06],
    ],
    # Subendocardial ischaemia: ST depressed where the QRS points, T flat to negative.
    "ISC_": [
        *NORMAL_QRS,
        [0.155, 0.042, 0.075, -0.16, -0.14, 0.06],
        [0.300, 0.060, 0.040, -0.04, 0.00, -0.06],
    ],
    # Hypertrophy turns the free wall's vector back and to the left; strain: ST and T against it in the lateral leads.
    "LVH": [
        [0.016, 0.007, 0.007, -0.14, -0.04, -0.20],
        [0.044, 0.011, 0.011, 1.15, 0.62, 0.28],
        [0.066, 0.010, 0.011, 0.42, 0.10, 0.62],
        [0.083, 0.009, 0.010, -0.08, -0.10, 0.20],
        [0.150, 0.045, 0.070, -0.09, -0.04, -0.03],
        [0.310, 0.065, 0.040, -0.14, 0.04, -0.22],
    ],
}
# A Gaussian is said to begin and end where it is down to 7%: the P wave of the table then begins at 0, the QRS complex too.
WAVE_REACH = 2.3
QRS_GAIN_OF_HYPERTROPHY = (1.75, 2.3)  # against an average heart

FIRST_QRS_WAVE = len(P_WAVES)
FIRST_REPOLARISATION_WAVE = FIRST_QRS_WAVE + len(NORMAL_QRS)

_NO_P = np.array([NO_WAVE, NO_WAVE])
# Premature beats from the right ventricle (as a left bundle branch block) and from the left (as a right one).
ECTOPIC_WAVES = np.stack(
    [
        np.concatenate(
            [
                _NO_P,
                [
                    [0.030, 0.014, 0.014, 0.25, 0.40, 0.10],
                    [0.070, 0.022, 0.022, 0.75, 1.35, 1.05],
                    [0.115, 0.018, 0.022, 0.50, 0.70, 0.85],
                    NO_WAVE,
                    [0.200, 0.040, 0.060, -0.10, -0.20, -0.20],
                    [0.350, 0.070, 0.050, -0.35, -0.55, -0.55],
                ],
            ]
        ),
        np.concatenate(
            [
                _NO_P,
                [
                    [0.030, 0.014, 0.014, -0.10, -0.25, -0.35],
                    [0.070, 0.022, 0.022, -0.45, -1.05, -1.15],
                    [0.115, 0.018, 0.022, -0.55, -0.60, -0.50],
                    NO_WAVE,
                    [0.200, 0.040, 0.060, 0.08, 0.15, 0.12],
                    [0.350, 0.070, 0.050, 0.35, 0.50, 0.45],
                ],
            ]
        ),
    ]
)


def beat_waves(ventricles: str) -> np.ndarray:
    """P waves and ventricular waves of one sinus beat; shape `(waves, 6)`."""
    return np.concatenate([P_WAVES, VENTRICULAR_WAVES[ventricles]])


def repolarisation_stretch(interval: np.ndarray) -> np.ndarray:
    """Repolarisation shortens with the cycle: a power between Bazett's 1/2 and Fridericia's 1/3."""
    return np.clip(interval, 0.4, 1.3) ** 0.4


def intervals_of_waves(sinus: np.ndarray, interval: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PR, QRS and QT in ms of the beats whose interval (seconds, shape `(records, beats)`) is not NaN."""
    there = sinus[..., 3:].any(axis=2)
    onset = np.where(there, sinus[..., 0] - WAVE_REACH * sinus[..., 1], np.inf)
    end = np.where(there, sinus[..., 0] + WAVE_REACH * sinus[..., 2], -np.inf)
    atrial, ventricular = slice(FIRST_QRS_WAVE), slice(FIRST_QRS_WAVE, FIRST_REPOLARISATION_WAVE)
    qrs_onset = onset[:, ventricular].min(axis=1)
    pr = qrs_onset - onset[:, atrial].min(axis=1)
    qt = np.nanmedian(repolarisation_stretch(interval), axis=1) * end[:, -1] - qrs_onset
    qrs = end[:, ventricular].max(axis=1) - qrs_onset
    return 1000 * np.where(np.isfinite(pr), pr, np.nan), 1000 * qrs, 1000 * qt
