"""Files of an image set in a bucket, kept on this host as they are read.

Which are kept follows from their sizes alone, so that all processes of a host keep the same and
none has to count: nothing is thrown out to make room for another, since an epoch asks for each once
and would find it gone. A file that changed in the bucket is another file.
"""

import contextlib
import copy
import fcntl
import hashlib
import logging
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator

from contrastive_jax import errors, paths, plural
from contrastive_jax.buckets.address import Address
from contrastive_jax.buckets.objects import Objects, at_once, opening

_GB = 10**9


class Files:
  """The objects below an address, and a folder of this host for what is kept of them.

  Args:
    address: of the set.
    key: of the config, that the address was given by.
    under: a "folder" below it: only that is listed.
    whole_folder: False: `under` is one object, which alone is asked for.

  Raises:
    UserError: there is no such bucket, or it may not be read.
    ReadFailed: its server does not answer.
  """

  def __init__(self, address: Address, key: str, under: str = "", whole_folder: bool = True):
    self.address, self._key, self._objects = address, key, Objects(address)
    with opening(address, key):
      look = self._objects.versions if whole_folder else self._objects.version
      found = look(under)
    self.sizes = {name: size for name, (size, _) in found.items()}
    self._tags = {name: tag for name, (_, tag) in found.items()}
    self.folder = paths.cache() / "data" / address.slug
    self._may_keep = True

  def only(self, names: Iterable[str]) -> "Files":
    """Returns these without all others."""
    chosen = copy.copy(self)
    chosen.sizes = {name: self.sizes[name] for name in names}
    chosen._tags = {name: self._tags[name] for name in chosen.sizes}
    return chosen

  def content(self, name: str, keep: bool) -> bytes:
    """Returns what an object holds, from this host if it is here; and keeps it here if asked to.

    Raises:
      FileNotFoundError: there is none any more.
      ReadFailed: it cannot be read for now.
    """
    digest = hashlib.sha256(f"{name}\0{self._tags[name]}".encode()).hexdigest()
    path = self.folder / "files" / digest[:2] / digest[2:]
    if keep:
      with contextlib.suppress(OSError):
        found = path.read_bytes()
        if len(found) == self.sizes[name]:
          return found
    try:
      found = self._objects.get(name)
    except PermissionError as error:  # a credential that has run out, and not one image
      raise errors.ReadFailed(str(error)) from error
    if keep and self._may_keep:
      self._keep(path, found)
    return found

  def whole(self, names: Iterable[str], most_gb: float, option: str) -> pathlib.Path:
    """Returns a folder of this host with these objects in it, under their names.

    Args:
      names: of objects.
      most_gb: that may be kept.
      option: that sets this.

    Raises:
      UserError: they are more than that, or than there is room for.
    """
    names, total = list(names), sum(self.sizes.values())
    wanted = sum(self.sizes[name] for name in names)
    if wanted > most_gb * _GB:
      raise errors.UserError(
        f"{self._key} {self.address}: {plural.of(len(names), 'file')} of {wanted / _GB:.3g} GB "
        "would be kept on this "
        f"host, and {option} is {most_gb:g}; set --config.{option}={-(-wanted // _GB)}, or give a "
        "local path"
      )
    described = "\n".join(f"{n}\0{self._tags[n]}" for n in sorted(self.sizes)) + str(total)
    place = self.folder / hashlib.sha256(described.encode()).hexdigest()[:16]
    with errors.placing(f"the local copy {place}"), self._alone():
      missing = [n for n in names if not self._is_here(place / n, n)]
      needed = sum(self.sizes[name] for name in missing)
      free = shutil.disk_usage(self.folder).free
      if needed > free:
        raise errors.UserError(
          f"{self._key} {self.address}: {needed / _GB:.3g} GB are to be kept in {self.folder}, "
          f"which has room for {free / _GB:.3g} GB; set {paths.CACHE} to a folder on a larger "
          "disk"
        )
      if needed > _GB / 10:
        logging.getLogger(__name__).info(
          "%s: %d file(s) of %.3g GB are copied to %s",
          *(self.address, len(missing), needed / _GB, place),
        )
      with opening(self.address, self._key):
        at_once(lambda name: self._objects.download(name, place / name, self.sizes[name]), missing)
      short = [name for name in missing if not self._is_here(place / name, name)]
    if short:
      raise errors.ReadFailed(f"{self.address / short[0]} came in another size than it is listed")
    return place

  def _is_here(self, path: pathlib.Path, name: str) -> bool:
    return path.is_file() and path.stat().st_size == self.sizes[name]

  def _keep(self, path: pathlib.Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
      temporary.write_bytes(content)
      os.replace(temporary, path)
    except OSError as error:
      self._may_keep = False
      logging.getLogger(__name__).warning(
        "warning: no more images of %s are kept in %s (%s)",
        *(self.address, self.folder, error.strerror),
      )
      with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)

  @contextlib.contextmanager
  def _alone(self) -> Iterator[None]:
    """One process of this host copies, the others wait and find it done."""
    self.folder.mkdir(parents=True, exist_ok=True)
    with (self.folder / "lock").open("a") as file:
      with contextlib.suppress(OSError):  # where there are no locks each copies for itself
        fcntl.flock(file, fcntl.LOCK_EX)
      yield
