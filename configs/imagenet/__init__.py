"""Published recipes for ImageNet, for many accelerators."""
