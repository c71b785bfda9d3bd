"""How the processes of a run meet that were given their places by hand.

They do so before JAX, whose service ends them in its own words where a number is given twice.
Process 0 listens where that service will be; each other says its number and waits for the answer,
which comes when all are there or cannot be.
"""

import contextlib
import ipaddress
import json
import selectors
import socket
import time
from typing import NoReturn

from contrastive_jax import errors

_GREETING = b"contrastive_jax: who?\n"
_LONGEST = 4096  # bytes of a line
_PAUSE_S = 0.3  # between tries to reach process 0
_REPLY_S = 5.0  # for one who listens to greet, or to take leave
_LATE_S = 10.0  # for others to come and be told what is wrong
_REMEDY = "give all the same flags, and a port that is free at the first and open to the others"


def meet(coordinator: str, num_processes: int, process_id: int, timeout_s: float) -> None:
  """Waits until all processes are there.

  Raises:
    UserError: a number is given twice, or they were told of different numbers of processes; all
      that are there raise it.
    PeerLost: some did not come in time.
  """
  me = _Member(coordinator, num_processes, process_id, time.monotonic() + timeout_s, timeout_s)
  if process_id:
    me.ask()
  else:
    me.gather()


def bind_address(coordinator: str) -> str | None:
  """Returns HOST:PORT if HOST is an address of this machine; None: all must be listened on.

  A name may mean another address here than to the others: only "localhost" is taken.
  """
  host, port = _split(coordinator)
  try:
    address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    _listening(str(address), 0).close()
  except (ValueError, OSError):
    return None
  return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


class _Member:
  def __init__(self, coordinator, num_processes, process_id, deadline, timeout_s):
    self._host, self._port = _split(coordinator)
    self._listen_on = _split(bind_address(coordinator) or ":0")[0]
    self._count, self._number, self._deadline = num_processes, process_id, deadline
    self._who = f"process {process_id} of {num_processes} at {coordinator}"
    self._timeout_s = timeout_s

  def gather(self) -> None:
    """Is process 0: hears all others, and answers them."""
    with contextlib.ExitStack() as stack:
      listener = stack.enter_context(self._place())
      heard = stack.enter_context(selectors.DefaultSelector())
      heard.register(listener, selectors.EVENT_READ)
      come: dict[socket.socket, dict] = {}
      wrong = ""
      deadline = self._deadline
      while len(come) < self._count - 1:
        ready = heard.select(max(0.0, deadline - time.monotonic()))
        if not ready and wrong:
          break
        if not ready:
          numbers = {said["number"] for said in come.values()}
          missing = sorted(set(range(1, self._count)) - numbers)
          self._give_up(f"missing: {', '.join(map(str, missing))}")
        for key, _ in ready:
          if key.fileobj is listener:
            other, _ = listener.accept()
            stack.enter_context(other)
            heard.register(other, selectors.EVENT_READ)
            _tell(other, _GREETING)
          else:
            other = key.fileobj
            come.pop(other, None)  # who speaks again, or no longer, has gone
            said = _heard(other)
            if said is None:
              heard.unregister(other)
              other.close()
              continue
            if not wrong and (wrong := self._wrong(said, come.values())):
              deadline = min(deadline, time.monotonic() + _LATE_S)
            come[other] = said
      for other in come:
        _tell(other, json.dumps({"wrong": wrong}).encode() + b"\n")
      for other in come:  # they close first: the port is free at once
        with contextlib.suppress(OSError):
          other.settimeout(_REPLY_S)
          other.recv(1)
    if wrong:
      raise errors.UserError(wrong)

  def ask(self) -> None:
    """Is another process, or finds the port of process 0 taken: says its number to who is there."""
    state = "nobody listens there"
    while time.monotonic() < self._deadline:
      try:
        patience_s = min(_REPLY_S, max(0.1, self._deadline - time.monotonic()))
        with socket.create_connection((self._host, self._port), patience_s) as there:
          if there.recv(_LONGEST) != _GREETING:
            raise ConnectionError("something else listens there, or the run goes on already")
          said = {"number": self._number, "of": self._count, "host": socket.gethostname()}
          there.sendall(json.dumps(said).encode() + b"\n")
          there.settimeout(max(0.1, self._deadline - time.monotonic()))
          answer = _heard(there)
      except TimeoutError:
        state = "it does not answer"
      except OSError as error:
        state = error.strerror or str(error)
      else:
        if answer is not None and answer["wrong"]:
          raise errors.UserError(answer["wrong"])
        if answer is not None:
          return
        state = "process 0 left"
      if self._number == 0:
        return
      time.sleep(_PAUSE_S)
    self._give_up(state)

  def _place(self) -> socket.socket:
    """Returns the socket to listen on, once it is free."""
    while True:
      try:
        return _listening(self._listen_on, self._port)
      except OSError as error:
        self.ask()  # another process 0 would tell what is wrong
        if time.monotonic() > self._deadline:
          self._give_up(f"the port cannot be listened on: {error.strerror}")
        time.sleep(_PAUSE_S)

  def _wrong(self, said: dict, come) -> str:
    here = socket.gethostname()
    if said["of"] != self._count:
      return (
        f"process {said['number']} on {said['host']} has --num_processes={said['of']}, process 0 "
        f"on {here} has {self._count}; start all with the same"
      )
    others = {other["number"]: other["host"] for other in come} | {0: here}
    if said["number"] in others:
      number = said["number"]
      return (
        f"--process_id={number} is given twice, on {others[number]} and on {said['host']}; give "
        f"each of the {self._count} processes a number of its own, 0..{self._count - 1}"
      )
    return ""

  def _give_up(self, why: str) -> NoReturn:
    raise errors.PeerLost(
      f"{self._who}: not all came within {self._timeout_s:g} s ({why}); {_REMEDY}"
    )


def _split(coordinator: str) -> tuple[str, int]:
  host, _, port = coordinator.rpartition(":")
  return host.strip("[]"), int(port)


def _listening(host: str, port: int) -> socket.socket:
  if not host and socket.has_dualstack_ipv6():
    return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
  family = socket.AF_INET6 if ":" in host else socket.AF_INET
  return socket.create_server((host, port), family=family)


def _tell(other: socket.socket, line: bytes) -> None:
  with contextlib.suppress(OSError):  # it has gone; it is missed, or comes again
    other.sendall(line)


def _heard(other: socket.socket) -> dict | None:
  """Returns the line that came; None: the other has gone, or is none of ours."""
  try:
    said = json.loads(other.recv(_LONGEST))
  except TimeoutError:
    raise
  except (OSError, ValueError):
    return None
  return said if isinstance(said, dict) and said.keys() & {"number", "wrong"} else None
