"""Several processes, their threads and their memory."""
