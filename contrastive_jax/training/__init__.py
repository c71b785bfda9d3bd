"""Pre-training: the loop, and what is seen while it goes on.

Imports: augment, buckets, build, compiling, config, data, errors, evaluation, export_names, keys,
limits, methods, models, parallel, places, plan, plural, processes, reading, run_images, step,
unread, weights, workdir.
"""
