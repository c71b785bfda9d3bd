"""Studies: many runs from one config, planned, run, scored, and shown as a table and a picture.

A study names a base config, axes of changes to it, and seeds; each combination is a cell, a run in
a folder of its own. What runs cells starts processes and loads no JAX itself.

Imports: buckets, catalogue, checkpoint_names, config, config_files, data, errors, evaluation,
export_names, locking, metric_lines, options, paths, places, plural, reading, stored.
"""
