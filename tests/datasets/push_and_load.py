"""python push_and_load.py ROOT CACHE: push an archive to the Hub of HF_ENDPOINT, load it again, compare."""

import sys
from pathlib import Path

import datasets

from etp.archive_export import push_archive
from etp.archives import open_archive

root, cache = map(Path, sys.argv[1:])
datasets.disable_progress_bars()
splits = open_archive("ptb_xl", root, cache_dir=cache)
print(push_archive(splits, "user/ptb-xl", name="ptb_xl", config="100hz"))
loaded = datasets.load_dataset("user/ptb-xl", "100hz", cache_dir=str(cache / "loaded"))
assert list(loaded) == list(splits)
for split in splits:
    assert loaded[split].features == splits[split].features
    assert list(loaded[split]) == list(splits[split])
