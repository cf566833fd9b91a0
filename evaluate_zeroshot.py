"""Classify ECGs by phrases: `python evaluate_zeroshot.py --model DIR --dataset ptb_xl --data_dir DIR --output results.json`."""

from etp.evaluation.zero_shot import run

if __name__ == "__main__":
    run()
