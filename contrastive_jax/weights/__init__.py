"""Weights that come from elsewhere and go there: layouts of other projects, files, exports.

Imports: augment, buckets, build, catalogue, config, errors, export_names, limits, models,
numpy_pickle, options, places, plural, reading, run_images, stored, workdir.
"""
