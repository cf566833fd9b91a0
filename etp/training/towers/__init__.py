"""The two encoders that a run trains or keeps frozen, and their features."""
