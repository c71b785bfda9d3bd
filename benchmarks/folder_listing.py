"""Listing a folder of many files that is made up: time, memory, and what a worker gets; one row.

python benchmarks/folder_listing.py [--files=14000000] [--classes=14000]

`data.build` of a folder whose entries are made when they are asked for: no disk is in the figures,
and the time of Python's own entries is the same for any version. The numbers: files; CPU seconds;
growth of the process's peak of memory, MiB; the source pickled as for a worker process, 10^6 bytes;
seconds in which another process of the same run has it too ("-": it lists anew).
PYTHONPATH=CHECKOUT measures another version of the package.
"""

import contextlib
import os
import pickle
import resource
import stat
import tempfile
import time
import types

from absl import app, flags

from contrastive_jax import data

_FILES = flags.DEFINE_integer("files", 14_000_000, "How many.")
_CLASSES = flags.DEFINE_integer("classes", 14_000, "Folders that they lie in.")
_STAT = types.SimpleNamespace(st_mode=stat.S_IFREG, st_size=110_000, st_mtime_ns=10**18)


class Entry:
  """One of a folder, as `os.scandir` gives it."""

  __slots__ = ("name", "path", "_folder")

  def __init__(self, parent: str, name: str, folder: bool):
    self.name, self.path, self._folder = name, f"{parent}/{name}", folder

  def is_dir(self, *, follow_symlinks: bool = True) -> bool:
    return self._folder

  def is_file(self) -> bool:
    return not self._folder

  def is_symlink(self) -> bool:
    return False

  def stat(self, *, follow_symlinks: bool = True) -> types.SimpleNamespace:
    return _STAT


def main(argv: list[str]) -> None:
  del argv
  real, each = os.scandir, _FILES.value // _CLASSES.value
  with tempfile.TemporaryDirectory() as root, tempfile.TemporaryDirectory() as kept_in:

    class Entries(contextlib.closing):
      """An iterator that can be closed."""

      def __init__(self, entries):
        super().__init__(self)
        self._entries = iter(entries)

      def __iter__(self):
        return self

      def __next__(self):
        return next(self._entries)

      def close(self):
        pass

    def scandir(path="."):
      if str(path) == root:
        return Entries([Entry(root, f"n{i:08}", True) for i in range(_CLASSES.value)])
      if isinstance(path, str) and path.startswith(root):
        name = os.path.basename(path)
        return Entries([Entry(path, f"{name}_{i}.JPEG", False) for i in range(each)])
      return real(path)

    os.scandir = scandir
    os.environ["XDG_CACHE_HOME"] = kept_in  # not the user's own
    source, seconds, mib = _built(root)
    worker, again = len(pickle.dumps(source)) / 1e6, "-"
    with contextlib.suppress(ImportError):
      from contrastive_jax.data import lists

      lists.trust(lists.made())
      del source
      source, taken, _ = _built(root)
      again = f"{taken:.1f}"
    os.scandir = real
    print(f"| {len(source):,} | {seconds:.1f} | {mib:,.0f} | {worker:,.1f} | {again} |")


def _built(root: str) -> tuple[data.Source, float, float]:
  before, began = _peak(), time.process_time()
  source = data.build("folder", split="train", path=root)
  return source, time.process_time() - began, _peak() - before


def _peak() -> float:
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
  app.run(main)
