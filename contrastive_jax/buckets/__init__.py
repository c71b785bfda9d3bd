"""Runs and images in buckets, `gs://BUCKET/PATH` and `s3://BUCKET/PATH`.

A run works in a folder of this host, and the bucket holds a copy of it: what counts there is what a
marker object names. No step relies on renaming, on listings that a client keeps, or on folders,
which a bucket does not have. Importing this loads neither gcsfs nor s3fs.

Imports: checkpoint_names, errors, export_names, locking, paths, plural, slow.
"""
