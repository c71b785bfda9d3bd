"""`contrastive_jax compare RUN RUN ...`: runs beside each other, printed, and as files with --out.

It takes folders in place of a config, and so has flags of its own.
"""

import contextlib
import pathlib
import shlex
from collections.abc import Sequence

from absl import flags

from contrastive_jax import errors, paths, places
from contrastive_jax.buckets import address, reads
from contrastive_jax.cli import alone, own_flags, texts
from contrastive_jax.cli.leave import leave

_EXAMPLE = "contrastive_jax compare runs/first runs/second --out=runs/compared"


def main(words: Sequence[str]) -> None:
  """Does what the words after `compare` say."""
  if any(word in texts.HELP for word in words):
    rows = [("RUN ...", "workdirs of runs, also in buckets: finished or not, of any methods")]
    print(own_flags.help(texts.COMPARE, _EXAMPLE, _defined(), *rows), end="")
    return
  if "--version" in words:
    print(texts.version())
    return
  try:
    runs, out, metrics = understood(words)
  except errors.UserError as error:
    leave(f"error: {error}", errors.EXIT_USER_ERROR)
  command = shlex.join(["contrastive_jax", "compare", *words])
  alone.run(lambda: _compare(runs, out, metrics, command), "the same command begins again")


def _compare(runs: Sequence[str], out: str | None, metrics: Sequence[str], command: str) -> None:
  from contrastive_jax.study import compare, own_page, tables

  if out:
    own_page.check_place(pathlib.Path(out), compare.FILES, "give another --out")
    places.ready(pathlib.Path(out), "the comparison", "give another --out")
  with contextlib.ExitStack() as stack:
    folders = [str(stack.enter_context(_folder(run))) for run in runs]
    found = compare.compare(folders, metrics)
  # Of a run in a bucket what was read is a copy, gone by now.
  told = [run._replace(folder=given) for run, given in zip(found.runs, runs, strict=True)]
  found = found._replace(runs=told)
  print("\n".join(map(tables.text, found.tables)), end="", flush=True)
  if out:
    from contrastive_jax.study import compare_report  # draws, which takes a second

    written = compare_report.write(found, pathlib.Path(out), command)
    print(f"\nwritten: {', '.join(map(str, written))}")


def _folder(run: str) -> contextlib.AbstractContextManager[str | pathlib.Path]:
  return (
    reads.records(address.parsed(run, "run"))
    if address.is_bucket(run)
    else (contextlib.nullcontext(run))
  )


def _defined() -> flags.FlagValues:
  values = flags.FlagValues()
  flags.DEFINE_string(
    "out", None, "folder for table.csv, table.md, curves and index.html", flag_values=values
  )
  flags.DEFINE_list(
    "metric",
    [],
    "of metrics.jsonl, e.g. loss,grad_norm; by default loss, accuracies and kNN",
    flag_values=values,
  )
  return values


def understood(words: Sequence[str]) -> tuple[list[str], str | None, list[str]]:
  """Returns runs, folder of the files, and metrics. Raises `UserError`."""
  values, rest = own_flags.understood("compare", words, _defined())
  if not rest:
    raise errors.UserError(f"no run is given; e.g. {_EXAMPLE}")
  out = values["out"].value
  runs = [run if address.is_bucket(run) else paths.local(run, "run") for run in rest]
  for run in runs:
    if address.is_bucket(run) and runs.count(run) > 1:
      raise errors.UserError(f"run {run} is given twice; give each once")
  return runs, out and paths.local(out, "--out"), values["metric"].value
