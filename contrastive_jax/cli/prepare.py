"""`contrastive_jax prepare`: copies images of any source into records, shrunk."""

import itertools
import os
import pathlib
import re
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict

from contrastive_jax import config, config_files, errors, paths, unread
from contrastive_jax.cli.command import Asked, Command
from contrastive_jax.cli.leave import leave


def _define(values: flags.FlagValues) -> None:
  given = {"flag_values": values}
  flags.DEFINE_string("out", None, "folder for the records", **given)
  flags.DEFINE_list("splits", [], "train,test, ...: what is copied (data.split)", **given)
  flags.DEFINE_integer(
    "size_px",
    None,
    "side of a square that images are shrunk to fit in (unset: no shrinking)",
    **given,
  )
  flags.DEFINE_string("format", "jpeg", "of images: jpeg, webp, webp-lossless or png", **given)
  flags.DEFINE_integer("quality", 95, "of jpeg and webp, 1 to 100", **given)
  flags.DEFINE_integer("images_per_shard", 8192, "images in a file", **given)
  flags.DEFINE_string("shard", "0/1", "I/N: part I of N of the files, I from 0", **given)
  flags.DEFINE_integer(
    "threads",
    None,
    "that decode and encode (unset: one a core; with --engine=ray 1, of each file)",
    lower_bound=1,
    **given,
  )
  flags.DEFINE_enum(
    "engine", None, ["ray"], "that makes the files on many machines (unset: this process)", **given
  )
  flags.DEFINE_bool(
    "check", False, "read files that are there, and make damaged ones anew", **given
  )


def _run(asked: Asked) -> None:
  from contrastive_jax import data
  from contrastive_jax.data import several

  unread.check_paths(asked.config)
  given = asked.flags
  if not given["out"].value:
    raise errors.UserError("--out is missing; give a folder for the records, e.g. --out=DIR")
  if given["workdir"].value:
    raise errors.UserError("--workdir is given, but prepare has none; it writes to --out")
  out = pathlib.Path(paths.local(given["out"].value, "--out"))
  part, parts = _part(given["shard"].value)
  asked_for = given["splits"].value or [asked.config.data.split]
  for split in itertools.chain(*map(several.names_in, asked_for)):
    if "[" in split:
      raise errors.UserError(
        f'split "{split}" is a slice, and files are named after whole splits: prepare '
        f"{split.partition('[')[0]}, and give the slice where that is read, "
        f"--config.data.split='{split}'"
      )
  with data.one_look():  # at the set, also for the splits of train+extra
    _prepare_all(asked, asked_for, out, part, parts)


def _prepare_all(asked: Asked, asked_for: Sequence[str], out, part: int, parts: int) -> None:
  from contrastive_jax import places
  from contrastive_jax.data import preparing, several

  given = asked.flags
  splits = _each(asked.config, asked_for)
  for split in splits:
    paths.check_name("split", split)
  keys = ("size_px", "quality", "images_per_shard")
  how = preparing.Kept(kind=given["format"].value, **{key: given[key].value for key in keys})
  on_ray = given["engine"].value == "ray"
  if on_ray and parts > 1:
    raise errors.UserError("--shard is given with --engine=ray, which makes all; leave one out")
  threads = given["threads"].value or (1 if on_ray else os.cpu_count() or 1)
  places.ready(out, "the records", "give another --out")
  try:
    work = {"num_threads": threads, "check": given["check"].value}
    if on_ray:
      done = _prepare_on_ray(asked.config, splits, out, how, **work)
    else:
      done = _prepare(asked.config, splits, out, how, part=part, parts=parts, **work)
  except KeyboardInterrupt:
    leave("interrupted; the same command goes on with the files that are missing", 130)
  if not done:
    print(f"part {part} of {parts} is done; the set is whole when all parts are")
    return
  joined = [several.BETWEEN.join(several.names_in(a)) for a in asked_for if a not in splits]
  read = f" --config.data.split={joined[0]}" if joined else ""
  print(f"done; --config.data.source=arrayrecord --config.data.arrayrecord.path={out}{read}")


def _each(config, asked_for: Sequence[str]) -> list[str]:
  """Returns the splits that have files of their own: those of train+extra, joined when read.

  Raises UserError: those of one cannot be joined.
  """
  from contrastive_jax.data import several

  found = []
  for asked in asked_for:
    names = several.names_in(asked)
    if len(names) > 1:
      from contrastive_jax import run_images

      # A folder may be called train+val.
      names = names if isinstance(run_images.source(config, asked), several.Joined) else [asked]
    found += names
  return list(dict.fromkeys(found))


def _prepare(config, splits, out, how, **work) -> bool:
  """Returns whether all is there."""
  from contrastive_jax import run_images  # JAX is not loaded before the flags are right
  from contrastive_jax.data import preparing

  sources = [run_images.source(config, split) for split in splits]  # all, before hours of the first
  pairs = list(zip(sources, splits, strict=True))
  preparing.check_classes(out, {split: source.label_names for source, split in pairs})
  return all([preparing.prepare(source, split, out, how, **work) for source, split in pairs])


def _prepare_on_ray(config, splits, out, how, **work) -> bool:
  from contrastive_jax.data import on_ray

  name = config.data.source
  options = dict(config.data[name].items()) if name in config.data else {}
  for split in splits:
    on_ray.prepare(name, options, split, out, how, **work)
  return True


def _part(given: str) -> tuple[int, int]:
  found = re.fullmatch(r"(\d+)/(\d+)", given)
  if not found or not int(found[1]) < int(found[2]):
    raise errors.UserError(f"--shard={given}: give I/N with I from 0 to N - 1, e.g. 0/4")
  return int(found[1]), int(found[2])


def _unread(given: ConfigDict) -> dict[str, str]:
  """Returns {key: why} of all options but those of the source: nothing is trained."""
  read = {"data.source", "data.split"}
  own = f"data.{given.data.source}."
  others = {
    key: "prepare reads data.source, data.split and the options of that source"
    for key in config.flatten(given)
    if key not in read and not key.startswith(own)
  }
  return others | unread.of_other_sources(given.data.source)


COMMAND = Command(
  name="prepare",
  line="Copies images of any source into records, shrunk: read faster, from few files.",
  example="contrastive_jax prepare --config.data.source=folder --config.data.folder.path=DIR "
  "--size_px=256 --out=OUT",
  schema=config,
  kind=config_files.RUNS,
  run=_run,
  unread=_unread,
  default_config="shapes/quickstart",
  define=_define,
  itself=False,
  workdir="has no meaning here: records go to --out",
)
