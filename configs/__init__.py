"""Experiments: one file each, by data set; `common` has what those of one set share."""
