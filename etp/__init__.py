"""What people use around the model: training, evaluation, pictures, search, export and the command line."""
