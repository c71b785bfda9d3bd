"""A study in a bucket: its cells are runs there, and a host has a copy of what they say.

Each cell is under a lease of its own, `locks/NAME`, beside the one that its run takes for itself;
records, choices and the report are put whole as soon as they are written.
"""

import contextlib
import pathlib
import re
import threading
import uuid
from collections.abc import Iterator
from typing import Any

from contrastive_jax import checkpoint_names
from contrastive_jax.buckets import address as address_lib
from contrastive_jax.buckets import local
from contrastive_jax.buckets.address import Address
from contrastive_jax.buckets.lease import InUse, Lease
from contrastive_jax.buckets.objects import Objects, at_once
from contrastive_jax.study import layout
from contrastive_jax.study.place import Place

_TOLD = re.compile(
  r"study\.json|choices/[^/]+\.json|cells/[^/]+/(?:(?:cell|config|versions)\.json|eval/[^/]+\.json)"
)
_CURVES = re.compile(r"cells/[^/]+/metrics\.jsonl")
_STEP = re.compile(rf"cells/([^/]+)/checkpoints/({checkpoint_names.STEP})\.committed")
_CELL = re.compile(r"cells/([^/]+)/.+")


class Bucket(Place):
  """See `Place`. Raises from its methods what `Objects` raises."""

  def __init__(self, root: pathlib.Path, objects: Objects):
    super().__init__(root)
    self._objects, self._me = objects, uuid.uuid4().hex
    self._seen: dict[str, tuple[int, str]] = {}  # what of an object is here
    self._leases: dict[str, Lease] = {}  # of cells that are worked on, by name
    self._one = threading.RLock()

  def workdir(self, name: str) -> str:
    return str(self._objects.address / f"cells/{name}")

  def told(self, path: pathlib.Path) -> str:
    return str(self._objects.address / self._name(path))

  def look(self, curves: bool = False) -> None:
    with self._one:
      there = self._objects.versions()
      self._bring(
        {
          name: version
          for name, version in there.items()
          if _TOLD.fullmatch(name) or (curves and _CURVES.fullmatch(name))
        }
      )
      self._show_steps(there)

  def write(self, path: pathlib.Path, content: str | bytes) -> None:
    with self._one:  # or a look would bring back what was there before
      self._put(self._name(path), content.encode() if isinstance(content, str) else content)
      layout.write(path, content)

  def keep(self, *paths: pathlib.Path) -> None:
    with self._one:
      for path in paths:
        self._put(self._name(path), path.read_bytes())

  def write_first(self, path: pathlib.Path, content: str) -> None:
    with contextlib.suppress(FileExistsError), self._one:
      self._objects.put(self._name(path), content.encode(), create=True)
    self._bring(self._objects.version(self._name(path)))

  @contextlib.contextmanager
  def held(self, name: str) -> Iterator[tuple[Any, str | None]]:
    with super().held(name) as (file, holder):
      if holder is not None:
        yield file, holder
        return
      lease = Lease(self._objects.address / f"locks/{name}", self._me)
      try:
        lease.claim()
      except InUse as error:
        yield file, error.holder
        return
      try:
        self._leases[name] = lease
        self._bring(self._objects.version(f"cells/{name}/output.log"))  # it is written on
        self.look()
        yield file, None
      finally:
        del self._leases[name]
        lease.release()

  def _name(self, path: pathlib.Path) -> str:
    return path.relative_to(self.root).as_posix()

  def _put(self, name: str, content: bytes) -> None:
    match = _CELL.fullmatch(name)
    if match and match[1] in self._leases:
      self._leases[match[1]].check()
    self._objects.put(name, content)

  def _bring(self, versions: dict[str, tuple[int, str]]) -> None:
    new = {name: v for name, v in versions.items() if self._seen.get(name) != v}

    def bring(name):
      with contextlib.suppress(FileNotFoundError):  # removed since it was listed
        self._objects.download(name, self.root / name, new[name][0])

    at_once(bring, new)
    self._seen |= new

  def _show_steps(self, names: dict[str, Any]) -> None:
    """Has an empty folder for each checkpoint that is committed there, and for no other."""
    matches = [match for match in map(_STEP.fullmatch, names) if match]
    wanted = {layout.cell(self.root, m[1]) / "checkpoints" / m[2] for m in matches}
    for path in set(self.root.glob("cells/*/checkpoints/*")) - wanted:
      path.rmdir()
    for path in wanted:
      path.mkdir(parents=True, exist_ok=True)


def opened(address: Address, writes: bool) -> contextlib.AbstractContextManager[Bucket]:
  """Returns the study that lies at an address, or will.

  Args:
    address: of its folder.
    writes: whether something is to be written: an object is put and removed.

  Raises as `local.filled` does.
  """

  def fill(root):
    objects = Objects(address)
    found = Bucket(root, objects)
    found.look()
    if writes:
      objects.try_writing()
    return found

  return local.filled(address, "workdir", fill)


def place(workdir: str, writes: bool) -> contextlib.AbstractContextManager[Place]:
  """Returns what opens a study's --workdir, on a disk or in a bucket. Raises as `opened` does."""
  if address_lib.is_bucket(workdir):
    return opened(address_lib.parsed(workdir, "workdir"), writes)
  return contextlib.nullcontext(Place(pathlib.Path(workdir).absolute()))
