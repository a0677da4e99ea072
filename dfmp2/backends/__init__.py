"""The arithmetic of the pipeline, by whoever does it."""
