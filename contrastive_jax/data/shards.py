"""Which files a split is made of, as users name them: a pattern, a folder, or one file.

`{split}` is replaced by the split, braces are spelt out as a shell does (`{0000..0127}`, `{a,b}`),
and `*`, `?` and `[...]` match what is there. Files that braces name must all be there: a set of
which shards are missing is another set. In a folder, names say of which split a file is.
"""

import contextlib
import dataclasses
import glob
import itertools
import logging
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

from contrastive_jax import errors, paths, plural, reading
from contrastive_jax.buckets import address, files
from contrastive_jax.data import splits

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST = 10**6  # files; more are a slip in a pattern
_NUMBERED = re.compile(r"(.*)-(\d+)-of-(\d+)(.*)", re.DOTALL)
_PATTERN = re.compile(r"[*?[]")


@dataclasses.dataclass(frozen=True)
class Wanted:
  """What is looked for.

  Attributes:
    key: of the config, that the path was given by.
    suffixes: of the files, where a folder is given.
    example: of a path, for messages.
    cache_gb: of a set in a bucket that may be kept on this host.
    beside: suffixes of files that describe the others, and are copied from a bucket with them.
  """

  key: str
  suffixes: tuple[str, ...]
  example: str
  cache_gb: float = 50.0
  beside: tuple[str, ...] = ()


def find(given: str, split: str, wanted: Wanted) -> list[pathlib.Path]:
  """Returns the files of a split in order, those of a bucket copied to this host.

  Args:
    given: the path: a pattern, a folder or a file.
    split: as it was asked for.
    wanted: see there.

  Raises:
    UserError: there is none, one is missing or is no regular file.
  """
  key = wanted.key
  if not given:
    raise errors.UserError(f"{key} is not set; give e.g. --config.{key}={wanted.example}")
  if address.is_bucket(given):
    return _in_bucket(given, split, wanted)
  path = paths.local(given, key).replace("{split}", split)
  if reading.is_folder(path):
    found = _of_split(_below(path, wanted), split, path, wanted)
  else:
    found = []
    for name in spelt_out(path, key):
      matching = sorted(glob.glob(name), key=os.fsencode) if _PATTERN.search(name) else [name]
      if not matching or not os.path.lexists(matching[0]):
        raise errors.Absent(f'no file "{name}"; set {key}, e.g. to {wanted.example}')
      found += matching
    if "{split}" not in given:  # a pattern may match the files of several splits
      found = _named_alike(found, split, wanted)
  for name in found:
    if other := reading.no_regular_file(name):
      raise errors.UserError(f"{name} is {other}; only regular files are read")
  if reading.is_folder(path) or _PATTERN.search(path):
    _tell_of_missing(found)
  return [pathlib.Path(name) for name in found]


def of_other_splits(given: str, split: str, wanted: Wanted) -> list[pathlib.Path]:
  """Returns the files of all splits but one, as far as a path on this machine finds them.

  Raises UserError: they are in a bucket, and to number classes alike they would all be copied.
  """
  check_near(given, wanted.key.rpartition(".")[0])
  found: dict[pathlib.Path, None] = {}
  for name in other_splits(given, split):
    if splits.kind(name) != splits.kind(split) or splits.kind(split) == "":
      with contextlib.suppress(errors.UserError):
        found |= dict.fromkeys(find(given, name, wanted))
  return list(found)


def other_splits(given: str, split: str) -> Sequence[str]:
  """Returns what the splits of a set may be called by which a path finds their files."""
  return splits.spelt_like(split) if "{split}" in given else ("train", "validation", "test")


def check_near(given: str, section: str) -> None:
  """Raises UserError if the files of all splits, whose labels are needed, are in a bucket."""
  if address.is_bucket(given):
    raise errors.UserError(
      f"labels of {section} are no numbers, and to number classes alike over all splits of a "
      f"bucket would be to copy them all; set {section}.names to a file with the names of all "
      "classes, a line each"
    )


def spelt_out(pattern: str, key: str = "the path") -> list[str]:
  """Returns the names that a pattern with braces stands for; zeros in front are kept.

  Raises:
    UserError: a range runs down, or there are a million names and more.
  """
  pieces, last, count = [], 0, 1
  for braces in _BRACES.finditer(pattern):
    inside = _RANGE.fullmatch(braces[1])
    if inside:
      first, end = inside.groups()
      if int(end) < int(first):
        raise errors.UserError(f"{key}: {braces[0]} runs down; write the smaller number first")
      width = len(first) if len(first) == len(end) or first.startswith("0") else 0
      numbers = range(int(first), int(end) + 1)
      count *= len(numbers)
      choices = (f"{number:0{width}d}" for number in numbers)
    elif "," in braces[1]:
      choices = braces[1].split(",")
      count *= len(choices)
    else:
      continue
    if count > _MOST:
      raise errors.UserError(f"{key}: {pattern} names more than {_MOST:,} files; narrow the braces")
    pieces += [[pattern[last : braces.start()]], list(choices)]
    last = braces.end()
  return ["".join(parts) for parts in itertools.product(*pieces, [pattern[last:]])]


def split_named(path: str) -> str:
  """Returns which kind of split a relative path names: "train", "validation", "test" or "".

  A folder says it by its whole name, a file by a word of its name: data/train-00000-of-00002.x.
  """
  *folders, name = path.replace(os.sep, "/").split("/")
  kinds = (splits.kind(part) for part in [*folders[::-1], *re.split(r"[-_.]", name)[:-1]])
  return next((kind for kind in kinds if kind), "")


def _of_split(names: list[str], split: str, root: str, wanted: Wanted) -> list[str]:
  """Returns those of the files below a folder that belong to a split; relative names are told."""
  if not names:
    raise errors.Absent(
      f"no file under {root} ends in {' or '.join(wanted.suffixes)}; set {wanted.key}, e.g. to "
      f"{wanted.example}"
    )
  inside = [name for name in names if name.split("/")[0] == split and "/" in name]
  if not inside:
    kinds = {name: split_named(name) for name in names}
    known = sorted(set(filter(None, kinds.values())))
    if not known and split == "train":
      _tell_if_mixed(names, wanted)
      return [os.path.join(root, name) for name in names]
    inside = [name for name in names if kinds[name] == splits.kind(split) != ""]
    if not splits.kind(split):  # extra-00000-of-00002.parquet, unlabeled-00000-of-00013.arrayrecord
      form = re.compile(rf"{re.escape(split)}(-\d.*|\.\w+)")
      inside = [name for name in names if form.fullmatch(name.rpartition("/")[2])]
    if not inside:
      there = f" but {', '.join(known)}" if known else ""
      raise errors.UserError(
        f"{root} has no files of a split {split!r}{there}; name them so ({split}-00000.x), set "
        f"{wanted.key} to a pattern with {{split}}, or name another split"
      )
  return [os.path.join(root, name) for name in inside]


def _named_alike(found: list[str], split: str, wanted: Wanted) -> list[str]:
  """Returns the files that a pattern names, unless their names say that they are of other splits.

  Raises:
    UserError: none is of this split, or the pattern does not say which.
  """
  kinds = [split_named(os.path.basename(name)) for name in found]
  asked = splits.kind(split)
  chosen = [name for name, kind in zip(found, kinds, strict=True) if kind and kind == asked]
  if chosen:
    return chosen
  if any(kinds) or split != "train":
    raise errors.UserError(
      f"{wanted.key} names no file of a split {split!r}; write {{split}} where its name stands, "
      f"e.g. {wanted.example}"
    )
  _tell_if_mixed(["/".join(name.split(os.sep)[-2:]) for name in found], wanted)
  return found


def _tell_if_mixed(names: list[str], wanted: Wanted) -> None:
  """Says that names of files which are all taken as train have words of several splits."""
  of: dict[str, str] = {}  # the first file of each split
  for name in names:
    for word in re.split(r"[-_. /]", name):
      if kind := splits.kind(word, short=True):
        of.setdefault(kind, name)
  if len(of) > 1:
    logging.getLogger(__name__).warning(
      "warning: %s may be of %s, and all files are taken as train: write {split} in that place, "
      "%s=%s",
      *(" and ".join(of.values()), " and ".join(of), wanted.key, wanted.example),
    )


def _tell_of_missing(found: list[str]) -> None:
  """Says which files ...-00001-of-00003... are not there beside others: part of a copy is a set."""
  numbers: dict[tuple[str, str, str], set[int]] = {}
  for name in found:
    if match := _NUMBERED.fullmatch(name):
      begin, number, count, end = match.groups()
      numbers.setdefault((begin, count, end), set()).add(int(number))
  for (begin, count, end), there in numbers.items():
    gone = next((n for n in range(min(int(count), _MOST)) if n not in there), None)
    if gone is not None:
      logging.getLogger(__name__).warning(
        "warning: %s read, as their names count them; not there is %s",
        plural.of(len(there), f"of {int(count):,} files is", f"of {int(count):,} files are"),
        f"{begin}-{gone:0{len(count)}d}-of-{count}{end}",
      )


def _below(root: str, wanted: Wanted) -> list[str]:
  """Returns the relative names of files with one of the suffixes, in the order of their bytes."""
  found = []
  for folder, inside, names in os.walk(root, followlinks=True, onerror=_raised):
    inside[:] = sorted(name for name in inside if splits.belongs(name))
    at = os.path.relpath(folder, root)
    found += [
      name if at == "." else f"{at}/{name}"
      for name in names
      if _ends(name, wanted) and not name.startswith(".")
    ]
  return sorted(found, key=os.fsencode)


def _ends(name: str, wanted: Wanted) -> bool:
  """Returns whether a name has one of the suffixes, also with "-00000-of-00002" behind it."""
  return re.sub(r"-\d+-of-\d+$", "", name).endswith(wanted.suffixes)


def _raised(error: OSError) -> None:
  raise error


def _in_bucket(given: str, split: str, wanted: Wanted) -> list[pathlib.Path]:
  begin = _PATTERN.split(_BRACES.split(given.replace("{split}", split))[0])[0]
  folder = begin.rpartition("/")[0] if begin != given else given.rstrip("/")
  if _ends(given, wanted) and folder == given.rstrip("/"):
    folder = given.rpartition("/")[0]
  place = address.parsed(folder, wanted.key)
  found = files.Files(place, wanted.key)
  names = [n for n in sorted(found.sizes, key=os.fsencode) if _ends(n, wanted)]
  if folder == given.rstrip("/"):
    chosen = [os.path.relpath(n, given) for n in _of_split(names, split, given, wanted)]
  else:
    pattern = given[len(folder) + 1 :].replace("{split}", split)
    chosen = list(_matching(names, pattern, folder, wanted))
    if "{split}" not in given:
      chosen = _named_alike(chosen, split, wanted)
  cache = f"{wanted.key.rpartition('.')[0]}.cache_gb"
  folders = {os.path.dirname(name) for name in chosen}
  beside = [n for n in found.sizes if n.endswith(wanted.beside) and os.path.dirname(n) in folders]
  wanted_names = [*chosen, *(beside if wanted.beside else ())]
  if folder == given.rstrip("/") or _PATTERN.search(given):
    _tell_of_missing(chosen)
  here = found.only(wanted_names).whole(wanted_names, wanted.cache_gb, cache)
  return [here / name for name in chosen]


def _matching(names: list[str], pattern: str, folder: str, wanted: Wanted) -> Iterator[str]:
  for part in spelt_out(pattern, wanted.key):
    form = re.compile(_form(part))
    matching = [name for name in names if form.fullmatch(name)]
    if not matching:
      raise errors.Absent(
        f'no object "{folder}/{part}"; set {wanted.key}, e.g. to {wanted.example}'
      )
    yield from matching


def _form(pattern: str) -> str:
  """Returns the regular expression of a pattern: `*` and `?` stand for what is no slash."""
  parts = {"*": "[^/]*", "?": "[^/]"}
  return "".join(parts.get(letter, re.escape(letter)) for letter in pattern)
