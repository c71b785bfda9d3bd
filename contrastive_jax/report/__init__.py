"""One page of a run: whether it worked, to be seen; no network, bounded in size and time.

Imports: augment, buckets, build, compiling, data, errors, evaluation, methods, parallel,
places, plural, reading, run_images, step, study, workdir.
"""
