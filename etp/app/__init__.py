"""The web page around a model: what `etp app` shows."""
