"""Align ECGs with reports: `accelerate launch train.py etp-base --data_dir PTB_XL --output_dir RUN`."""

import sys

from etp.training.main import run

if __name__ == "__main__":
    sys.exit(run())
