"""Features of many images: as a file, in memory that does not grow with them, and searched.

Imports: build, config, data, errors, evaluation, locking, parallel, places, processes, reading,
workdir.
"""
