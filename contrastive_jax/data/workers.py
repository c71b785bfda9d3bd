"""Worker processes that make batches, and leave nothing behind however a run ends.

Of W workers each makes every W-th batch. It answers with memory that has no name, whose descriptor
travels through a socket: nothing has to be unlinked, and the system takes it back with the last
process that holds it. A worker ends as soon as the process that started it is gone, and ignores
Ctrl-C and SIGTERM, which a run answers by saving: it needs its batches until then.

It imports neither JAX nor the script that started the run.
"""

import contextlib
import functools
import itertools
import json
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
from collections.abc import Callable, Iterator

import cloudpickle
import numpy as np

from contrastive_jax import errors, orphan

_AHEAD = 2  # batches of a worker that are made in advance or waited for
_ENDING_S = 5.0  # that one which was killed may take: on a dead disk it cannot end
_ALIGN = 64  # bytes; what devices of a CPU take without a copy
_LENGTH = struct.Struct("<q")
# The path that this process has by now, so that it imports the same.
_CODE = (
  "import json, sys; path, *places = sys.argv[1:]; sys.path[:] = json.loads(path); "
  "from contrastive_jax.data import workers; workers.serve(*map(int, places))"
)

Batch = dict[str, np.ndarray]


def batches(
  load: Callable[[int], Batch], start: int, stop: int, num_workers: int
) -> Iterator[Batch]:
  """Yields load(start), load(start + 1), ... load(stop - 1) as worker processes make them.

  They are gone when the iterator ends or is dropped. What they raise is raised here.

  Raises:
    ReadFailed: a worker died.
  """
  with contextlib.ExitStack() as stack:
    count = min(num_workers, stop - start)
    workers = [stack.enter_context(contextlib.closing(_Worker())) for _ in range(count)]
    told = cloudpickle.dumps(load)
    for worker in workers:
      worker.send(told)
    ahead = _AHEAD * count
    for step, worker in zip(range(start, min(start + ahead, stop)), itertools.cycle(workers)):
      worker.ask(step)
    for step, worker in zip(range(start, stop), itertools.cycle(workers)):
      batch = worker.answer()
      if step + ahead < stop:
        worker.ask(step + ahead)
      yield batch


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

  def send(self, data: bytes) -> None:
    with self._death_named():
      _send(self._socket, data)

  def ask(self, step: int) -> None:
    self.send(_LENGTH.pack(step))

  def answer(self) -> Batch:
    """Returns the batch that was asked for first, or raises what the worker raised."""
    with self._death_named():
      data, fd = _receive(self._socket)
    if fd is None:
      raise pickle.loads(data)
    return _opened(data, fd)

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
      data, _ = _receive(asked)
      try:
        if load is None:
          load = pickle.loads(data)
          continue
        told, memory = _packed(load(*_LENGTH.unpack(data)))
      except Exception as error:
        _send(asked, _pickled(error))
        continue
      try:
        _send(asked, told, memory)
      finally:
        os.close(memory)


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


def _packed(batch: Batch) -> tuple[bytes, int]:
  """Returns where and of what form the arrays are, and a descriptor of the memory they are in."""
  forms: list[tuple[str, np.dtype, tuple[int, ...], int]] = []
  if hasattr(os, "memfd_create"):
    memory = os.memfd_create("batch")
  else:
    with tempfile.TemporaryFile() as file:  # has no name either
      memory = os.dup(file.fileno())
  with open(memory, "wb", closefd=False) as file:
    for key, array in batch.items():
      offset = -(-file.tell() // _ALIGN) * _ALIGN
      file.seek(offset)
      file.write(np.ascontiguousarray(array).data)
      forms.append((key, array.dtype, array.shape, offset))
  return pickle.dumps(forms), memory


def _opened(data: bytes, fd: int) -> Batch:
  """Returns the arrays of `_packed`; the memory is given back with the last of them."""
  try:
    memory = mmap.mmap(fd, 0)
  finally:
    os.close(fd)
  batch = {}
  for key, dtype, shape, offset in pickle.loads(data):
    count = int(np.prod(shape))
    batch[key] = np.frombuffer(memory, dtype, count, offset).reshape(shape)
  return batch


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
