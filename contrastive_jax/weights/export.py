"""The backbone of a run for other programs: read, checked, and written where it was asked for."""

import contextlib
import logging
import os
import pathlib
import shlex
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from contrastive_jax import build, errors, export_names, reading, run_images, stored
from contrastive_jax.buckets import address, reads
from contrastive_jax.weights import card, folder, forms, of_run, onnx_file, stablehlo, tree, twin
from contrastive_jax.workdir import checkpoint_files, loading

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
  network: str = "online",
  try_place: bool = True,
) -> str:
  """Exports the backbone of a run; returns the folder. Of several processes the first writes.

  Args:
    workdir: of the run, local or in a bucket.
    form: one of `FORMATS`.
    out: the folder, local or in a bucket; None: WORKDIR/export/FORM, of a target FORM_target.
    step: of the checkpoint; "best": by kNN; None: the newest.
    prepare: "in": an ONNX or StableHLO network takes bytes and standardises them itself.
    batch: images at a time of a StableHLO network; None: any number.
    network: "online", or "target", the moving average that a method keeps (DINO's teacher).
    try_place: whether to write there before the work; not at the end of a run, which is done.

  Raises:
    UserError: the run's network has no such form; the place is not one; a package is missing.
    SaveFailed: it could not be written.
  """
  check_form(form, prepare, batch)
  place = _place(workdir, form if network == "online" else f"{form}_{network}", out)
  loaded = loading.load_run(workdir, step, network)  # which processes do together
  if jax.process_index() > 0:
    return place
  file = os.path.join(workdir, "config.json")
  build.check_stored(loaded.config, loaded.params, loaded.stats, file, partly=network == "target")
  check_network(loaded.config, form)
  with folder.tried(place) if try_place else contextlib.nullcontext():
    files = _contents(loaded, workdir, form, step, prepare, batch, network)
    folder.check(place)
    folder.write(place, files)
  logging.getLogger(__name__).info(
    "step %d of %s is exported to %s: %s", loaded.step, workdir, place, ", ".join(files)
  )
  return place


def _contents(
  loaded: loading.Run,
  workdir: str,
  form: str,
  step: int | str | None,
  prepare: str,
  batch: int | None,
  network: str,
) -> dict[str, bytes]:
  """Returns {name: content} of the files of an export; arguments are those of `run`."""
  arrays = tree.flat(loaded.params["backbone"], loaded.stats.get("backbone", {}))
  backbone = forms.Backbone(
    {name: np.asarray(array) for name, array in arrays.items()},
    of_run.model_of(loaded.config),
    of_run.preparation_of(loaded.config),
  )
  with _records(workdir) as records:
    about = {
      "config": loaded.config,
      "step": loaded.step,
      "format": form,
      "network": network,
      "command": _command(workdir, form, step, prepare, batch, network),
      "images": _images(records),
      "knn": _knn(records, loaded.step) if network == "online" else None,
    }
    results = card.results_of(records, network)
  return forms.contents(backbone, form, about, results, prepare, batch)


def check_form(
  form: str, prepare: str = "out", batch: int | None = None, flag: str = "--format"
) -> None:
  """Raises `UserError` unless there is such a form, and the package that writes it.

  `flag` is what names it.
  """
  if form not in FORMATS:
    raise errors.UserError(f"{flag}={form} is unknown; use one of {', '.join(FORMATS)}")
  if prepare not in PREPARATIONS:
    raise errors.UserError(f"--preprocessing={prepare} is unknown; use in or out")
  if prepare == "in" and form not in ("onnx", "stablehlo"):
    raise errors.UserError(
      f"--preprocessing=in is of onnx and stablehlo; {form} is weights alone, with "
      f"{folder.MARK} beside them"
    )
  if batch is not None and (batch < 1 or form != "stablehlo"):
    raise errors.UserError(
      f"--batch={batch}: it is a number from 1 on, of stablehlo alone; leave it out for any batch"
    )
  if form == "onnx":
    onnx_file.package()
  if form == "stablehlo":
    stablehlo.check_package()


def check_network(config: ConfigDict, form: str, flag: str = "--format") -> None:
  """Raises `UserError` where a run's network has no such form; `flag` is what names it."""
  run_images.check_rgb(config, "an export")
  why = twin.missing(of_run.model_of(config)) if form == "safetensors" else ""
  if why:
    raise errors.UserError(
      f"torchvision and timm have no network like this one ({why}); {flag}=own is for this "
      f"package, {flag}=onnx and {flag}=stablehlo are whole networks"
    )


def _place(workdir: str, form: str, out: str | None) -> str:
  place = address.checked(out, "--out") if out else os.path.join(workdir, export_names.FOLDER, form)
  folder.check(place)
  return place


@contextlib.contextmanager
def _records(workdir: str) -> Iterator[pathlib.Path]:
  """Yields a folder with what a run says of itself, which a bucket may have."""
  if address.is_bucket(workdir):
    with reads.records(address.parsed(workdir, "--workdir")) as found:
      yield found
  else:
    yield pathlib.Path(workdir)


def _command(
  workdir: str, form: str, step: int | str | None, prepare: str, batch: int | None, network: str
) -> str:
  name = pathlib.PurePath(workdir).name  # the rest of its path is of no use elsewhere
  words = ["contrastive_jax", "export", f"--workdir={name}", f"--format={form}"]
  words += [f"--step={step}"] if step is not None else []
  words += [f"--batch={batch}"] if batch else []
  words += [f"--network={network}"] if network != "online" else []
  return shlex.join([*words, *(["--preprocessing=in"] if prepare == "in" else [])])


def _knn(records: pathlib.Path, step: int) -> float | None:
  """Returns the accuracy that was measured when a checkpoint was saved, if that is at hand."""
  saved = checkpoint_files.root(str(records)) / str(step)
  return checkpoint_files.knn(saved) if saved.exists() else None


def _images(records: pathlib.Path) -> dict[str, Any]:
  content = reading.content(records / "data.json")
  try:
    return stored.parsed(content) if content else {}
  except ValueError:
    return {}
