"""PTB-XL: 21,799 clinical 12-lead ECGs of 10 s with reports and 71 SCP statements, as a `datasets` builder."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import datasets
import pyarrow as pa
from datasets import List, Value
from datasets.builder import Key

from datasets_scripts.archive_builder import (
    ArchiveConfig,
    EcgArchiveBuilder,
    check_complete,
    read_ahead,
    row_ranges,
    signal_array,
)
from datasets_scripts.archive_tables import SPLITS
from datasets_scripts.download import fetch_listed_files
from datasets_scripts.ecg_records import read_equal_records
from datasets_scripts.ptb_xl_labels import TASK_CLASSES
from datasets_scripts.ptb_xl_reports import report_statements
from datasets_scripts.ptb_xl_table import CURE, TABLE_FILES, read_table
from datasets_scripts.record_builder import label_feature, row_features

_VERSION = datasets.Version("1.0.3")  # of the archive; the code's part of the cache key is its hash
URL = "https://physionet.org/files/ptb-xl/1.0.3/"
_SECONDS = 10


class PtbXl(EcgArchiveBuilder):
    """Builder of PTB-XL; configs `100hz` (default) and `500hz`."""

    BUILDER_CONFIGS = [
        ArchiveConfig(name="100hz", version=_VERSION, description="12 x 1000 samples at 100 Hz"),
        ArchiveConfig(name="500hz", version=_VERSION, description="12 x 5000 samples at 500 Hz"),
    ]
    DEFAULT_CONFIG_NAME = "100hz"
    TABLE_FILES = TABLE_FILES

    @property
    def sampling_rate(self) -> int:
        """Of this config, in Hz."""
        return int(self.config.name.removesuffix("hz"))

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="PTB-XL 1.0.3: 12-lead ECGs with reports, English statements and labels for six tasks.",
            features=row_features(
                {
                    **{task: label_feature(classes) for task, classes in TASK_CLASSES.items()},
                    "scp_codes": List({"code": Value("string"), "likelihood": Value("float32")}),
                },
                num_samples=_SECONDS * self.sampling_rate,
            ),
            homepage="https://physionet.org/content/ptb-xl/1.0.3/",
            license="CC-BY-4.0",
            citation="Wagner P et al. PTB-XL, a large publicly available electrocardiography dataset. "
            "Scientific Data 7, 154 (2020). https://doi.org/10.1038/s41597-020-0495-6",
        )

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        root = self._archive_folder()
        check_complete(root, TABLE_FILES, cure=CURE)
        table = read_table(root, "filename_lr" if self.sampling_rate == 100 else "filename_hr")
        if self.config.on_error == "raise":
            files = table["file"].to_pylist()
            check_complete(root, (f"{file}{end}" for file in files for end in (".hea", ".dat")), cure=CURE)
        generators = []
        for split in SPLITS:
            rows = table.filter(pa.compute.equal(table["split"], split))
            arguments = {"ranges": row_ranges(len(rows)), "table": rows, "root": str(root), "split": split}
            if len(rows):  # `datasets` can't open a split without rows, as a part of the archive may have
                generators.append(datasets.SplitGenerator(name=split, gen_kwargs=arguments))
        return generators

    def _fetch(self, folder: Path) -> None:
        records = "records100/" if self.sampling_rate == 100 else "records500/"
        fetch_listed_files(
            self.config.url or URL, folder, wanted=lambda path: path in TABLE_FILES or path.startswith(records)
        )

    def _generate_tables(
        self, ranges: list[tuple[int, int]], table: pa.Table, root: str, split: str
    ) -> Iterator[tuple[Key, pa.Table]]:
        def read(start: int, stop: int) -> pa.Table:
            rows = table.slice(start, stop - start)
            headers = [f"{root}/{file}.hea" for file in rows["file"].to_pylist()]
            rate = self.sampling_rate
            signals, errors = read_equal_records(headers, sampling_rate=rate, num_samples=_SECONDS * rate)
            kept = self._keep_good(rows, errors, split, start)
            if kept is not None:
                rows, signals = rows.take(kept), signals[kept]
            return self._with_signals(rows, signals)

        for index, rows in read_ahead(ranges, read):
            if len(rows):
                yield Key(index, 0), rows

    def _with_signals(self, rows: pa.Table, signals) -> pa.Table:
        columns = {
            "ecg": signal_array(signals),
            "sampling_rate": pa.array([self.sampling_rate] * len(rows), pa.int32()),
            "statements": pa.array(map(_statements, rows["report"].to_pylist()), pa.list_(pa.string())),
        }
        for name, values in columns.items():
            rows = rows.append_column(name, values)
        return rows.select(list(self.info.features))


@lru_cache(maxsize=1 << 14)  # 21,799 records have 9,881 different reports
def _statements(report: str) -> list[str]:
    return report_statements(report)
