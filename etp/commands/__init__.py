"""One module per command of `etp`, and what they share; frameworks are imported inside their functions."""
