"""Weights to start from: a file in a known layout, or another run; the backbone alone is taken.

What they do not say is decided by their layout and told; `matching` compares them with a run.
"""

import collections
import contextlib
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from contrastive_jax import build, catalogue, errors, reading
from contrastive_jax.buckets import address
from contrastive_jax.weights import (
  convert,
  facts,
  layouts,
  npz_file,
  of_run,
  own,
  safetensors_file,
  tree,
  vit_names,
)
from contrastive_jax.workdir import checkpoint_files, digests, loading

_ENDINGS = (".safetensors", ".npz")
_TENSORFLOWS = re.compile(r".+\.(index|data-\d+-of-\d+|pb)", re.DOTALL)
_FLOATS = ("float32", "float16", "bfloat16", "float64")


class Weights(NamedTuple):
  """A backbone's weights, and what is known of them.

  Attributes:
    source: the file or the workdir.
    layout: who names arrays so; "run" for a workdir.
    digest: of the file; of a workdir, its step.
    arrays: float32 by our dotted names below the backbone.
    origin: the file's names of them.
    model: options of the section `model`, with its "name".
    unused: what of the file was not taken, each kind once: {what: names}.
    preparation: of images: "normalize", and of our own exports more.
  """

  source: str
  layout: str
  digest: str
  arrays: dict[str, np.ndarray]
  origin: dict[str, str]
  model: dict[str, Any]
  unused: dict[str, list[str]]
  preparation: dict[str, Any]

  @property
  def taken(self) -> int:
    """How many arrays of the file were taken: query, key and value are often one there."""
    return len(set(self.origin.values()))

  def said(self) -> str:
    """Returns one line on what was taken and what was not."""
    model = ", ".join(f"{k} {v}" for k, v in self.model.items() if k in ("stem", "padding"))
    line = f"weights of {self.source} (layout {self.layout}): {self.model['name']}"
    line += f"{f', {model}' if model else ''}; {self.taken} arrays taken"
    rest = [f"{len(names)} of {what.removeprefix('of ')} "
            f"({names[0]}{', ...' if len(names) > 1 else ''})"
            for what, names in self.unused.items()]  # fmt: skip
    return line + (f"; not taken: {', '.join(rest)}" if rest else "")


def read(path: str, layout: str = "", step: int | str | None = None) -> Weights:
  """Returns the weights of a file or of a run.

  Args:
    path: of a .safetensors or .npz file, or of a workdir, which may be in a bucket.
    layout: of a file, one of `layouts.NAMES`; "": found by its names.
    step: of a run's checkpoint; "best": by kNN; None: the newest.

  Raises:
    UserError: there is none, it is damaged, or of no network that there is here.
    ReadFailed: it cannot be read for now.
  """
  layouts.named(layout)
  path = address.checked(path, "init.path")
  if address.is_bucket(path) and path.endswith(_ENDINGS):
    raise errors.UserError(f"init.path {path} is a file in a bucket; copy it here, and give that")
  if address.is_bucket(path) or os.path.isdir(path):
    _check_folder(path)
    if layout:
      raise errors.UserError(
        f"init.layout {layout} is of a file, and {path} is a run; leave it out"
      )
    with _naming(path):
      return _of_run(path, step)
  if step is not None:
    raise errors.UserError(f"init.step {step} is of a run, and {path} is a file; leave it out")
  return _of_file(path, layout)


def _check_folder(path: str) -> None:
  """Raises `UserError` for a local folder that has a file of weights and is no run."""
  names = set() if address.is_bucket(path) else set(reading.names_in(pathlib.Path(path)))
  if checkpoint_files.root(path).name in names:
    return
  _check_tensorflow(path, names)
  files = sorted(name for name in names if name.endswith(_ENDINGS))
  if files:
    raise errors.UserError(
      f"init.path {path} is a folder of weights and not of a run; give the file: "
      f"{os.path.join(path, files[0])}"
    )


def _check_tensorflow(path: str, names: Iterable[str]) -> None:
  """Raises `UserError` if one of these names is of a checkpoint or SavedModel."""
  if any(map(_TENSORFLOWS.fullmatch, names)):
    raise errors.UserError(
      f"init.path {path} is TensorFlow's, which is not read here; where it is installed make a "
      ".npz of it (docs: weights)"
    )


def _of_run(path: str, step: int | str | None) -> Weights:
  run = loading.load_run(path, step)
  file = os.path.join(path, "config.json")
  build.check_stored(run.config, run.params, run.stats, file)
  arrays = tree.flat(run.params["backbone"], run.stats.get("backbone", {}))
  heads = sorted({*run.params, *run.stats} - {"backbone"})
  unused = {"heads": heads} if heads else {}
  preparation = of_run.preparation_of(run.config)
  model = of_run.model_of(run.config)
  origin = {name: name for name in arrays}
  return Weights(path, "run", f"step {run.step}", arrays, origin, model, unused, preparation)


def _of_file(path: str, layout: str) -> Weights:
  file = pathlib.Path(path)
  index = f"{path}.index"  # of a checkpoint, named as TensorFlow does
  _check_tensorflow(path, [file.name, *([index] if os.path.exists(index) else [])])
  if file.suffix in convert.ENDINGS:
    raise errors.UserError(
      f"{path} may hold programs, which are not read here; first: contrastive_jax convert {path}"
    )
  content = reading.content(file)
  if content is None:
    raise errors.UserError(
      f"init.path {path} is not there; give a .safetensors or .npz file, or the workdir of a run"
    )
  metadata: dict[str, str] = {}
  if content[:4] == b"PK\x03\x04" or file.suffix == ".npz":
    arrays = npz_file.parsed(content, path)
  else:
    arrays, metadata = safetensors_file.parsed(content, path)
  known = own.facts(metadata, path)
  with _naming(path):
    found, taken = layouts.found(arrays, layout or known.get("layout", ""))
    arrays = {name: _plain(array, taken.origin[name]) for name, array in taken.arrays.items()}
    _check_variances(arrays, taken.origin)
    arrays = vit_names.without_fixed_positions(arrays)
    heads = known and facts.heads_of(known["model"]["name"])
    model = _model(arrays, found, taken, heads or None)
  if known:
    model |= {key: value for key, value in known["model"].items() if key in of_run.COMPARED}
  elif found.name == "own":
    raise errors.UserError(
      f"{path} is a part of a checkpoint, which does not say how its network pads; give the "
      "workdir of that run, or what contrastive_jax export makes of it"
    )
  unused = collections.defaultdict(list)
  for name, what in sorted(taken.unused.items()):
    unused[what].append(name)
  preparation = known.get("preparation") or {"normalize": found.normalize}
  return Weights(
    path, found.name, digests.of(content), arrays, taken.origin, model, dict(unused), preparation
  )


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
  """Puts the name of a file before what is wrong with it."""
  try:
    yield
  except errors.UserError as error:
    raise errors.UserError(f"init.path {path}: {error}") from error


def _plain(array: np.ndarray, name: str) -> np.ndarray:
  """Returns float32 in order. Raises `UserError` if it is none, or not finite."""
  if array.dtype.name not in _FLOATS:
    raise errors.UserError(f"{name} is {array.dtype.name}; weights are {', '.join(_FLOATS)}")
  found = np.ascontiguousarray(array, dtype=np.float32)
  if not np.isfinite(found).all():
    raise errors.UserError(f"{name} has numbers that are not finite; get it again")
  return found


def _check_variances(arrays: dict[str, np.ndarray], origin: dict[str, str]) -> None:
  """Raises `UserError` for a variance below zero, whose root no batch norm has."""
  for name, array in arrays.items():
    if name.startswith("stats.") and name.endswith(".var") and (array < 0).any():
      raise errors.UserError(f"{origin[name]} has variances below 0; get it again")


def _model(arrays: dict, layout: layouts.Layout, taken, heads: int | None) -> dict[str, Any]:
  """Returns the section `model` of the network whose weights these are."""
  shapes = {name: array.shape for name, array in arrays.items()}
  (width, *_) = (*shapes.get("params.class_token", ()), 0)
  model = facts.of(shapes, heads or layout.heads.get(width))
  if catalogue.family_of(model["name"]) == "vit":
    return model | {key: value for key, value in layout.options.items() if key in model}
  options = dict(layout.options) | taken.options
  if model["stem"] == "cifar" and "stem" not in options:
    if not layout.small_stem:
      raise errors.UserError(
        "a 3 x 3 stem, and nothing tells its padding; say whose it is: "
        "--config.init.layout=mmselfsup (padding 1, as nearly everywhere) or solo_learn (padding 2)"
      )
    options["stem"] = layout.small_stem
  return model | options


def given(weights: Weights) -> PyTree:
  """Returns {"params", "batch_stats"} of the backbone, to stand in for what is drawn."""
  params, stats = tree.nested(weights.arrays)
  found = {"params": {"backbone": params}}
  return found | ({"batch_stats": {"backbone": stats}} if jax.tree.leaves(stats) else {})
