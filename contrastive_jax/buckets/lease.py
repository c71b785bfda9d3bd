"""A run's right to write to its place in a bucket: a lease, renewed by a thread.

`lease/00000001.json`, `lease/00000002.json`, ...: whoever creates the next number, which the server
lets one alone do, has the lease; the highest number counts. So no object needs to be replaced only
if it is unchanged, which gcsfs and s3fs do not offer. The holder writes its object again and again.
Whoever comes later watches it: one that does not change for as long as it was to last has run out,
by the watcher's own clock alone. The holder counts from before its last writing, and stops sooner.

After a release the object stays, and says so: the numbers never begin again.
"""

import json
import logging
import os
import re
import socket
import threading
import time
import uuid
from typing import Any

from contrastive_jax import errors
from contrastive_jax.buckets.address import Address
from contrastive_jax.buckets.objects import Objects

LASTS_S, RENEWED_S = 60.0, 10.0
_SAFETY_S = 5.0  # the holder stops so long before it has run out
_NAME = re.compile(r"lease/(\d{8})\.json")


class InUse(errors.UserError):
  """Another run has the lease; `holder` says who."""

  def __init__(self, text: str, holder: str = ""):
    super().__init__(text)
    self.holder = holder


class Lease:
  """The lease of a place in a bucket.

  Args:
    address: of the place.
    folder: an identity of the local folder, which this process has locked: what a process had that
      is gone, and that had the same folder, is taken over at once.
  """

  def __init__(self, address: Address, folder: str):
    self._objects, self._lasts_s, self._renewed_s = Objects(address), LASTS_S, RENEWED_S
    self._me = {
      "folder": folder,
      "host": socket.gethostname(),
      "process": os.getpid(),
      "token": uuid.uuid4().hex,
      "lasts_s": self._lasts_s,
    }
    self._number, self._beat, self._until = 0, 0, 0.0
    self._lost: str | None = None
    self._over, self._one = threading.Event(), threading.Lock()
    self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

  @property
  def token(self) -> str:
    """A name of this start, which its lease has whatever its number."""
    return self._me["token"]

  def claim(self) -> str:
    """Takes the lease; returns the token of the one before it if that was of this folder, else "".

    Raises:
      InUse: another run has it.
      ReadFailed, SaveFailed: the server does not answer.
    """
    found = self._newest()
    number, before = found
    if number:
      self._wait_for_end(number, before)
    begun = time.monotonic()
    try:
      self._objects.put(_name(number + 1), self._said(), create=True)
    except FileExistsError:
      raise self._in_use(self._newest()[1]) from None
    self._number, self._until = number + 1, begun + self._lasts_s - _SAFETY_S
    self._renew()  # also: may an object be replaced here?
    old = [name for name in self._objects.listed("lease") if _number(name) <= number]
    self._objects.delete(*old)
    self._thread.start()
    return str(before.get("token", "")) if before.get("folder") == self._me["folder"] else ""

  def check(self) -> None:
    """Raises `SaveFailed` if the lease is lost; renews one that has run out, if nobody has it."""
    if not self._lost and time.monotonic() >= self._until:
      self._renew()
    if self._lost:
      raise errors.SaveFailed(self._lost)

  def lost(self) -> bool:
    """Returns whether another has the lease by what is known; asks nobody."""
    return self._lost is not None

  def release(self) -> None:
    """Ends the lease, so that the next may have it at once; never raises."""
    self._over.set()
    if self._thread.is_alive():
      self._thread.join()
    if self._number and not self._lost:
      try:
        with self._one:
          at_once = Objects(self._objects.address, pauses_s=())
          at_once.put(_name(self._number), self._said(released=True))
      except (OSError, errors.SaveFailed, errors.ReadFailed) as error:
        logging.getLogger(__name__).warning("warning: the lease is not released: %s", error)

  def _keep(self) -> None:
    while not self._over.wait(self._renewed_s):
      try:
        self._renew()
      except (OSError, errors.SaveFailed, errors.ReadFailed):
        pass  # `check` tells of it where something is to be written
      if self._lost:
        return

  def _renew(self) -> None:
    """Writes the object again; one that has run out meanwhile is claimed anew, under a new number.

    Only so is it known that nobody took it between a look and a writing.
    """
    with self._one:
      if self._lost:
        return
      begun = time.monotonic()
      if begun < self._until:
        self._objects.put(_name(self._number), self._said())
        newest, said = self._newest()
        if newest == self._number and time.monotonic() < self._until:
          self._until = begun + self._lasts_s - _SAFETY_S
          return
        if newest != self._number:
          self._lose(said)
          return
        begun = time.monotonic()
      try:
        self._objects.put(_name(self._number + 1), self._said(), create=True)
      except FileExistsError:
        self._lose(self._newest()[1])
        return
      self._objects.delete(_name(self._number))
      self._number, self._until = self._number + 1, begun + self._lasts_s - _SAFETY_S

  def _lose(self, to: dict[str, Any]) -> None:
    self._lost = (
      f"{self._objects.address}: the lease was taken over by {_holder(to)}; this run writes "
      "nothing more there"
    )

  def _wait_for_end(self, number: int, before: dict[str, Any]) -> None:
    """Returns once the lease `number` has run out. Raises `UserError` if it is renewed."""
    mine = before.get("folder") == self._me["folder"] and before.get("host") == self._me["host"]
    if before.get("released") or mine:
      return
    lasts_s = before.get("lasts_s")
    lasts_s = lasts_s if isinstance(lasts_s, int | float) and 0 < lasts_s <= 3600 else LASTS_S
    since, said = time.monotonic(), False
    while time.monotonic() - since < lasts_s:
      time.sleep(min(1.0, lasts_s / 10))
      now, found = self._newest()
      if (now, found) != (number, before):
        if now == number and found.get("released"):
          return
        raise self._in_use(found)
      if not said and time.monotonic() - since > 2 * min(self._renewed_s, lasts_s / 6):
        said = True
        logging.getLogger(__name__).warning(
          "%s was leased by %s, which does not renew it; it is taken over in %.0f s",
          self._objects.address,
          _holder(before),
          lasts_s - (time.monotonic() - since),
        )

  def _in_use(self, found: dict[str, Any]) -> InUse:
    holder = _holder(found)
    return InUse(
      f"workdir {self._objects.address} is in use by {holder}; wait for its end, stop it, or give "
      "another --workdir",
      holder,
    )

  def _newest(self) -> tuple[int, dict[str, Any]]:
    """Returns the highest number, 0 if there is none, and what it says."""
    while True:
      number = max(map(_number, self._objects.listed("lease")), default=0)
      try:
        return number, _parsed(self._objects.get(_name(number))) if number else {}
      except FileNotFoundError:  # a newer one has taken its place meanwhile
        continue

  def _said(self, released: bool = False) -> bytes:
    self._beat += 1
    return json.dumps(self._me | {"beat": self._beat, "released": released}).encode()


def _name(number: int) -> str:
  return f"lease/{number:08d}.json"


def _number(name: str) -> int:
  match = _NAME.fullmatch(name)
  return int(match[1]) if match else 0


def _parsed(content: bytes) -> dict[str, Any]:
  try:
    found = json.loads(content)
  except ValueError:
    return {"damaged": content.hex()[:80]}
  return found if isinstance(found, dict) else {}


def _holder(said: dict[str, Any]) -> str:
  if "process" not in said:
    return "another run"
  return f"process {said['process']} on {said.get('host')}"
