"""Worker processes that make batches, and leave nothing behind however a run ends.

Of W workers each makes a W-th of the rows of every batch, so that as many batches are held as
without workers. They write into memory that has no name, whose descriptor travels to them through a
socket: nothing has to be unlinked, and the system takes it back with the last process that holds
it. A worker ends as soon as the process that started it is gone, and ignores
Ctrl-C and SIGTERM, which a run answers by saving: it needs its batches until then.

It imports neither JAX nor the script that started the run.
"""

import collections
import contextlib
import functools
import json
import math
import mmap
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from typing import Protocol

import cloudpickle
import numpy as np

from contrastive_jax import errors, orphan

_ENDING_S = 5.0  # that one which was killed may take: on a dead disk it cannot end
_ALIGN = 64  # bytes; what devices of a CPU take without a copy
_LENGTH = struct.Struct("<q")
_ROWS = struct.Struct("<qqq")  # step, first and last row
# The path that this process has by now, so that it imports the same.
_CODE = (
  "import json, sys; path, *places = sys.argv[1:]; sys.path[:] = json.loads(path); "
  "from contrastive_jax.data import workers; workers.serve(*map(int, places))"
)

Batch = dict[str, np.ndarray]
Form = dict[str, tuple[np.dtype, tuple[int, ...]]]


class Load(Protocol):
  """What makes batches, see `pipeline.Load`."""

  rows: int
  form: Form

  def fill(self, step: int, start: int, stop: int, batch: Batch) -> None: ...


def batches(load: Load, start: int, stop: int, num_workers: int, ahead: int) -> Iterator[Batch]:
  """Yields the batches of the steps start..stop, whose rows worker processes make.

  They are gone when the iterator ends or is dropped. What they raise is raised here.

  Args:
    load: makes rows of a batch.
    start, stop: steps.
    num_workers: processes; no more than a batch has rows.
    ahead: steps that are under way while one is used.

  Raises:
    ReadFailed: a worker died.
    UserError: the images cannot be sent to another process.
  """
  with contextlib.ExitStack() as stack:
    count = max(1, min(num_workers, load.rows)) if stop > start else 0
    workers = [stack.enter_context(contextlib.closing(_Worker())) for _ in range(count)]
    told = _told(load) if workers else b""
    for worker in workers:
      worker.send(told)
    form, edges = load.form, [load.rows * i // max(1, count) for i in range(count + 1)]

    def ask(step):
      memory = _memory(_size(form))
      try:
        for worker, first, last in zip(workers, edges[:-1], edges[1:], strict=True):
          worker.send(_ROWS.pack(step, first, last), memory)
        return _arrays(form, memory)
      finally:
        os.close(memory)  # the workers have their own

    asked = collections.deque(ask(step) for step in range(start, min(start + ahead, stop)))
    for step in range(start, stop):
      for worker in workers:
        worker.wait()
      batch = asked.popleft()
      if step + ahead < stop:
        asked.append(ask(step + ahead))
      yield batch
      del batch  # or it would be held while the next one is waited for


class _Worker:
  """A process, as the one that started it sees it."""

  def __init__(self):
    self._socket, theirs = socket.socketpair()
    path = json.dumps([os.path.abspath(part) for part in sys.path])
    places = (str(os.getpid()), str(theirs.fileno()))
    with theirs, _signals_held():
      self._process = subprocess.Popen(
        [sys.executable, "-c", _CODE, path, *places],
        stdin=subprocess.DEVNULL,
        pass_fds=(theirs.fileno(),),
      )

  def send(self, data: bytes, fd: int | None = None) -> None:
    with self._death_named():
      _send(self._socket, data, fd)

  def wait(self) -> None:
    """Waits for the rows that were asked for first, or raises what the worker raised."""
    with self._death_named():
      data, _ = _receive(self._socket)
    if data:
      raise pickle.loads(data)

  @contextlib.contextmanager
  def _death_named(self) -> Iterator[None]:
    try:
      yield
    except (EOFError, ConnectionError) as error:
      try:
        code = self._process.wait(_ENDING_S)
      except subprocess.TimeoutExpired:
        code = None
      killed = code is not None and code < 0
      how = f"was killed by {signal.Signals(-code).name}" if killed else f"ended with code {code}"
      raise errors.ReadFailed(
        f"worker process {self._process.pid}, which decodes images, {how}; if the host's memory is "
        "too small, take fewer data.num_workers or smaller images; the same command goes on from "
        "the last checkpoint"
      ) from error

  def close(self) -> None:
    """Ends the process, in the midst of a batch too: it only reads."""
    self._socket.close()
    self._process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
      self._process.wait(_ENDING_S)


def serve(parent: int, fd: int) -> None:
  """Makes batches for the process `parent`, at the other end of a socket, until it is gone."""
  orphan.when_orphaned(parent, functools.partial(os._exit, 0))
  with socket.socket(fileno=fd) as asked, contextlib.suppress(EOFError, ConnectionError):
    load = None
    while True:
      data, memory = _receive(asked)
      try:
        if load is None:
          load = pickle.loads(data)
          continue
        _fill(load, *_ROWS.unpack(data), memory)
      except Exception as error:
        _send(asked, _pickled(error))
      else:
        _send(asked, b"")


def _fill(load: Load, step: int, start: int, stop: int, memory: int) -> None:
  try:
    batch = _arrays(load.form, memory)
  finally:
    os.close(memory)
  load.fill(step, start, stop, batch)


def _told(load: Load) -> bytes:
  try:
    return cloudpickle.dumps(load)
  except (TypeError, ValueError, pickle.PicklingError) as error:  # of objects of a user's own
    said = " ".join(str(error).split())[:200]
    raise errors.UserError(
      f"the images cannot be sent to worker processes ({said}); set data.num_workers=0, or open "
      "what the object holds, such as a file, when an item is first asked for"
    ) from error


def _pickled(error: Exception) -> bytes:
  """Returns an exception, with the trace of this process as a note, in a form that can be read."""
  error.add_note(f"in worker process {os.getpid()}:\n{''.join(traceback.format_exception(error))}")
  try:
    data = cloudpickle.dumps(error)
    pickle.loads(data)
    return data
  except Exception:  # it takes other arguments than it says
    other = RuntimeError(f"{type(error).__name__}: {error}")
    other.__notes__ = error.__notes__
    return pickle.dumps(other)


def _places(form: Form) -> Iterator[tuple[str, np.dtype, tuple[int, ...], int]]:
  """Yields key, type, shape and offset of each array; after them the end, with no key."""
  offset = 0
  for key, (dtype, shape) in form.items():
    yield key, dtype, shape, offset
    offset += -(-dtype.itemsize * math.prod(shape) // _ALIGN) * _ALIGN
  yield "", np.dtype(np.uint8), (), offset


def _size(form: Form) -> int:
  return max(_ALIGN, list(_places(form))[-1][-1])


def _memory(size: int) -> int:
  """Returns the descriptor of memory of zeros that has no name."""
  if hasattr(os, "memfd_create"):
    memory = os.memfd_create("batch")
  else:
    with tempfile.TemporaryFile() as file:  # has no name either
      memory = os.dup(file.fileno())
  os.ftruncate(memory, size)
  return memory


def _arrays(form: Form, memory: int) -> Batch:
  """Returns the arrays in some memory, which is given back with the last of them."""
  mapped = mmap.mmap(memory, _size(form))
  return {
    key: np.frombuffer(mapped, dtype, math.prod(shape), offset).reshape(shape)
    for key, dtype, shape, offset in _places(form)
    if key
  }


def _send(to: socket.socket, data: bytes, fd: int | None = None) -> None:
  head = [_LENGTH.pack(len(data))]
  if fd is None:
    to.sendall(head[0])
  else:
    socket.send_fds(to, head, [fd])
  to.sendall(data)


def _receive(from_: socket.socket) -> tuple[bytes, int | None]:
  """Returns what was sent, and the descriptor that came with it. Raises EOFError."""
  head, fds, _, _ = socket.recv_fds(from_, _LENGTH.size, 1)
  head += _exactly(from_, _LENGTH.size - len(head)) if head else b""
  if not head:
    raise EOFError
  return _exactly(from_, *_LENGTH.unpack(head)), fds[0] if fds else None


def _exactly(from_: socket.socket, length: int) -> bytes:
  data = bytearray(length)
  rest = memoryview(data)
  while rest:
    got = from_.recv_into(rest)
    if not got:
      raise EOFError
    rest = rest[got:]
  return bytes(data)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
  """Inside, SIGINT and SIGTERM wait; for a process that is started here they wait for ever."""
  held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, held)
