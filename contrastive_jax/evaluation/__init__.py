"""What a frozen encoder is worth: features, protocols that score them, pictures.

Imports: augment, buckets, build, catalogue, compiling, config, data, declared, errors,
export_names, keys, limits, losses, methods, models, optim, options, parallel, paths, places,
plural, processes, reading, run_images, sections, unread, weights, workdir.
"""
