"""Classify ECGs by phrases: `python evaluate_zeroshot.py --model DIR --dataset ptb_xl --data_dir DIR --output results.json`."""

import sys

from etp.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", "zero-shot", *sys.argv[1:]]))
