"""Fine-tuning: a classifier on the ECG tower, by the `Trainer` of transformers."""
