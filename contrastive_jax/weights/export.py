"""The backbone of a run as a folder for other programs: whole, or not there at all.

A folder is written beside its place under another name, and renamed when all of it is on the disk.
One that an export left there before is replaced.
"""

import logging
import os
import pathlib
import shlex
import shutil
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from contrastive_jax import build, errors, paths, places, reading, stored
from contrastive_jax.buckets import address
from contrastive_jax.weights import card, forms, start, tree, twin
from contrastive_jax.workdir import checkpoint, checkpoint_files

FORMATS = tuple(forms.CONTENTS)
PREPARATIONS = ("out", "in")


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
  loaded = checkpoint.load_run(workdir, step)
  file = os.path.join(workdir, "config.json")
  build.check_stored(loaded.config, loaded.params, loaded.stats, file)
  check_network(loaded.config, form)
  arrays = tree.flat(loaded.params["backbone"], loaded.stats.get("backbone", {}))
  backbone = forms.Backbone(
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
  files = forms.contents(backbone, form, about, results, prepare, batch)
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
      f"{forms.PREPARATION} beside them"
    )

  if batch is not None and (batch < 1 or form != "stablehlo"):
    raise errors.UserError(
      f"--batch={batch} is a number from 1 on, of stablehlo alone; leave it out for any batch"
    )


def check_network(config: ConfigDict, form: str) -> None:
  """Raises `UserError` where a run's network has no such form."""
  build.check_rgb(config, "an export")
  why = twin.missing(start.model_of(config)) if form == "safetensors" else ""
  if why:
    raise errors.UserError(
      f"torchvision and timm have no network like this one ({why}); --format=own is for this "
      "package, --format=onnx and --format=stablehlo are whole networks"
    )


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
  if reading.names_in(folder) and not (folder / forms.PREPARATION).is_file():
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
