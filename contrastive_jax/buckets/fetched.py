"""The files of a committed checkpoint, read from a bucket into a folder of this host."""

import pathlib
from collections.abc import Sequence

from contrastive_jax import errors
from contrastive_jax.buckets import steps
from contrastive_jax.buckets.objects import Objects, at_once, described

MANIFEST = "manifest.json"  # of a checkpoint: enough to know its score


def fetch(
  objects: Objects, folder: pathlib.Path, step: int, items: Sequence[str] | None = None
) -> str | None:
  """Sees that the files of a checkpoint are in a folder of this host.

  Args:
    objects: of the run.
    folder: of the run, here.
    step: of the checkpoint.
    items: which of its folders and files, by their own names; None: all.

  Returns:
    What is wrong with it; None if what is here is what was committed.

  Raises:
    ReadFailed: it cannot be read for now.
    SaveFailed: there is no room for it here.
  """
  place, prefix = folder / steps.prefix(step), steps.prefix(step)
  try:
    files = steps.read(step, objects.get(steps.marker(step)))
  except FileNotFoundError:
    return "its marker is missing"
  except ValueError as error:
    return str(error)
  wanted = {n: f for n, f in files.items() if items is None or _is_of(n, items)}
  there = objects.listed(prefix)
  for name, (size, _) in wanted.items():
    found = there.get(f"{prefix}/{name}")
    if found != size:
      said = "is missing" if found is None else f"has {found} bytes, {size} were written"
      return f"object {prefix}/{name} {said}"

  def read(name):
    path, expected = place / name, wanted[name]
    if path.is_file() and described(path) == expected:
      return True
    # Once more: what came over the network, or lies on this disk, may be what is damaged.
    return any(
      objects.download(f"{prefix}/{name}", path, expected[0]) == expected for _ in range(2)
    )

  with errors.saving(f"the local copy {place}"):
    place.mkdir(parents=True, exist_ok=True)
    for path in [p for p in place.rglob("*") if p.is_file()]:
      if path.relative_to(place).as_posix() not in files:
        path.unlink()
    try:
      right = at_once(read, list(wanted))
    except FileNotFoundError as error:
      return f"an object is missing ({error})"
  wrong = next((name for name, ok in zip(wanted, right, strict=True) if not ok), None)
  return None if wrong is None else f"object {prefix}/{wrong} does not match its digest"


def _is_of(name: str, items: Sequence[str]) -> bool:
  parts = name.split("/")
  return parts[0] in items or parts[-1] in items
