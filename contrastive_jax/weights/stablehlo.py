"""A network as StableHLO, by `jax.export`: one file for CPUs, GPUs and TPUs, any batch.

It needs `flatbuffers`, which JAX does not bring (extra `stablehlo`). Which versions of JAX read
such a file is told in docs/weights.md.
"""

import importlib
from collections.abc import Callable

import jax
import jax.numpy as jnp

from contrastive_jax import errors

PLATFORMS = ("cpu", "cuda", "tpu")


def check_package() -> None:
  """Raises `UserError` where flatbuffers is not installed, which a run asks at its start."""
  try:
    importlib.import_module("flatbuffers")
  except ImportError as error:
    raise errors.UserError(
      "an export as stablehlo needs flatbuffers, which is not installed; pip install "
      "'contrastive_jax[stablehlo]'"
    ) from error


def content(forward: Callable, size_px: int, dtype: str, batch: int | None) -> bytes:
  """Returns the file of `forward`, a function of images [B, size_px, size_px, 3].

  Args:
    forward: closes over its weights.
    size_px: side of the images.
    dtype: of the images, "float32" or "uint8".
    batch: images at a time; None: any number.

  Raises:
    UserError: flatbuffers is not installed.
  """
  check_package()
  count = jax.export.symbolic_shape("batch")[0] if batch is None else batch
  images = jax.ShapeDtypeStruct((count, size_px, size_px, 3), jnp.dtype(dtype))
  made = jax.export.export(jax.jit(forward), platforms=PLATFORMS)(images)
  return bytes(made.serialize())
