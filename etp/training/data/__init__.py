"""Records, signals, batches and augmentation of a training run."""
