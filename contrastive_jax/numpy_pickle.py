"""Pickles of NumPy's arrays in containers, read without calling anything that a file names.

An unpickler calls whatever a pickle names. This one knows the few names that arrays need, and
stand-ins for the tuples of BYOL's released checkpoints; any other name ends the reading.
"""

import collections
import io
import pickle
from typing import Any, BinaryIO

import numpy as np


class Refused(ValueError):
  """A pickle names what is no part of an array."""


class _Left(tuple):
  """Stands for a tuple of another project, e.g. the state of an optimiser: what it held."""

  def __new__(cls, *values: Any):
    return super().__new__(cls, values)

  def __setstate__(self, _: Any) -> None:
    pass


def _experiment_state(*values: Any) -> dict[str, Any]:
  """Stands for BYOL's `_ExperimentState` (byol_experiment.py): its fields by name."""
  names = ("online_params", "target_params", "online_state", "target_state", "opt_state")
  return dict(zip(names, values, strict=False))


def _mapping(*values: Any) -> Any:
  """Stands for Haiku's immutable mapping: what it was made of."""
  return values[0] if values else {}


class _OfArrays:
  """Stands for `numpy.ndarray`, which a pickle of arrays names and does not call."""


class _Array(np.ndarray):
  """An array whose content a pickle sets, of numbers alone."""

  def __setstate__(self, state: tuple) -> None:
    version, shape, kind, by_column, content = state
    super().__setstate__((version, shape, _plain(kind), by_column, content))


def _array(kind: type, shape: tuple, typecode: bytes) -> np.ndarray:
  """Stands for NumPy's `_reconstruct`, for plain arrays alone; the content is set afterwards."""
  if kind is not _OfArrays:
    raise Refused(f"an array of {getattr(kind, '__name__', kind)}")
  return np.ndarray.__new__(_Array, (0,), "b")


def _scalar(kind: np.dtype, content: bytes = b"") -> np.generic:
  """Stands for NumPy's `scalar`."""
  return np.frombuffer(content, _plain(kind), 1)[0]


def _frombuffer(
  content: Any, kind: np.dtype, shape: tuple, order: str, axes: tuple | None = None
) -> np.ndarray:
  """Stands for NumPy's `_frombuffer`, of pickles of protocol 5; order K: that of `axes`."""
  found = np.frombuffer(content, _plain(kind)).view(_Array)
  if order == "K" and axes is not None:
    return found.reshape(shape).transpose(axes)
  return found.reshape(shape, order=order)


def _dtype(kind: str, *_: Any) -> np.dtype:
  """Stands for `numpy.dtype`, of numbers alone."""
  return np.dtype(_plain(np.dtype(kind)), copy=True)  # what follows in the pickle changes it


def _plain(kind: np.dtype) -> np.dtype:
  """Returns a type of numbers, made anew: a pickle may give its own parts larger than an array."""
  if kind.hasobject or kind.subdtype or kind.names or kind.kind not in "biufc":
    raise Refused(f"an array of type {kind}")
  return np.dtype(kind.str)


def _bytes(text: str, coding: str) -> bytes:
  """Stands for `codecs.encode`, by which protocols before 3 write bytes."""
  if coding != "latin1":
    raise Refused(f"bytes as {coding}")
  return text.encode("latin1")


_NAMES = {
  ("_codecs", "encode"): _bytes,
  ("collections", "OrderedDict"): collections.OrderedDict,
  ("numpy", "ndarray"): _OfArrays,
  ("numpy", "dtype"): _dtype,
  ("byol.byol_experiment", "_ExperimentState"): _experiment_state,
  ("byol_experiment", "_ExperimentState"): _experiment_state,
}
for _core in ("numpy.core", "numpy._core"):
  _NAMES[f"{_core}.multiarray", "_reconstruct"] = _array
  _NAMES[f"{_core}.multiarray", "scalar"] = _scalar
  _NAMES[f"{_core}.numeric", "_frombuffer"] = _frombuffer
_MAPPINGS = ("FlatMapping", "FlatMap", "frozendict", "to_immutable_dict")
_LEFT = ("optax.", "byol.utils.optimizers", "haiku._src")


class _Unpickler(pickle.Unpickler):
  def find_class(self, module: str, name: str) -> Any:
    if (module, name) in _NAMES:
      return _NAMES[module, name]
    if module.startswith("haiku._src") and name in _MAPPINGS:
      return _mapping
    if module.startswith(_LEFT) and name.isidentifier():
      return _Left
    raise Refused(f"GLOBAL {module}.{name}")

  def persistent_load(self, _: Any) -> Any:
    raise Refused("an object outside the file")


def load(file: BinaryIO, encoding: str = "ASCII") -> Any:
  """Returns what the first pickle of a file holds. Raises `Refused`, or what pickle raises.

  Python 2 wrote the bytes of arrays as text, which is "latin1".
  """
  read = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
  return _Unpickler(read, encoding=encoding).load()
