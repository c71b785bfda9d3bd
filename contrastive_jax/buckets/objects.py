"""The few operations on objects that a run needs, over gcsfs and s3fs.

An object is put whole in one call, from bytes or a file that are ready: what is raised half-way
publishes nothing. Listings are asked for anew each time, since those clients keep them for ever.
While the server is away each call waits and asks again, for a minute in all.
"""

import concurrent.futures
import contextlib
import functools
import hashlib
import logging
import os
import pathlib
import time
import uuid
from collections.abc import Callable, Collection, Container, Iterator
from typing import Any, TypeVar

from contrastive_jax import errors, slow
from contrastive_jax.buckets.address import Address

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # between the tries: a server that restarts is back
_LONGEST_S = 60.0  # gcsfs itself tries for half a minute each time
_PIECE = 2**26  # bytes read at once
_AT_ONCE = 8  # objects that are put or read
_CONNECT_S, _SILENT_S = 10, 60
# Faults of ours, of a client or of the user: to ask again would hide them.
_NOT_THE_SERVERS = (TypeError, AttributeError, NotImplementedError, KeyError, errors.UserError)
_NO_RIGHT = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError")
_READ_AT_START = (
  *("STORAGE_EMULATOR_HOST", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"),
  *("AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS"),
)
_N, _T = TypeVar("_N"), TypeVar("_T")
File = tuple[int, str]  # bytes, SHA-256


class Objects:
  """The objects whose names begin with an address; names here are what follows.

  Raises, from every method: `PermissionError`, told apart from what may pass; `FileNotFoundError`
  where there is no such object, or for a listing no such bucket.
  """

  def __init__(self, address: Address, pauses_s: tuple[float, ...] | None = None):
    self.address, self._pauses_s = address, pauses_s

  @property
  def _system(self) -> Any:  # not kept: an object of this class goes to worker processes
    return _system(self.address.scheme, os.getpid(), *map(os.environ.get, _READ_AT_START))

  def listed(self, under: str = "") -> dict[str, int]:
    """Returns name and bytes of every object below a "folder". Raises `ReadFailed`."""
    return {name: size for name, (size, _) in self.versions(under).items()}

  def versions(self, under: str = "") -> dict[str, tuple[int, str]]:
    """Returns bytes, and what changes with an object, by name; of every object below a "folder"."""
    place = self._path(under)
    found = self._read(
      under, lambda: self._system.find(place, detail=True, withdirs=False), "be listed"
    )
    begin = len(self._path("")) + 1
    return {
      path[begin:]: (int(info["size"] or 0), str(info.get("ETag") or info.get("md5Hash", "")))
      for path, info in found.items()
      if info["type"] == "file" and not path.endswith("/") and len(path) >= begin
    }

  def version(self, name: str) -> dict[str, tuple[int, str]]:
    """As `versions`, of one object; nothing if there is none."""
    return {k: v for k, v in self.versions(name).items() if k == name}

  def get(self, name: str) -> bytes:
    """Returns what an object holds. Raises `ReadFailed`."""
    return self._read(name, lambda: self._system.cat_file(self._path(name)))

  def put(self, name: str, content: bytes, create: bool = False) -> None:
    """Writes an object.

    Args:
      name: of it.
      content: all of it.
      create: only if there is none of that name.

    Raises:
      FileExistsError: there is one, and it is not what an earlier try of this call wrote.
      SaveFailed: it cannot be written for now.
    """
    try:
      self._write(name, lambda: self._pipe(name, content, "create" if create else "overwrite"))
    except FileExistsError:
      if self.get(name) != content:
        raise

  def try_writing(self) -> None:
    """Puts an object and removes it. Raises `SaveFailed`."""
    trial = f"{uuid.uuid4().hex}.trial"
    self.put(trial, b"")
    self.delete(trial)

  def delete(self, *names: str) -> None:
    """Removes objects; one that is not there is no error. Raises `SaveFailed`."""

    def delete(name):
      with contextlib.suppress(FileNotFoundError):
        self._write(name, lambda: self._system.rm_file(self._path(name)))

    at_once(delete, names)

  def upload(
    self, folder: pathlib.Path, prefix: str, without: Container[str] = ()
  ) -> dict[str, File]:
    """Puts every file of a folder where there is none, reads all back and compares.

    Args:
      folder: of files that are ready; it holds nothing else than folders.
      prefix: what stands before their relative paths, without a slash at its end.
      without: relative paths of files that are there already.

    Returns:
      Bytes and digest of each file, by relative path.

    Raises:
      SaveFailed: it cannot be written, or what came back is not what was put.
    """
    paths = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    paths = {name: path for name, path in paths.items() if name not in without}

    def put(name):
      path, remote = paths[name], f"{prefix}/{name}"
      with contextlib.suppress(FileExistsError):  # of an earlier try: it is compared below
        if path.stat().st_size <= _PIECE:
          self._write(remote, lambda: self._pipe(remote, path.read_bytes(), "create"))
        else:
          self._write(
            remote, lambda: self._system.put_file(str(path), self._path(remote), mode="create")
          )
      expected = described(path)
      if self.described(remote, expected[0]) != expected:
        raise errors.SaveFailed(f"{self.address / remote} is not what was written there")
      return expected

    found = dict(zip(paths, at_once(put, paths), strict=True))
    there = self.listed(prefix)
    for name, (size, _) in found.items():
      if there.get(f"{prefix}/{name}") != size:
        raise errors.SaveFailed(
          f"{self.address / prefix}/{name} has {there.get(f'{prefix}/{name}')} bytes in the "
          f"listing, and {size} were written"
        )
    return found

  def download(self, name: str, path: pathlib.Path, size: int) -> File:
    """Writes an object to a file, whole or not at all; returns its bytes and digest.

    Args:
      name: of the object.
      path: of the file.
      size: that it is known to have; where it is shorter the file is, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name[:200]}.{os.getpid()}.part")
    try:
      with temporary.open("wb") as file:
        found = self._streamed(name, size, file.write)
      os.replace(temporary, path)
    finally:
      temporary.unlink(missing_ok=True)
    return found

  def part(self, name: str, start: int, end: int) -> bytes:
    """Returns the bytes start..end of an object. Raises `ReadFailed`."""
    return self._read(name, lambda: self._system.cat_file(self._path(name), start=start, end=end))

  def described(self, name: str, size: int) -> File:
    """Returns bytes and digest of an object that is known to have so many bytes."""
    return self._streamed(name, size, lambda piece: None)

  def abandon_uploads(self) -> None:
    """Gives up uploads in parts that a killed process left open here: they cost, unseen."""
    if self.address.scheme != "s3":
      return  # Google drops them after a week, at no cost
    with contextlib.suppress(PermissionError):
      begin = self.address.path + "/"
      for upload in self._read(
        "", lambda: self._system.list_multipart_uploads(self.address.bucket), "be listed"
      ):
        if upload["Key"].startswith(begin):
          self._write(
            upload["Key"],
            lambda upload=upload: self._system.abort_mpu(
              self.address.bucket, upload["Key"], upload["UploadId"]
            ),
          )

  def _streamed(self, name: str, size: int, take: Callable[[bytes], Any]) -> File:
    digest, place = hashlib.sha256(), 0
    while place < size:
      end = min(place + _PIECE, size)
      piece = self._read(
        name,
        lambda place=place, end=end: self._system.cat_file(self._path(name), start=place, end=end),
      )
      if not piece:
        break
      digest.update(piece)
      take(piece)
      place += len(piece)
      if place < end:  # it is shorter than it was
        break
    return place, digest.hexdigest()

  def _pipe(self, name: str, content: bytes, mode: str) -> None:
    """Puts bytes. What gcsfs puts as a part of a message with LF where the standard has CR LF loses
    a CR at its end, or what is like the border; so that goes by the other way it has.
    """
    kept = {}
    if self.address.scheme == "gs" and (content.endswith(b"\r") or b"--==0==" in content):
      kept = {"chunksize": min(len(content), _PIECE)}
    self._system.pipe_file(self._path(name), content, mode=mode, **kept)

  def _path(self, name: str) -> str:
    return "/".join(filter(None, (self.address.bucket, self.address.path, name)))

  def _read(self, name: str, act: Callable[[], _T], verb: str = "be read") -> _T:
    return self._patiently(name, act, errors.ReadFailed, verb)

  def _write(self, name: str, act: Callable[[], _T]) -> _T:
    return self._patiently(name, act, errors.SaveFailed, "be written")

  def _patiently(self, name: str, act: Callable[[], _T], kind: type[Exception], verb: str) -> _T:
    """Returns what `act` returns, tried again after pauses while the server does not answer."""
    what = str(self.address / name) if name else str(self.address)
    pauses_s = PAUSES_S if self._pauses_s is None else self._pauses_s
    begun = time.monotonic()
    for tries, pause_s in enumerate((*pauses_s, None), 1):
      try:
        with slow.named(what):
          return act()
      except FileNotFoundError as error:
        writes = kind is errors.SaveFailed  # for which nothing but the bucket can be missing
        gone = f"{what}: there is no bucket {self.address.bucket}" if writes else what
        raise FileNotFoundError(gone) from error
      except (FileExistsError, *_NOT_THE_SERVERS):
        raise
      except Exception as error:  # aiohttp, botocore, google.auth and gcsfs have kinds of their own
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if _is_refusal(error):
          raise PermissionError(f"{what}: {reason}") from error
        if pause_s is None or time.monotonic() - begun > _LONGEST_S:
          raise kind(
            f"{what} cannot {verb} ({type(error).__name__}: {reason}; tried {tries} times); when "
            "the server or the network is well again, the same command goes on from the last "
            "checkpoint, if there is one"
          ) from error
        if tries == 1:
          logging.getLogger(__name__).warning(
            "warning: %s cannot %s for now (%s); it is tried again", what, verb, reason
          )
      time.sleep(pause_s)
    raise AssertionError("unreachable")


@contextlib.contextmanager
def opening(address: Address, name: str) -> Iterator[None]:
  """Turns what a server refuses, at a start, into `UserError`: no further start could mend it.

  What the system of this host says has a number, and is let through.
  """
  try:
    yield
  except FileNotFoundError as error:
    if error.errno is not None:
      raise
    raise errors.UserError(
      f"{name} {address}: there is no bucket {address.bucket}; make it (no run makes one), or give "
      "another place"
    ) from error
  except PermissionError as error:
    if error.errno is not None:
      raise
    raise errors.UserError(
      f"{name} {address} may not be used ({str(error)[:300]}); set credentials and permissions "
      "right (docs/buckets.md), or give another place"
    ) from error


def at_once(act: Callable[[_N], _T], names: Collection[_N]) -> list[_T]:
  """Returns what `act` gives for each; what one raises is raised once all have ended."""
  if len(names) < 2:
    return [act(name) for name in names]
  with concurrent.futures.ThreadPoolExecutor(_AT_ONCE, "objects") as pool:
    return list(pool.map(act, names))


def described(path: pathlib.Path) -> File:
  with path.open("rb") as file:
    return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _is_refusal(error: Exception) -> bool:
  """gcsfs tells of a 403 in an OSError, and of a 401 in an error of its own with that code; s3fs of
  a 401 in botocore's.
  """
  answer = getattr(error.__cause__, "response", None) or {}
  return (
    isinstance(error, PermissionError)
    or answer.get("ResponseMetadata", {}).get("HTTPStatusCode") in (401, 403)
    or str(getattr(error, "code", "")) in ("401", "403")
    or type(error).__name__ in _NO_RIGHT
    or (isinstance(error, OSError) and str(error).startswith("Forbidden"))
  )


@functools.cache
def _system(scheme: str, *of_this: object) -> Any:
  """Returns gcsfs's or s3fs's file system, which keeps no listings: one a process."""
  kept = {"use_listings_cache": False, "skip_instance_cache": True}
  if scheme == "s3":
    import s3fs

    limits = {"connect_timeout": _CONNECT_S, "read_timeout": _SILENT_S}
    return s3fs.S3FileSystem(config_kwargs=limits, **kept)
  import aiohttp
  from gcsfs import core  # not the class that asks by gRPC for the kind of a bucket

  logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it prints what is raised here
  emulator = os.environ.get("STORAGE_EMULATOR_HOST", "default") not in ("", "default")
  limits = aiohttp.ClientTimeout(sock_connect=_CONNECT_S, sock_read=_SILENT_S)
  return core.GCSFileSystem(token="anon" if emulator else None, requests_timeout=limits, **kept)
