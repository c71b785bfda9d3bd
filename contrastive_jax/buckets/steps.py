"""Checkpoints in a bucket: which of them count, and what is in them.

checkpoints/STEP/...        the files of a checkpoint, as they lie in a local workdir
checkpoints/STEP.committed  the marker, written last: the step counts. Bytes and digest of each file
checkpoints/STEP.damaged    set aside: a run found that it is not what was saved
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping

from contrastive_jax import checkpoint_names
from contrastive_jax.buckets.objects import File

_MARKER = re.compile(rf"checkpoints/({checkpoint_names.STEP})\.(committed|damaged)")
_OBJECT = re.compile(rf"checkpoints/({checkpoint_names.STEP})/(.+)", re.DOTALL)


def prefix(step: int) -> str:
  return f"checkpoints/{step}"


def marker(step: int, kind: str = "committed") -> str:
  return f"checkpoints/{step}.{kind}"


def marked(names: Iterable[str], kind: str = "committed") -> list[int]:
  """Returns the steps that have such a marker, oldest first."""
  found = (_MARKER.fullmatch(name) for name in names)
  return sorted(int(match[1]) for match in found if match and match[2] == kind)


def objects(names: Iterable[str]) -> dict[int, list[str]]:
  """Returns the names of the objects of every step that has any."""
  found: dict[int, list[str]] = {}
  for name in names:
    if match := _OBJECT.fullmatch(name):
      found.setdefault(int(match[1]), []).append(name)
  return found


def written(step: int, files: Mapping[str, File]) -> bytes:
  """Returns the content of a marker."""
  body = {"step": step, "files": files}
  return (json.dumps(body | {"sha256": _digest(body)}, indent=1) + "\n").encode()


def read(step: int, content: bytes) -> dict[str, File]:
  """Returns bytes and digest of each file.

  Raises:
    ValueError: the marker is damaged.
  """
  try:
    found = json.loads(content)
    own = found.pop("sha256", None)  # markers were without, and then blocks of files tell damage
    if set(found) != {"step", "files"} or own not in (None, _digest(found)):
      raise ValueError("not its digest")
    files = {name: (int(size), str(digest)) for name, (size, digest) in found["files"].items()}
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
    raise ValueError(f"its marker cannot be read ({type(error).__name__})") from error
  if found["step"] != step:
    raise ValueError(f"its marker is of step {str(found['step'])[:20]}")
  for name, (size, _) in files.items():
    if size < 0 or name.startswith("/") or ".." in name.split("/") or "\\" in name:
      raise ValueError("its marker names files that no run writes")
  return files


def _digest(body: Mapping[str, object]) -> str:
  return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
