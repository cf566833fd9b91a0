"""Metrics, thresholds, calibration and labels: what evaluation and fine-tuning share."""
