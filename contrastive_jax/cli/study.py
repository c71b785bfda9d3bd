"""`contrastive_jax study`: runs an experiment of many runs, or says what it would be."""

import fcntl
import pathlib
import re
import shlex

from absl import flags

from contrastive_jax import config_files, errors, places, plural
from contrastive_jax.buckets import address
from contrastive_jax.cli.command import Asked, Command
from contrastive_jax.study import config


def _define(values: flags.FlagValues) -> None:
  given = {"flag_values": values}
  flags.DEFINE_multi_string(
    "set", [], "KEY=VALUE: a change to every run, e.g. data.tfds.path=DIR (repeatable)", **given
  )
  flags.DEFINE_multi_string("only", [], "AXIS=LABEL,LABEL: these cells alone (repeatable)", **given)
  flags.DEFINE_string("shard", None, "I/N: part I of N of the cells, I from 0", **given)
  flags.DEFINE_bool("list", False, "print the cells, their steps, their time, and leave", **given)
  flags.DEFINE_bool("dry_run", False, "print the commands of the cells, and leave", **given)
  flags.DEFINE_string(
    "plan", None, "print what each cell needs on v5e:4x4, cpu:8, here, ..., and leave", **given
  )
  flags.DEFINE_string(
    "plan_images", None, "COUNT:CLASSES[:PIXELS] of the training set, if not at hand", **given
  )
  flags.DEFINE_bool("report", False, "write DIR/report from what is there, and leave", **given)
  flags.DEFINE_integer("slurm", None, "print a SLURM array of so many shards, and leave", **given)
  flags.DEFINE_integer("jobset", None, "print a JobSet of so many shards, and leave", **given)
  flags.DEFINE_integer("submit", None, "submit an array of so many shards, and leave", **given)
  flags.DEFINE_string("submit_to", "slurm", "submitit's cluster: slurm, or local", **given)
  flags.DEFINE_multi_string(
    "submit_with", [], "KEY=VALUE of submitit: timeout_min=600 (repeatable)", **given
  )
  flags.DEFINE_integer("jobs", 1, "cells at a time on this machine", lower_bound=1, **given)
  flags.DEFINE_multi_string(
    "job_env",
    [],
    "NAME=VALUE for each, {job} its place from 0: CUDA_VISIBLE_DEVICES={job} (repeatable)",
    **given,
  )
  flags.DEFINE_integer(
    "restarts", 2, "of a cell that dies, in a row without a new checkpoint", lower_bound=0, **given
  )
  flags.DEFINE_string(
    "under", "", "words before each command, e.g. srun, for cells of several processes", **given
  )


def _run(asked: Asked) -> None:
  from contrastive_jax.study import bucket

  given = asked.flags
  study = config.resolve(config.with_changes(asked.config, given["set"].value))
  _check_flags(given)
  if given["slurm"].value or given["jobset"].value:
    print(_manifest(asked, study.name), end="")
    return
  if not given["workdir"].value:
    raise errors.UserError(
      "--workdir is missing; give a directory for the study, e.g. --workdir=runs/batch_size"
    )
  only_looks = any(given[name].value for name in ("list", "dry_run", "plan"))
  with bucket.place(given["workdir"].value, writes=not only_looks) as place:
    _in(place, study, asked)


def _in(place, study, asked: Asked) -> None:
  from contrastive_jax.study import agree, cells, layout, listing, plans, selection

  given, root = asked.flags, place.root
  layout.check(root)
  everything = cells.cells(study)
  for cell in everything:
    cells.resolve(cell)
  selected = selection.only(study, everything, given["only"].value)
  if given["shard"].value is not None:
    selected = selection.shard(study, selected, given["shard"].value)
  if given["report"].value:
    layout.check_begun(root)
  if not any(given[name].value for name in ("list", "dry_run", "plan")):
    places.ready(root, "the study", "give another --workdir")
  agree.check(study, root, everything)
  if given["report"].value:
    _report(study, everything, place, asked.words)
    return
  if given["submit"].value:
    _submit(asked, root, study.name)
    return
  if given["list"].value:
    print(listing.table(study, place, selected), end="")
  elif given["dry_run"].value:
    for line in listing.dry_run(study, place, selected):
      print(line)
  elif given["plan"].value is not None:
    for line in plans.table(root, selected, given["plan"].value, given["plan_images"].value):
      print(line, flush=True)
  else:
    _do(study, place, selected, everything, asked)


def _do(study, place, selected, everything, asked) -> None:
  from contrastive_jax.study import children, runner

  given = asked.flags
  children = children.Children(given["restarts"].value, shlex.split(given["under"].value))
  options = {"jobs": given["jobs"].value, "variables": given["job_env"].value}
  run = runner.Runner(study, place, selected, children, **options)
  run.run()
  for group in run.undecided:
    print(f"{group}: no choice yet, not all its cells have their scores", flush=True)
  _report(study, everything, place, asked.words)
  if run.failed:
    raise errors.CellsFailed(
      f"{len(run.failed)} of {plural.of(len(selected), 'cell')}: {', '.join(run.failed)} (see "
      "output.log in the folder of each); the others are done, and the same command tries these "
      "again"
    )


def _report(study, everything, place, words) -> None:
  from contrastive_jax.study import report

  root = place.root
  place.look(curves=True)
  with (root / "report.lock").open("w") as file:  # shards may end at once
    fcntl.flock(file, fcntl.LOCK_EX)
    whole = [word for word in words if not re.match(r"--?(report|shard|only)\b", word)]
    command = shlex.join(["contrastive_jax", "study", *whole])
    written = report.write(study, everything, root, command)
    place.keep(*written)
  print(f"report: {', '.join(map(place.told, written))}", flush=True)


def _check_flags(given: flags.FlagValues) -> None:
  modes = ("list", "dry_run", "plan", "report", "slurm", "jobset", "submit")
  asked = [f"--{name}" for name in modes if given[name].value]
  if len(asked) > 1:
    raise errors.UserError(f"{' and '.join(asked)} are asked for; give one of them")
  for name in ("slurm", "jobset", "submit"):
    if given[name].value is not None and given[name].value < 1:
      raise errors.UserError(f"--{name}={given[name].value} is below 1; use 1 shard or more")
  for variable in given["job_env"].value:
    if "=" not in variable:
      raise errors.UserError(f"--job_env={variable} is not NAME=VALUE")
  if given["submit"].value and address.is_bucket(given["workdir"].value):
    raise errors.UserError(
      f"--submit keeps its files in --workdir, and {given['workdir'].value} is in a bucket; print "
      "a script with --slurm=N, or give a directory"
    )


def _submit(asked: Asked, root: pathlib.Path, name: str) -> None:
  from contrastive_jax.study import submit

  given = asked.flags
  to, settings = given["submit_to"].value, given["submit_with"].value
  words = ["study", *_of_a_shard(asked.words)]
  submit.submit(words, given["submit"].value, root / "jobs", name, to, settings)


def _of_a_shard(words: list[str]) -> list[str]:
  """Returns what each shard is called with, but for its --shard."""
  return [w for w in words if not re.match(r"--?(slurm|jobset|submit|submit_\w+|shard)=", w)]


def _manifest(asked: Asked, name: str) -> str:
  from contrastive_jax.study import manifests

  words = _of_a_shard(asked.words)
  if asked.flags["slurm"].value:
    return manifests.slurm(["study", *words], asked.flags["slurm"].value, name)
  return manifests.jobset(["study", *words], asked.flags["jobset"].value, name)


COMMAND = Command(
  name="study",
  line="Runs, scores and draws an experiment of many runs, or goes on with one.",
  example="contrastive_jax study --config=studies/batch_size:tiny --workdir=runs/batch_size",
  schema=config,
  kind=config_files.STUDIES,
  run=_run,
  define=_define,
  itself=False,
  in_buckets=lambda given: True,
  workdir="directory of the study: its runs, choices, report",
)
