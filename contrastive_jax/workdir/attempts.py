"""Whether a checkpoint that is read is damaged: agreed by all processes before one acts on it."""

import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from contrastive_jax import errors, reading
from contrastive_jax.processes import agree
from contrastive_jax.workdir import manifest, part_files

_T = TypeVar("_T")


def attempt(
  step: int,
  directory: pathlib.Path,
  read: Callable[[pathlib.Path, int], _T],
  fetch: Callable[[int, Sequence[str]], str | None],
) -> tuple[_T | None, str | None]:
  """Returns (what `read` returns, None), or (None, how the checkpoint is damaged).

  The same on every process: what one finds damaged, in what it alone reads, the others look at too.
  For that `fetch` brings whole files that a bucket has. Whatever else is raised of files whose
  digests are right is no damage, be it an error of the disk in a ValueError.

  Raises:
    ReadFailed: the checkpoint may be good and cannot be read, by this process or another.
    UserError: it is of another network, or this user may not read it.
  """
  value, damage, failure = _tried(step, lambda: read(directory, step))
  _end_if_any(step, failure)
  if not agree.any_process(damage is not None):
    return value, None
  if agree.any_process(damage is None):
    files = [text for text in agree.texts(damage.file if damage else "") if text]
    if damage is None:
      _, damage, failure = _tried(step, lambda: _check_files(directory, step, files, fetch))
    _end_if_any(step, failure)
    if agree.any_process(damage is None):
      raise errors.ReadFailed(
        f"checkpoint {step} is damaged for one process and whole for another "
        f"(this one: {damage or 'whole'}); see that all hosts read the same disk"
      )
  return None, str(damage)


def _tried(
  step: int, read: Callable[[], _T]
) -> tuple[_T | None, manifest.Damaged | None, Exception | None]:
  """Returns what was read, how it is damaged, or why it cannot be read."""
  try:
    return reading.patiently(f"checkpoint {step}", read, may_pass=_is_no_damage), None, None
  except manifest.Damaged as error:
    return None, error, None
  except (errors.ReadFailed, errors.UserError) as error:
    return None, None, error


def _end_if_any(step: int, failure: Exception | None) -> None:
  if agree.any_process(failure is not None):
    raise failure or errors.ReadFailed(
      f"checkpoint {step} cannot be read by another process; see what it says"
    )


def _check_files(
  directory: pathlib.Path,
  step: int,
  names: Iterable[str],
  fetch: Callable[[int, Sequence[str]], str | None],
) -> None:
  """Raises `Damaged` if the manifest or one of these files is not what was written."""
  if problem := fetch(step, (manifest.NAME, *names)):
    raise manifest.Damaged(problem)
  listed = manifest.of_step(directory, step)
  for name in set(names) & set(listed["files"]):
    table = part_files.parsed(listed["files"][name], listed["leaves"])
    part_files.check(directory, name, table, listed["leaves"])


def _is_no_damage(error: BaseException) -> bool:
  return not isinstance(error, errors.UserError | errors.ReadFailed | manifest.Damaged)
