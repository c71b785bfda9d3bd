"""A page is known as one of ours by a line in its head; a folder with other files is left alone."""

import pathlib
from collections.abc import Iterable

from contrastive_jax import errors, reading

MARK = '<meta name="generator" content="contrastive_jax">'
NAME = "index.html"
_HEAD = 1000  # bytes of a page in which the mark is


def check_place(folder: pathlib.Path, names: Iterable[str], remedy: str) -> None:
  """Raises `UserError` where files would be replaced that do not lie beside a page of ours.

  Args:
    folder: that is to be written to, and may be missing.
    names: of the files to come.
    remedy: names another place, in errors.
  """
  there = sorted(set(names) & set(reading.names_in(folder)))
  if there:
    check(str(folder / there[0]), reading.content(folder / NAME), remedy)


def check(place: str, page: bytes | None, remedy: str) -> None:
  """Raises `UserError` unless what would be replaced lies beside, or is, a page of ours.

  Args:
    place: of a file, that is there.
    page: the content of `NAME` beside it, if there is one.
    remedy: names another place, in errors.
  """
  if MARK.encode() not in (page or b"")[:_HEAD]:
    raise errors.UserError(
      f"{place} is there, and nothing tells that contrastive_jax has written it; {remedy}"
    )
