"""Datasets builders: ECG archives on disk to rows of signal, report, statements and labels."""
