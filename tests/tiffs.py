"""Images as files of several kinds, TIFFs among them, and what they are decoded to."""

import io

import numpy as np
import pytest
from PIL import Image

from contrastive_jax.data import images, pixels


def encoded(array, kind="PNG"):
  buffer = io.BytesIO()
  if kind == "npy":
    np.save(buffer, array)
  else:
    Image.fromarray(array).save(buffer, kind)
  return buffer.getvalue()


def tiff(array, **options):
  tifffile = pytest.importorskip("tifffile", reason="the extra scans is not installed")
  buffer = io.BytesIO()
  tifffile.imwrite(buffer, array, **options)
  return buffer.getvalue()


def decoded(content, size_px=None, **form):
  return images.decode(content, "x", 64, size_px, pixels.Form(**form))
