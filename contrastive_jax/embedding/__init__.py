"""Features of many images: as a file, in memory that does not grow with them, and searched.

Imports: buckets, config, data, errors, evaluation, locking, parallel, paths, places, plural,
processes, reading, run_images, workdir.
"""
