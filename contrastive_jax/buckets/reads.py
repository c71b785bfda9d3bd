"""A run in a bucket, read by who does not take part in it: an evaluation, a notebook."""

import contextlib
import logging
import pathlib
import re
from collections.abc import Callable, Iterator

from contrastive_jax import export_names
from contrastive_jax.buckets import local, mirror, steps
from contrastive_jax.buckets.address import Address
from contrastive_jax.buckets.fetched import MANIFEST, fetch
from contrastive_jax.buckets.objects import Objects, at_once, opening

# What an evaluation reads; before parts the model was a folder.
_WEIGHTS = ("model", "model.safetensors", MANIFEST)
_RECORDS = ("config.json", "versions.json", "metrics.jsonl", "time.jsonl", "data.json", "cell.json")
_RESULT = re.compile(r"eval/[^/]+\.json")


@contextlib.contextmanager
def read_only(address: Address) -> Iterator[tuple[pathlib.Path, Callable[..., str | None]]]:
  """Yields a folder with what a run in a bucket says of itself, and a function that reads weights.

  The function takes a step, and which files if it is not the weights, and returns as `fetch` does.
  The folder goes with the context; a run that is under way is not disturbed.

  Raises:
    UserError: there is no such bucket, or it may not be used.
    ReadFailed, SaveFailed: its server does not answer, or this host has no room.
  """
  objects = Objects(address)

  def fill(folder):
    there = objects.listed()
    export_names.refuse(str(address), there)
    for name in mirror.STAMPS:
      mirror.pulled_or_gone(objects, there, name, folder / name)
    mirror.Mirror(folder, objects, None).align_steps(there)
    for step in steps.objects(there).keys() - set(steps.marked(there)):
      logging.getLogger(__name__).warning(
        "warning: checkpoint %d in %s is skipped: it is not committed (no %s); a run may be "
        "writing it",
        *(step, address, steps.marker(step)),
      )
    return folder

  with local.filled(address, "workdir", fill) as folder:
    yield folder, lambda step, items=_WEIGHTS: fetch(objects, folder, step, items)


def records(address: Address) -> contextlib.AbstractContextManager[pathlib.Path]:
  """Returns a folder with what a run in a bucket says of itself: config, metrics, results.

  See `local.filled`.
  """

  def fill(folder):
    objects = Objects(address)
    there = objects.listed()
    export_names.refuse(str(address), there)
    told = [name for name in there if name in _RECORDS or _RESULT.fullmatch(name)]
    at_once(lambda name: objects.download(name, folder / name, there[name]), told)
    return folder

  return local.filled(address, "run", fill)


def content(address: Address, name: str) -> bytes | None:
  """Returns what a file of a run in a bucket holds, None if there is none. Raises `ReadFailed`."""
  with opening(address, "workdir"):
    objects = Objects(address)
    return objects.get(name) if name in objects.listed() else None
