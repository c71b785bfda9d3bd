"""The files that a run began with, in `data.files` beside `data.json`: what has changed has a name.

It is a copy of the list that the data source made (`data.listing`), written by process 0 when the
run begins. A set that has no list of files, as npz has none, leaves none here.
"""

import pathlib
from collections.abc import Callable

from contrastive_jax import errors, plural
from contrastive_jax.data import listing
from contrastive_jax.data.listing import Listing

NAME = "data.files"


def differences(workdir: str, now: Listing | None) -> list[str]:
  """Returns which files are other than when the run began; names and sizes count, times do not.

  A list that is damaged, or of which there is none, tells of no difference: `data.json` still does.
  """
  path = pathlib.Path(workdir) / NAME
  if now is None or listing.written_digest(path) in (None, now.digest):
    return []
  before = listing.load(path)
  return listing.differences(before, now) if before else []


def written_anew(workdir: str, now: Listing | None) -> str:
  """Returns a line about files of another time and the same size; "" if none or all are: moved."""
  path = pathlib.Path(workdir) / NAME
  if now is None or listing.written_digest(path) != now.digest:
    return ""
  before = listing.load(path)
  count = 0 if before is None else int((before.times != now.times).sum())
  if not 0 < count < len(now):
    return ""
  first = now[int((before.times != now.times).argmax())]
  of_all = f"of {len(now):,} files"
  return (
    f"{plural.of(count, f'{of_all} was', f'{of_all} were')} written since the run began ({first!r}"
    f"{', ...' if count > 1 else ''}), with the sizes as before: it goes on, since nothing tells "
    "whether the images are others"
  )


def keep(
  workdir: str, now: Listing | None, written: Callable[[pathlib.Path], None] = lambda path: None
) -> None:
  """Writes the list, unless the one that is there is the same; `written` is called with its path.

  Raises SaveFailed.
  """
  path = pathlib.Path(workdir) / NAME
  if now is not None and listing.written_digest(path) != now.digest:
    with errors.placing(str(path)):
      listing.save(now, path, path.with_name(f"{NAME}.tmp"))
    written(path)
