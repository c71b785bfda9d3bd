"""Runs on the built-in images: minutes on a CPU, no files."""
