"""A run's folder on this host, and the bucket that holds a copy of it.

The bucket is the truth. At a start the folder is brought into line with it: what the bucket has not
is dropped here, and files of a checkpoint are read when they are needed. One thing goes the other
way: a checkpoint that this folder committed and could not put into the bucket, if no other has had
the lease since.

A checkpoint is put file by file, read back, compared, and then committed by its marker. The metrics
and TensorBoard's events that led to it are put before that, whole; and now and then, to be seen.
"""

import contextlib
import json
import logging
import os
import pathlib
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from contrastive_jax import errors, export_names
from contrastive_jax.buckets import local, steps
from contrastive_jax.buckets.address import Address
from contrastive_jax.buckets.fetched import MANIFEST, Block, fetch, fetch_blocks
from contrastive_jax.buckets.lease import Lease
from contrastive_jax.buckets.objects import File, Objects, at_once, opening

STAMPS = ("config.json", "versions.json", "data.json", "data.files")
_LOGS = ("metrics.jsonl", "time.jsonl", "views.png", "unreadable*.txt", "tensorboard/**/*")
_PULLED = ("metrics.jsonl", "time.jsonl", "views.png", "unreadable.txt")
_PENDING = "pending.json"  # steps that are committed here, and not yet there
_ALIGNED = "aligned"  # the token of the lease under which the folder was last in line
_LOGS_EVERY_S = 60.0


class Nowhere:
  """In the place of a mirror where the workdir is no bucket.

  Attributes:
    apart: each process has a folder of its own.
  """

  apart = False

  def stamped(self, path: pathlib.Path) -> None:
    """Puts a file of the run's folder, which has just been written."""

  def fetch(self, step: int, items: Sequence[str] | None = None) -> str | None:
    """Sees that a checkpoint is here, or some of its files; returns what is wrong with it, None if
    nothing is.
    """

  def fetch_blocks(
    self,
    step: int,
    wanted: Mapping[str, tuple[int, Sequence[Block]]],
    digest_of: Callable[[bytes], str],
  ) -> None:
    """Sees that blocks of its files are here; see `fetched.fetch_blocks`."""

  def part_written(self, step: int, written: pathlib.Path, process: int) -> dict[str, File]:
    """Puts the part of a process, in a thread of it, when it is written and not yet committed.

    Args:
      step: of the checkpoint.
      written: folder of the checkpoint, in which the part is `parts/PROCESS`.
      process: its number.

    Returns:
      Bytes and digest of each file by its name within `written`. Raises `SaveFailed`.
    """
    return {}

  def commit(self, step: int, parts: Mapping[str, File]) -> None:
    """Puts a checkpoint that is committed here, of which `parts` are there. Raises `SaveFailed`."""

  def forget(self, step: int) -> None:
    """Removes a checkpoint. Raises `SaveFailed`."""

  def set_aside(self, step: int, problem: str) -> None:
    """Marks a checkpoint as damaged. Raises `SaveFailed`."""

  def check(self) -> None:
    """Raises `SaveFailed` if nothing may be written any more."""


class Mirror(Nowhere):
  """See the module; `opened` makes one.

  Attributes:
    folder: of the run, on this host.
  """

  apart = True

  def __init__(self, folder: pathlib.Path, objects: Objects, lease: Lease | None):
    self.folder, self._objects, self._lease = folder, objects, lease
    self._put: dict[str, tuple[int, int]] = {}  # logs as they were put: bytes, time of change
    self._over, self._one = threading.Event(), threading.Lock()
    self._thread = threading.Thread(target=self._watch_logs, name="bucket", daemon=True)

  def stamped(self, path: pathlib.Path) -> None:
    with errors.saving(str(self._objects.address / path.name)):
      self._check()
      self._objects.put(path.name, path.read_bytes())

  def fetch(self, step: int, items: Sequence[str] | None = None) -> str | None:
    return fetch(self._objects, self.folder, step, items, all_there=True)

  def fetch_blocks(self, step, wanted, digest_of):
    fetch_blocks(self._objects, self.folder, step, wanted, digest_of)

  def part_written(self, step: int, written: pathlib.Path, process: int) -> dict[str, File]:
    own, objects = f"parts/{process}", self._objects
    prefix = f"{steps.prefix(step)}/{own}"
    with errors.saving(f"checkpoint {step} in {objects.address}"):
      self._check()
      if objects.version(steps.marker(step)):
        raise errors.SaveFailed(
          f"checkpoint {step} in {objects.address} was committed by another run meanwhile"
        )
      objects.delete(*objects.listed(prefix))
      found = objects.upload(written / own, prefix)
    return {f"{own}/{name}": file for name, file in found.items()}

  def commit(self, step: int, parts: Mapping[str, File]) -> None:
    prefix, folder = steps.prefix(step), self.folder / steps.prefix(step)
    with errors.saving(f"checkpoint {step} in {self._objects.address}"):
      if all((folder / name).is_file() for name in parts):  # else others had their share
        self._note_pending({step})
      self._put_logs()
      self._check()
      others = [
        n for n in self._objects.listed(prefix) if n.removeprefix(f"{prefix}/") not in parts
      ]
      self._objects.delete(*others, steps.marker(step, "damaged"))
      rest = self._objects.upload(folder, prefix, parts)
      self._check()
      self._objects.put(steps.marker(step), steps.written(step, {**parts, **rest}), create=True)
      self._note_pending(())

  def forget(self, step: int) -> None:
    with errors.saving(f"checkpoint {step} in {self._objects.address}"):
      self._check()
      self._objects.delete(steps.marker(step))
      self._objects.delete(*self._objects.listed(steps.prefix(step)))

  def set_aside(self, step: int, problem: str) -> None:
    with errors.saving(f"checkpoint {step} in {self._objects.address}"):
      self._check()
      self._objects.put(steps.marker(step, "damaged"), json.dumps({"problem": problem}).encode())
      self._objects.delete(steps.marker(step))

  def check(self) -> None:
    if self._lease and self._lease.lost():
      self._lease.check()

  def _check(self) -> None:
    if self._lease:
      self._lease.check()

  def start(self) -> None:
    """Begins to put metrics now and then."""
    self._thread.start()

  def stop(self, put: bool = True) -> None:
    """Ends that, and puts what is left. Raises `SaveFailed`."""
    self._over.set()
    if self._thread.is_alive():
      self._thread.join()
    if put and not (self._lease and self._lease.lost()):
      self._put_logs()

  def _watch_logs(self) -> None:
    while not self._over.wait(_LOGS_EVERY_S):
      try:
        self._put_logs()
      except (OSError, errors.SaveFailed) as error:  # the next checkpoint needs them, and says so
        logging.getLogger(__name__).warning("warning: %s", error)

  def _put_logs(self) -> None:
    """Puts metrics, events and pictures that have changed, whole."""
    with self._one, errors.saving(f"metrics in {self._objects.address}"):
      for path in (path for pattern in _LOGS for path in sorted(self.folder.glob(pattern))):
        if not path.is_file():
          continue
        name, found = path.relative_to(self.folder).as_posix(), path.stat()
        if self._put.get(name) != (found.st_size, found.st_mtime_ns):
          self._check()
          self._objects.put(name, path.read_bytes())
          self._put[name] = (found.st_size, found.st_mtime_ns)

  def lead(self) -> None:
    """Takes the lease, and brings the folder and the bucket into line.

    What is here counts only if it was in line when this folder had the lease, and nobody else has
    had it since: a start that was killed before says that it was not.
    """
    before, note = self._lease.claim(), self.folder / _ALIGNED
    ours = bool(before) and note.is_file() and note.read_text() == before
    self.align(ours)
    note.write_text(self._lease.token)

  def align(self, ours: bool = False) -> None:
    """Brings the folder into line with the bucket; if it leads, also what is left half-done there.

    Args:
      ours: the folder is in line, but for what the last start from here may have left.
    """
    leads, objects = self._lease is not None, self._objects
    there = objects.listed()
    if leads and not ours and local.emptied(self.folder):
      logging.getLogger(__name__).info(
        "the local copy %s is not that of the last start, and is dropped: %s counts",
        *(self.folder, objects.address),
      )
    for name in STAMPS:
      pulled_or_gone(objects, there, name, self.folder / name)
    if not ours:
      for name in _PULLED:
        pulled_or_gone(objects, there, name, self.folder / name)
    for name, size in there.items():
      path = self.folder / name
      if name.startswith("tensorboard/") and path.is_file() and path.stat().st_size == size:
        self._put[name] = (size, path.stat().st_mtime_ns)
    if leads:
      objects.abandon_uploads()
      there = self._settle(there, ours)
    self.align_steps(there)

  def _settle(self, there: dict[str, int], ours: bool) -> dict[str, int]:
    """Completes or removes what an earlier start left half-done; returns what is there then."""
    log, objects = logging.getLogger(__name__), self._objects
    committed = steps.marked(there)
    damaged = steps.marked(there, "damaged")
    for step in set(committed) & set(damaged):  # killed while it was set aside
      objects.delete(steps.marker(step))
    for step in self._pending() if ours else ():
      if step not in committed and (self.folder / steps.prefix(step)).is_dir():
        log.info(
          "checkpoint %d was saved here and is not yet in %s: it is put there",
          *(step, objects.address),
        )
        self.commit(step, {})
        committed.append(step)
    self._note_pending(())
    for step, names in steps.objects(there).items():
      if step not in committed and step not in damaged:
        log.warning(
          "warning: checkpoint %d in %s is skipped: it is not committed (no %s) and is removed",
          *(step, objects.address, steps.marker(step)),
        )
        objects.delete(*names)
    return objects.listed("checkpoints")

  def align_steps(self, there: dict[str, int]) -> None:
    """Drops checkpoints that the bucket has not, and reads the manifests of those that it has."""
    root = self.folder / "checkpoints"
    root.mkdir(exist_ok=True)
    damaged = steps.marked(there, "damaged")
    committed = [step for step in steps.marked(there) if step not in damaged]
    for path in list(root.iterdir()):
      if path.name not in map(str, committed) and not path.name.endswith(".damaged"):
        if path.name.isdecimal() and self._lease:
          logging.getLogger(__name__).info(
            "checkpoint %s of the local copy is dropped: %s does not have it",
            *(path.name, self._objects.address),
          )
        shutil.rmtree(path)
    for step in damaged:  # it tells that there was a checkpoint
      (root / f"{step}.damaged").mkdir(exist_ok=True)

    def manifest(step):
      name, path = f"{steps.prefix(step)}/{MANIFEST}", root / str(step) / MANIFEST
      path.parent.mkdir(exist_ok=True)
      if name in there and not path.exists():
        self._objects.download(name, path, there[name])

    at_once(manifest, committed)

  def _pending(self) -> list[int]:
    try:
      return [int(step) for step in json.loads((self.folder / _PENDING).read_text())]
    except (OSError, ValueError, TypeError):
      return []

  def _note_pending(self, found: Sequence[int] | set[int]) -> None:
    path = self.folder / _PENDING
    if not found:
      path.unlink(missing_ok=True)
      return
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(sorted(found)))
    os.replace(temporary, path)


@contextlib.contextmanager
def opened(
  address: Address, process: int, together: Callable[[], contextlib.AbstractContextManager]
) -> Iterator[Mirror]:
  """Holds a run's folder on this host, and on process 0 its lease; yields the mirror.

  Args:
    address: of the run.
    process: number of this one, of several.
    together: a context that all processes enter, and that none leaves before the others, nor with
      another failure.

  Raises:
    UserError: the bucket is not there, may not be used, another run has the lease, or an export is
      there.
    ReadFailed, SaveFailed: the server does not answer, or this host has no room.
  """
  with contextlib.ExitStack() as stack:
    lease = None
    with together(), starting(address):
      # Before anything is made: is there such a bucket, and is the place free?
      export_names.refuse(str(address), Objects(address).listed("lease" if process else ""))
      folder, identity = stack.enter_context(local.held(address, process))
      if process == 0:
        lease = Lease(address, identity)
        stack.callback(lease.release)
      mirror = Mirror(folder, Objects(address), lease)
      if lease:
        mirror.lead()
    with together(), starting(address):
      if not lease:  # now that the first has brought the bucket into order
        mirror.align()
    mirror.start()
    try:
      yield mirror
    except BaseException as error:
      away = isinstance(error, errors.SaveFailed | errors.ReadFailed)
      with contextlib.suppress(Exception):
        mirror.stop(put=not away)
      raise
    mirror.stop()


@contextlib.contextmanager
def starting(address: Address) -> Iterator[None]:
  with errors.placing(f"the local copy of {address}"), opening(address, "workdir"):
    yield


def pulled_or_gone(objects: Objects, there: dict[str, int], name: str, path: pathlib.Path) -> None:
  if name not in there:
    path.unlink(missing_ok=True)
    return
  objects.download(name, path, there[name])
