"""The backbone of a run as a folder for other programs: whole, or not there at all.

A folder is written beside its place under another name, and renamed when all of it is on the disk.
One that an export left there before is replaced.
"""

import json
import logging
import os
import pathlib
import shlex
import shutil
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from contrastive_jax import build, errors, models, paths, places, reading, run_images, stored
from contrastive_jax import config as config_lib
from contrastive_jax.buckets import address
from contrastive_jax.weights import (
  card,
  onnx_file,
  own,
  preparation,
  resnet_names,
  safetensors_file,
  stablehlo,
  start,
  tree,
  twin,
  vit_names,
)
from contrastive_jax.workdir import checkpoint_files, loading

FORMATS = ("safetensors", "own", "onnx", "stablehlo")
PREPARATIONS = ("out", "in")
_PREPARATION = "preprocessing.json"  # by which a folder is known as an export
_FARTHEST = 1e-4  # of features of ONNX Runtime from those of the network, times the largest


class _How(NamedTuple):
  """The step of a checkpoint, whether bytes are standardised inside, and images at a time."""

  step: int
  prepared: bool
  batch: int | None


class Backbone(NamedTuple):
  """What is exported.

  Attributes:
    arrays: by our dotted names below the backbone.
    model: of `start.model_of`.
    preparation: of `start.preparation_of`.
  """

  arrays: dict[str, np.ndarray]
  model: dict[str, Any]
  preparation: dict[str, Any]

  def forward(self, x):
    """Returns h [B, F] of standardised images [B, H, W, 3]."""
    params, stats = tree.nested(self.arrays)
    net = models.backbone(**self.model)
    return net.apply({"params": params, "batch_stats": stats}, x, train=False)["h"]


def run(
  workdir: str,
  form: str,
  *,
  out: str | None = None,
  step: int | str | None = None,
  prepare: str = "out",
  batch: int | None = None,
) -> pathlib.Path:
  """Exports the backbone of a run; returns the folder.

  Args:
    workdir: of the run, local or in a bucket.
    form: one of `FORMATS`.
    out: the folder; None: WORKDIR/export/FORM.
    step: of the checkpoint; "best": by kNN; None: the newest.
    prepare: "in": an ONNX or StableHLO network takes bytes and standardises them itself.
    batch: images at a time of a StableHLO network; None: any number.

  Raises:
    UserError: the run's network has no such form; the place is not one; a package is missing.
    SaveFailed: it could not be written.
  """
  check_form(form, prepare, batch)
  folder = _folder(workdir, form, out)
  loaded = loading.load_run(workdir, step)
  file = os.path.join(workdir, "config.json")
  build.check_stored(loaded.config, loaded.params, loaded.stats, file)
  check_network(loaded.config, form)
  arrays = tree.flat(loaded.params["backbone"], loaded.stats.get("backbone", {}))
  backbone = Backbone(
    {name: np.asarray(array) for name, array in arrays.items()},
    start.model_of(loaded.config),
    start.preparation_of(loaded.config),
  )
  about = {
    "config": loaded.config,
    "step": loaded.step,
    "format": form,
    "command": _command(workdir, form, step, prepare, batch),
    "images": _images(workdir),
    "knn": None if address.is_bucket(workdir) else _knn(workdir, loaded.step),
  }
  results = [] if address.is_bucket(workdir) else card.results_of(pathlib.Path(workdir))
  files = contents(backbone, form, about, results, prepare, batch)
  check_place(folder)
  write(folder, files)
  logging.getLogger(__name__).info(
    "step %d of %s is exported to %s: %s", loaded.step, workdir, folder, ", ".join(files)
  )
  return folder


def check_form(form: str, prepare: str = "out", batch: int | None = None) -> None:
  """Raises `UserError` unless there is such a form."""
  if form not in FORMATS:
    raise errors.UserError(f"--format={form} is unknown; use one of {', '.join(FORMATS)}")
  if prepare not in PREPARATIONS:
    raise errors.UserError(f"--preprocessing={prepare} is unknown; use in or out")
  if prepare == "in" and form not in ("onnx", "stablehlo"):
    raise errors.UserError(
      f"--preprocessing=in is of onnx and stablehlo; {form} is weights alone, with "
      f"{_PREPARATION} beside them"
    )

  if batch is not None and (batch < 1 or form != "stablehlo"):
    raise errors.UserError(
      f"--batch={batch} is a number from 1 on, of stablehlo alone; leave it out for any batch"
    )


def check_network(config: ConfigDict, form: str) -> None:
  """Raises `UserError` where a run's network has no such form."""
  run_images.check_rgb(config, "an export")
  why = twin.missing(start.model_of(config)) if form == "safetensors" else ""
  if why:
    raise errors.UserError(
      f"torchvision and timm have no network like this one ({why}); --format=own is for this "
      "package, --format=onnx and --format=stablehlo are whole networks"
    )


def contents(
  backbone: Backbone,
  form: str,
  about: Mapping[str, Any],
  results: list[dict[str, Any]],
  prepare: str = "out",
  batch: int | None = None,
) -> dict[str, bytes]:
  """Returns the files of an export by name."""
  found = preparation.facts(backbone.preparation, backbone.model)
  how = _How(about["step"], prepare == "in", batch)
  file, content = _CONTENTS[form](backbone, how)
  if form in ("onnx", "stablehlo"):
    channels_first = form == "onnx" and prepare == "out"
    found["input"] = {
      "type": "uint8, standardised inside" if prepare == "in" else "float32, standardised",
      "axes": "batch, channel, row, column" if channels_first else "batch, row, column, channel",
    }
  files = {file: content, _PREPARATION: _json(found)}
  size_px = backbone.preparation["size_px"]
  timm = twin.in_timm(backbone.model, size_px) if form == "safetensors" else None
  if timm:
    files["config.json"] = _json(preparation.timms(found, *timm, _num_features(backbone.arrays)))
  files["training_config.json"] = config_lib.to_json(_without_paths(about["config"])).encode()
  files["README.md"] = card.text(dict(about) | {"timm": bool(timm)}, found, file, results).encode()
  return files


def _num_features(arrays: Mapping[str, np.ndarray]) -> int:
  """Returns F: that of the last norm of the network."""
  if "params.norm.scale" in arrays:
    return len(arrays["params.norm.scale"])
  last = max(
    (name for name in arrays if name.endswith((".norm2.scale", ".norm3.scale"))),
    key=lambda name: (name.split(".")[1].split("_")[0], name.rpartition(".norm")[2]),
  )
  return len(arrays[last])


def _safetensors(backbone: Backbone, how: _How) -> tuple[str, bytes]:
  if "params.class_token" in backbone.arrays:
    layout, state = "timm", vit_names.export(backbone.arrays, backbone.preparation["size_px"])
  else:
    layout, state = "torchvision", resnet_names.export(backbone.arrays, how.step)
  metadata = own.metadata(_known(backbone, layout))
  return "model.safetensors", safetensors_file.content(state, metadata)


def _own(backbone: Backbone, how: _How) -> tuple[str, bytes]:
  del how
  metadata = own.metadata(_known(backbone, "own"))
  return "model.safetensors", safetensors_file.content(own.named(backbone.arrays), metadata)


def _known(backbone: Backbone, layout: str) -> dict[str, Any]:
  return {"layout": layout, "model": backbone.model, "preparation": backbone.preparation}


def _onnx(backbone: Backbone, how: _How) -> tuple[str, bytes]:
  ready, size_px = backbone.preparation, backbone.preparation["size_px"]
  inside = (ready["mean"], ready["std"]) if how.prepared else None
  content = onnx_file.content(backbone.arrays, backbone.model, size_px, inside)
  _check_onnx(content, backbone, inside)
  return "model.onnx", content


def _check_onnx(content: bytes, backbone: Backbone, prepared: tuple | None) -> None:
  """Compares the graph with the network where ONNX Runtime is installed. Raises RuntimeError."""
  try:
    import onnxruntime
  except ImportError:
    logging.getLogger(__name__).warning("warning: onnxruntime is not installed: ONNX is unchecked")
    return
  size_px = backbone.preparation["size_px"]
  images = np.random.default_rng(0).integers(0, 256, (3, size_px, size_px, 3), np.uint8)
  mean, std = (np.asarray(backbone.preparation[k], np.float32) for k in ("mean", "std"))
  ready = ((images * np.float32(1 / 255) - mean) / std).astype(np.float32)
  session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
  given = images if prepared else np.ascontiguousarray(ready.transpose(0, 3, 1, 2))
  (found,) = session.run(None, {"images": given})
  wanted = np.asarray(jax.jit(backbone.forward)(ready))
  farthest = np.abs(found - wanted).max()
  if not farthest <= _FARTHEST * max(1.0, np.abs(wanted).max()):
    raise RuntimeError(f"the ONNX graph's features are off by {farthest:.2g}; nothing is written")


def _stablehlo(backbone: Backbone, how: _How) -> tuple[str, bytes]:
  mean, std = (np.asarray(backbone.preparation[k], np.float32) for k in ("mean", "std"))

  def forward(images):
    if how.prepared:
      images = (images.astype(jnp.float32) * np.float32(1 / 255) - mean) / std
    return backbone.forward(images)

  kind = "uint8" if how.prepared else "float32"
  size_px = backbone.preparation["size_px"]
  return "model.stablehlo", stablehlo.content(forward, size_px, kind, how.batch)


_CONTENTS: dict[str, Callable[[Backbone, _How], tuple[str, bytes]]] = {
  "safetensors": _safetensors,
  "own": _own,
  "onnx": _onnx,
  "stablehlo": _stablehlo,
}


def write(folder: pathlib.Path, files: Mapping[str, bytes]) -> None:
  """Writes a folder of files whole, in the place of an earlier export. Raises `SaveFailed`."""
  own_name = uuid.uuid4().hex[:12]
  fresh, old = (folder.with_name(f".{folder.name}.{own_name}.{end}") for end in ("tmp", "old.tmp"))
  with errors.saving(str(folder), then="give the same command again"):
    try:
      for name, content in files.items():
        places.write(fresh / name, content)
      if folder.exists():
        os.rename(folder, old)
      os.rename(fresh, folder)
      _sync(folder.parent)
    finally:
      shutil.rmtree(fresh, ignore_errors=True)
  for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):  # of killed exports too
    shutil.rmtree(leftover, ignore_errors=True)


def _sync(folder: pathlib.Path) -> None:
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def _folder(workdir: str, form: str, out: str | None) -> pathlib.Path:
  if out is None and address.is_bucket(workdir):
    raise errors.UserError(f"--out is missing: {workdir} is a bucket; give a local folder")
  folder = pathlib.Path(paths.local(out, "--out") if out else pathlib.Path(workdir, "export", form))
  check_place(folder)
  return folder


def check_place(folder: pathlib.Path) -> None:
  """Raises `UserError` where something lies that no export has made."""
  places.check_folder(folder, "the export", "give another --out")
  if reading.names_in(folder) and not (folder / _PREPARATION).is_file():
    raise errors.UserError(
      f"{folder} holds other files, which an export would replace; give another --out"
    )


def _command(
  workdir: str, form: str, step: int | str | None, prepare: str, batch: int | None
) -> str:
  name = pathlib.PurePath(workdir).name  # the rest of its path is of no use elsewhere
  words = ["contrastive_jax", "export", f"--workdir={name}", f"--format={form}"]
  words += [f"--step={step}"] if step is not None else []
  words += [f"--batch={batch}"] if batch else []
  return shlex.join([*words, *(["--preprocessing=in"] if prepare == "in" else [])])


def _without_paths(config: ConfigDict) -> ConfigDict:
  """Returns a config that may be published: places of one machine are of no use elsewhere."""
  plain = config.copy_and_resolve_references()
  for key in card.PATHS:
    *sections, last = key.split(".")
    part = plain
    for name in sections:
      part = part[name]
    part[last] = ""
  return plain


def _knn(workdir: str, step: int) -> float | None:
  """Returns the accuracy that was measured when a checkpoint was saved, if it was."""
  return checkpoint_files.knn(checkpoint_files.root(workdir) / str(step))


def _images(workdir: str) -> dict[str, Any]:
  if address.is_bucket(workdir):
    return {}
  content = reading.content(pathlib.Path(workdir) / "data.json")
  try:
    return stored.parsed(content) if content else {}
  except ValueError:
    return {}


def _json(value: Mapping[str, Any]) -> bytes:
  return (json.dumps(value, indent=2) + "\n").encode()
