"""The ECGs that the page offers to a visitor who has none at hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from datasets_scripts.synthetic_ecg import CONDITIONS, simulate_ecgs
from modeling_etp.ecg_files_etp import EcgRecording

RATE, SEED = 500, 1


@dataclass(frozen=True)
class Example:
    """An ECG of the gallery.

    Attributes:
        title: Under its thumbnail, and in the picture.
        report: What a cardiologist wrote about it; empty where nobody did.
        source: Whose it is.
    """

    title: str
    report: str
    source: str

    def read(self) -> EcgRecording:
        """The recording, always the same."""
        ecgs = simulate_ecgs([CONDITIONS[self.title]], sampling_rate=RATE, seed=SEED)
        return EcgRecording(ecgs.signal[0], RATE, ecgs.lead_names)


@lru_cache(maxsize=1)
def examples() -> Mapping[str, Example]:
    """Name -> example, in the order of the gallery; the first is shown on an empty page."""
    source = "Synthetic, with no patient in it"
    return MappingProxyType({name: Example(name, "", source) for name in CONDITIONS})
