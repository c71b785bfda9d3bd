"""Writes WORKDIR/report/index.html, and the same pictures for TensorBoard; also in a bucket."""

import contextlib
import logging
import pathlib
import shlex
import tempfile
from collections.abc import Iterator

import jax
from ml_collections import ConfigDict

from contrastive_jax import errors, places
from contrastive_jax.buckets import address, reads, results
from contrastive_jax.data import given as given_lib
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate
from contrastive_jax.report import page, projecting, sample
from contrastive_jax.study import own_page
from contrastive_jax.workdir import loading
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
  loaded: loading.Run | None = None,
  command: str = "",
  given: given_lib.Images | None = None,
) -> str:
  """Writes the page of a run and returns its path; of several processes the first writes.

  Args:
    workdir: of the run, local or in a bucket.
    config: of an evaluation: network, checkpoint, images; None: the newest weights, as trained.
    out: folder of the page, likewise; None: WORKDIR/report.
    projections: "pca", "tsne" (scikit-learn), "umap" (umap-learn).
    images: training images that are looked at, at most.
    seconds: for features of images, about.
    loaded: weights of the run, if they are at hand.
    command: that draws the page again; "": of the workdir alone.
    given: images in the place of the run's, by split, see `sample.take`.

  Raises:
    UserError: there is no run, or a value cannot work.
    SaveFailed: the page cannot be written.
    ReadFailed: a bucket's server does not answer.
  """
  projecting.check(projections)
  place = out or f"{workdir}/report"
  config = config if config is not None else eval_config.evaluation("knn")
  if out:
    _check_out(out)
  with _folder(place, "--out" if out else "workdir") as folder:
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    places.ready(folder, "the report", "give another --out")
    try:
      if jax.process_index() > 0:  # all read the weights, which they do together
        evaluate.load(workdir, eval_config.resolve(config)[0])
        return f"{place}/{own_page.NAME}"
      found = sample.take(config, workdir, images, seconds, loaded, given)
    except BaseException:  # Ctrl-C, too, leaves no folder
      for path in made:
        with contextlib.suppress(OSError):
          path.rmdir()
      raise
    with _records(workdir) as root:
      known = page.known(root, workdir, found, projections)
      drawn = page.draw(known, command or f"contrastive_jax report {shlex.quote(workdir)}")
    places.write(folder / own_page.NAME, drawn.html)
  if found.loaded.config.log.tensorboard and out is None:
    with _folder(f"{workdir}/tensorboard", "workdir") as folder:
      _to_tensorboard(folder, found.loaded.step, drawn.pictures)
  return f"{place}/{own_page.NAME}"


def _check_out(out: str) -> None:
  """Raises `UserError` where somebody else's page would be replaced."""
  remedy = "give another --out"
  if not address.is_bucket(out):
    own_page.check_place(pathlib.Path(out), [own_page.NAME], remedy)
  elif page := reads.content(address.parsed(out, "--out"), own_page.NAME):
    own_page.check(f"{out}/{own_page.NAME}", page, remedy)


@contextlib.contextmanager
def _folder(place: str, name: str) -> Iterator[pathlib.Path]:
  """Yields a local folder; what is written there is put into a bucket if the place is one."""
  if not address.is_bucket(place):
    yield pathlib.Path(place)
    return
  with results.folder(address.parsed(place, name), name) as (folder, put):
    yield folder
    put()


@contextlib.contextmanager
def _records(workdir: str) -> Iterator[pathlib.Path]:
  """Yields a folder with what a run says of itself."""
  if not address.is_bucket(workdir):
    yield pathlib.Path(workdir)
    return
  with reads.records(address.parsed(workdir, "workdir")) as folder:
    yield folder


def at_end(workdir: str) -> None:
  """Writes the page of a run that is done; whatever goes wrong is a warning and no more.

  Of several processes all read the weights, which they do together, and the first writes; the
  others wait for it where they part.
  """
  log = logging.getLogger(__name__)
  try:
    loaded = loading.load_run(workdir)
    if jax.process_index() == 0:
      log.info("report: %s", write(workdir, loaded=loaded))
  except errors.UserError as error:  # such as of a run on other than three channels
    log.warning("no report: %s", error)
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
