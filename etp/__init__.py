"""Training, evaluation, explanation, search, export, the app and the command line."""
