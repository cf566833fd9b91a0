"""What people use around the model: training, evaluation, pictures, search, export and the command line."""

__version__ = "0.1.0"
