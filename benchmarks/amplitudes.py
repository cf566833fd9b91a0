"""python benchmarks/amplitudes.py FOLDER_OF_WFDB_RECORDS … [--every 10]

Measure the two amplitudes by which records are refused, and what the limits make of the same records with a wrong gain.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from modeling_etp import read_ecg
from modeling_etp.ecg_checks_etp import beat_and_reach, check_amplitude, unusual_amplitude

FACTORS = {"as they are": 1, "5": 5, "10": 10, "25": 25, "1000": 1000, "1/5": 0.2, "1/10": 0.1, "1/25": 0.04}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[2])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1, help="read one record of so many")
    args = parser.parse_args()
    headers = [header for folder in args.folders for header in sorted(folder.rglob("*.hea"))[:: args.every]]
    amplitudes, refused, noted = [], dict.fromkeys(FACTORS, 0), dict.fromkeys(FACTORS, 0)
    for header in headers:
        recording = read_ecg(header)
        signal, rate = recording.signal, recording.sampling_rate
        amplitudes.append(beat_and_reach(signal, rate))
        for name, factor in FACTORS.items():
            is_refused = _is_refused(signal * np.float32(factor), rate)
            refused[name] += is_refused
            noted[name] += is_refused or unusual_amplitude(signal * np.float32(factor), rate) is not None
    low, middle, high = np.percentile(amplitudes, [0, 50, 100], axis=0).round(3).tolist()
    print(
        json.dumps(
            {
                "records": len(headers),
                "beat in mV, lowest, median, highest": [low[0], middle[0], high[0]],
                "reach in mV, lowest, median, highest": [low[1], middle[1], high[1]],
                "refused, by gain": {name: round(count / len(headers), 5) for name, count in refused.items()},
                "refused or noted, by gain": {name: round(count / len(headers), 5) for name, count in noted.items()},
            },
            indent=1,
        )
    )


def _is_refused(signal: np.ndarray, sampling_rate: float) -> bool:
    try:
        check_amplitude(signal.min(axis=1)[None], signal.max(axis=1)[None], signal[None], ["record"], sampling_rate)
    except ValueError:
        return True
    return False


if __name__ == "__main__":
    main()
