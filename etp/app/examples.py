"""The ECGs that the page offers to a visitor who has none at hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from etp.samples import Sample, list_samples
from modeling_etp.ecg_files_etp import EcgRecording, read_ecg

SOURCE = "PTB-XL (Wagner et al. 2020, CC BY 4.0), record {record}, {sex}, {age:.0f} years"

SPELLED = {"av": "AV", "t": "T"}  # words of a sample's name that a title spells otherwise


@dataclass(frozen=True)
class Example:
    """An ECG of the gallery.

    Attributes:
        sample: What ships with the package.
    """

    sample: Sample

    @property
    def title(self) -> str:
        """Under its thumbnail, and in the picture."""
        return " ".join(SPELLED.get(word, word) for word in self.sample.name.split("-"))

    @property
    def report(self) -> str:
        """What its archive says of it, in English."""
        return "; ".join(self.sample.statements)

    @property
    def source(self) -> str:
        """Whose it is."""
        return SOURCE.format(record=self.sample.record_id, sex=self.sample.sex, age=self.sample.age)

    def read(self) -> EcgRecording:
        """The recording, always the same."""
        return read_ecg(self.sample.path)


@lru_cache(maxsize=1)
def examples() -> Mapping[str, Example]:
    """Name -> example, in the order of the gallery; the first is shown on an empty page."""
    return MappingProxyType({sample.name: Example(sample) for sample in list_samples()})
