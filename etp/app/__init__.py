"""The web page around a model: what `app.py` shows."""
