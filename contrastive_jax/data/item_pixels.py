"""What an object gives for an image, as pixels: arrays in any usual order, pictures of Pillow."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from contrastive_jax import errors
from contrastive_jax.data import images as decoding
from contrastive_jax.data import pixels

_MOST_CHANNELS = 64


def read(image: Any, name: str, form: pixels.Form | None = None) -> np.ndarray:
  """Returns uint8 [h, w, 3], or an image in a form that has a range of values.

  Args:
    image: an array or a picture of Pillow.
    name: how an error calls it.
    form: None: values have 8 bits, or are floats from 0 to 1.

  Raises:
    UserError: it is no image.
    Unreadable: it has another number of channels than the form.
  """
  return _rgb(image, name) if form is None else _formed(image, name, form)


def tell_of_16_bits(image: Any, name: str) -> None:
  """Says in what range the values of a picture or a file of 16 bits are taken."""
  with contextlib.suppress(Exception):  # told where it is decoded
    if isinstance(image, str | os.PathLike):
      with open(image, "rb") as file:
        image = file.read()
    if isinstance(image, bytes):
      image = decoding.open_header(image)
    if getattr(image, "mode", "") in decoding.SIXTEEN_BITS:
      logging.getLogger(__name__).warning(
        "warning: %s has 16 bits, and values run from 0 to 65,535 unless data.value_range names "
        "others: of scans of 12 bits, say, set --config.data.value_range=(0,4095)",
        name,
      )


def _rgb(image: Any, name: str) -> np.ndarray:
  """Returns uint8 [h, w, 3]. Raises UserError: it is no image."""
  if hasattr(image, "convert") and hasattr(image, "mode"):  # Pillow's
    return decoding.of_pillow(image)
  array = _height_first(image, name, (1, 3))
  if array.dtype.kind == "f":
    _check_unit(array, name)
    array = np.rint(array * 255).astype(np.uint8)
  _check_bytes(array, name)
  return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else np.ascontiguousarray(array)


def _formed(image: Any, name: str, form: pixels.Form) -> np.ndarray:
  """Returns an image in a form, but for a picture of 8 bits, which is as `_rgb` has it.

  Raises UserError: it is no image.
  """
  if hasattr(image, "convert") and hasattr(image, "mode"):  # Pillow's
    if image.mode not in (*decoding.SIXTEEN_BITS, "F"):
      return decoding.of_pillow(image)
    return pixels.formed(decoding.array(image), form, name)
  found = _height_first(image, name, (1, 3, form.channels))
  if found.dtype.kind not in "biuf":
    raise errors.UserError(f"{name}: {found.dtype} are no pixels; give numbers")
  if found.dtype.kind == "f" and not form.value_range:
    _check_unit(found, name)
    form = dataclasses.replace(form, value_range=(0.0, 1.0))
  elif not form.value_range:
    _check_bytes(found, name)
  return pixels.formed(found, form, name)


def _check_unit(array: np.ndarray, name: str) -> None:
  """Raises UserError unless floats are within 0 to 1."""
  if not (array.min() >= 0 and array.max() <= 1):
    raise errors.UserError(
      f"{name}: float pixels from {array.min():.4g} to {array.max():.4g} are outside 0..1; leave "
      "out what normalises them, give uint8, or set data.value_range"
    )


def _check_bytes(array: np.ndarray, name: str) -> None:
  """Raises UserError unless values have 8 bits."""
  if array.dtype != np.uint8:
    raise errors.UserError(
      f"{name}: pixels are {array.dtype}; give uint8, or float in 0..1, or set data.value_range"
    )


def _height_first(image: Any, name: str, channels: Sequence[int]) -> np.ndarray:
  """Returns an array [h, w, c] of one [h, w] or [c, h, w]. Raises UserError: it is no image."""
  array = np.asarray(image)
  if array.ndim == 2:
    array = array[..., None]
  if array.ndim == 3 and array.shape[0] in channels and array.shape[2] not in channels:
    array = array.transpose(1, 2, 0)
  if array.ndim != 3 or array.shape[2] not in channels or not array.size:
    count = min(array.shape[0], array.shape[-1]) if array.ndim == 3 else 0
    raise errors.UserError(
      f"{name}: {array.dtype} {list(array.shape)} is no image; give [h, w, 3], [h, w] or [3, h, w]"
      f"{f', or set data.channels to {count}' if 1 < count <= _MOST_CHANNELS else ''}"
    )
  return array
