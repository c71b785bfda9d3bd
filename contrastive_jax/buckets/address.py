"""Addresses of places in buckets, as a user gives them."""

import dataclasses
import hashlib
import importlib.util
import os
import re

from contrastive_jax import errors, paths

# The scheme, the package that knows it, and the extra that brings it.
PACKAGES = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# What both allow; Google takes longer names where they have dots.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_LONGEST = 800  # bytes of a path: an object's name has 1,024 at most, and a run adds to it


@dataclasses.dataclass(frozen=True)
class Address:
  """A "folder" in a bucket: the beginning of names of objects.

  Attributes:
    scheme: "gs" or "s3".
    bucket: its name.
    path: without slashes at its ends; "" is the whole bucket.
  """

  scheme: str
  bucket: str
  path: str

  def __str__(self) -> str:
    return f"{self.scheme}://{self.bucket}/{self.path}".rstrip("/")

  def __truediv__(self, name: str) -> "Address":
    return dataclasses.replace(self, path=f"{self.path}/{name}".strip("/"))

  @property
  def name(self) -> str:
    """The last part of its path."""
    return self.path.rpartition("/")[2] or self.bucket

  @property
  def slug(self) -> str:
    """A name for a local folder, of this address alone."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", str(self).replace("://", "_"))[-60:]
    return f"{plain.strip('._-')}-{hashlib.sha256(str(self).encode()).hexdigest()[:12]}"


def is_bucket(path: str | os.PathLike | None) -> bool:
  """Returns whether a path names a bucket of a kind that is known."""
  match = _SCHEME.fullmatch(os.fspath(path)) if path is not None else None
  return bool(match) and match[1] in PACKAGES


def parsed(given: str, name: str) -> Address:
  """Returns the address that was given by the flag or key `name`.

  Raises:
    UserError: it is none, or the package that reads it is not installed.
  """
  match = _SCHEME.fullmatch(given)
  if not match or match[1] not in PACKAGES:
    known = " or ".join(f"{scheme}://BUCKET/PATH" for scheme in PACKAGES)
    raise errors.UserError(f"{name} {given} is no bucket that can be used; give {known}")
  scheme, rest = match.groups()
  bucket, _, path = rest.partition("/")
  path = path.strip("/")
  if not _BUCKET.fullmatch(bucket):
    raise errors.UserError(
      f"{name} {given}: {bucket!r} is no name of a bucket (3 letters or more: a-z, 0-9, dots, "
      f"hyphens); give {scheme}://BUCKET/PATH"
    )
  odd = [part for part in path.split("/") if part in ("", ".", "..")] if path else []
  if odd or re.search(r"[\x00-\x1f*?#\[\]]", path):
    raise errors.UserError(
      f"{name} {given}: names in a bucket are taken letter by letter; leave out empty parts, "
      "'.', '..' and * ? # [ ]"
    )
  if len(path.encode()) > _LONGEST:
    raise errors.UserError(
      f"{name} {given[:40]}... has a path of {len(path.encode()):,} bytes; use at most {_LONGEST}"
    )
  package, extra = PACKAGES[scheme]
  if importlib.util.find_spec(package) is None:
    raise errors.UserError(
      f"{name} {given} needs {package}, which is not installed; pip install "
      f"'contrastive_jax[{extra}]'"
    )
  return Address(scheme, bucket, path)


def checked(path: str | os.PathLike, name: str) -> str:
  """Returns a path of this machine, `~` expanded, or the address of a bucket as it is.

  Args:
    path: as it was given.
    name: of the flag or key that it was given by.

  Raises:
    UserError: it is neither, or what reads such a bucket is not installed.
  """
  if is_bucket(path):
    return str(parsed(os.fspath(path), name))
  return paths.local(path, name)
