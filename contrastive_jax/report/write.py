"""Writes WORKDIR/report/index.html, and the same pictures for TensorBoard."""

import contextlib
import logging
import pathlib
import tempfile

import jax
from ml_collections import ConfigDict

from contrastive_jax import errors, places
from contrastive_jax.buckets import address
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.report import page, projecting, sample
from contrastive_jax.workdir.events import Events

IMAGES, SECONDS = 2000, 60.0  # of the training set, and for features, see `write`


def write(
  workdir: str,
  config: ConfigDict | None = None,
  *,
  out: str | None = None,
  projections: tuple[str, ...] = ("pca",),
  images: int = IMAGES,
  seconds: float = SECONDS,
) -> pathlib.Path:
  """Writes the page of a run and returns its path.

  Args:
    workdir: of the run, a local folder.
    config: of an evaluation: network, checkpoint, images; None: the newest weights, as trained.
    out: folder of the page; None: WORKDIR/report.
    projections: "pca", "tsne" (scikit-learn), "umap" (umap-learn).
    images: training images that are looked at, at most.
    seconds: for features of images, about.

  Raises:
    UserError: there is no run, or a value cannot work.
    SaveFailed: the page cannot be written.
  """
  projecting.check(projections)
  if address.is_bucket(workdir):
    copy = "gsutil cp -r" if workdir.startswith("gs") else "aws s3 cp --recursive"
    raise errors.UserError(
      f"the page of {workdir} is drawn from a copy on this machine: {copy} {workdir} DIR, then "
      "contrastive_jax report DIR"
    )
  root = pathlib.Path(workdir)
  folder = pathlib.Path(out) if out else root / "report"
  places.ready(folder, "the report", "give another --out")
  config = config if config is not None else eval_config.evaluation("knn")
  found = sample.take(config, workdir, images, seconds)
  command = f"contrastive_jax report {workdir}"
  drawn = page.draw(page.known(root, found, projections), command)
  path = folder / "index.html"
  places.write(path, drawn.html)
  if found.loaded.config.log.tensorboard and out is None:
    _to_tensorboard(root / "tensorboard", found.loaded.step, drawn.pictures)
  return path


def at_end(workdir: str) -> None:
  """Writes the page of a run that is done; whatever goes wrong is a warning and no more."""
  log = logging.getLogger(__name__)
  if jax.process_count() > 1 or address.is_bucket(workdir):
    where = "a run in a bucket" if address.is_bucket(workdir) else "a run of several processes"
    if jax.process_index() == 0:
      log.info("no report of %s: contrastive_jax report draws it from a local copy", where)
    return
  if (pathlib.Path(workdir) / "cell.json").exists():  # of a study, which has a page of its own
    return
  try:
    log.info("report: %s", write(workdir))
  except (Exception, SystemExit) as error:  # the run is done, and its weights are saved
    log.warning("warning: the report cannot be drawn (%s: %s)", type(error).__name__, error)


def _to_tensorboard(folder: pathlib.Path, step: int, pictures: dict[str, bytes]) -> None:
  with contextlib.suppress(errors.SaveFailed), tempfile.TemporaryDirectory() as temporary:
    events = Events(folder, step)
    for name, png in pictures.items():
      path = pathlib.Path(temporary) / "picture.png"
      path.write_bytes(png)
      events.picture(f"report/{name}", path, step)
    events.flush()
    events.close()
