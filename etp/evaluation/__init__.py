"""Evaluation protocols and the metrics, thresholds and tables they call."""
