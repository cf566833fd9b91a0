"""What the evaluation scripts are made of."""
