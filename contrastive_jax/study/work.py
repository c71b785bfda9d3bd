"""One cell: what it still needs, and doing it. What is done is never done again."""

import json
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from contrastive_jax import checkpoint_names, errors, reading
from contrastive_jax.study import choose, commands, layout, questions
from contrastive_jax.study.cells import Cell
from contrastive_jax.study.children import Children
from contrastive_jax.study.place import Place
from contrastive_jax.study.questions import Question

TRAIN = "train"


class Stage(NamedTuple):
  """A command that a cell needs; `name` is `TRAIN` or that of an evaluation."""

  name: str
  words: list[str]


class Ended(NamedTuple):
  """How work on a cell ended: a state of `layout`, or `ELSEWHERE`, or `LEFT`."""

  state: str
  why: str = ""


ELSEWHERE = "elsewhere"  # another study works on it
LEFT = "left"  # a signal ended it; nothing is wrong


class Work:
  """The cells of a study where it lies."""

  def __init__(self, study: ConfigDict, place: Place):
    self.study, self.place, self.root = study, place, place.root
    self._on_test, self.held_out = questions.on_test(study), questions.held_out(study)

  def needs(self, cell: Cell) -> list[Stage]:
    """Returns what a cell still needs, in order, as far as it is known what was chosen."""
    record = layout.record(self.root, cell.name)
    settled = choose.is_settled(self.study, cell, record)
    if settled or choose.is_left_out(self.study, self.root, cell):
      return []
    workdir, step = layout.cell(self.root, cell.name), record.get("step")
    given = self.place.workdir(cell.name)
    trained = step is not None and str(step) in reading.names_in(workdir / "checkpoints")
    found = [] if trained else [Stage(TRAIN, commands.train(given, cell))]
    for question in self._asked(cell):
      if not trained or questions.answer(workdir, question, step) is None:
        found.append(Stage(question.name, commands.evaluate(given, question)))
    return found

  def _asked(self, cell: Cell) -> list[Question]:
    held_out = [self.held_out] if choose.has_a_say(self.study, cell) else []
    return [*held_out, *(self._on_test if choose.is_chosen(self.study, self.root, cell) else [])]

  def do(
    self,
    cell: Cell,
    children: Children,
    extra: Mapping[str, str],
    before: Mapping[str, Any],
    begun: Callable[[Cell, list[Stage]], None] = lambda cell, stages: None,
  ) -> Ended:
    """Does what a cell needs, unless another study does.

    Args:
      cell: of this study.
      children: that run the commands.
      extra: variables of their environment.
      before: its record when all this began; a failure that is newer is not tried again.
      begun: is told what is about to be done, if there is something.
    """
    with self.place.held(cell.name) as (lock, holder):
      if holder is not None:
        return Ended(ELSEWHERE, holder)
      stages, record = self.needs(cell), layout.record(self.root, cell.name)
      state, asked = record.get("state"), [question.name for question in self._asked(cell)]
      settled = choose.is_settled(self.study, cell, record)
      failed = state == layout.FAILED and (settled or record != before)
      if failed or (state == layout.DONE and not stages and record.get("scored") == asked):
        return Ended(state, record.get("error", ""))
      record |= {"labels": cell.labels, "seed": cell.seed, "error": ""}
      if stages:
        begun(cell, stages)
      for stage in stages:
        if children.told is not None:
          return Ended(LEFT)
        ended = self._run(cell, stage, record, children, lock, extra)
        if ended is not None:
          return ended
      record |= {"state": layout.DONE, "exit_code": errors.EXIT_OK, "error": ""}
      record["scored"] = asked  # not what ran now: a study killed after a score did not note it
      self._write(cell, record)
      return Ended(layout.DONE)

  def _run(
    self,
    cell: Cell,
    stage: Stage,
    record: dict[str, Any],
    children: Children,
    lock: Any,
    extra: Mapping[str, str],
  ) -> Ended | None:
    """Runs one command and writes down how it ended; returns None if all is well."""
    workdir = layout.cell(self.root, cell.name)
    before, log = time.monotonic(), workdir / "output.log"
    with log.open("ab") as output:
      start = output.tell()
      output.write(f"$ {commands.shown(stage.words)}\n".encode())
      output.flush()
      code = children.run(stage.words, output, lock, extra)
    self.place.keep(log)
    self.place.look()
    if code != errors.EXIT_OK and children.told is not None:
      return Ended(LEFT)
    record["seconds"] = record.get("seconds", 0.0) + time.monotonic() - before
    record["exit_code"] = code
    if code == errors.EXIT_OK and stage.name == TRAIN:
      record |= {"state": layout.TRAINED, "step": _newest(workdir), "devices": _devices(workdir)}
      record["scored"] = []  # of a checkpoint that was there before
    elif code == errors.EXIT_OK and stage.name in [s.name for s in self.needs(cell)]:
      why = f"{stage.name} ended well and left no answer to what was asked"
      record |= {"state": layout.FAILED, "error": why}
    elif code == errors.EXIT_OK:
      record["scored"] = [*dict.fromkeys([*record.get("scored", []), stage.name])]
    else:
      why = _last_line(log, start) or f"{stage.name} ended with code {code}"
      record |= {"state": layout.FAILED, "error": why}
    self._write(cell, record)
    return Ended(layout.FAILED, record["error"]) if record["error"] else None

  def _write(self, cell: Cell, record: dict[str, Any]) -> None:
    path = layout.cell(self.root, cell.name) / "cell.json"
    self.place.write(path, json.dumps(record, indent=2) + "\n")


def _newest(workdir: pathlib.Path) -> int | None:
  """Returns the step of a run's last checkpoint."""
  return max(checkpoint_names.steps(reading.names_in(workdir / "checkpoints")), default=None)


def _devices(workdir: pathlib.Path) -> dict[str, Any]:
  """Returns what a run was trained on, as it says in its versions.json."""
  known = layout.read(workdir / "versions.json") or {}
  return {"kind": known.get("device_kind"), "count": known.get("device_count")}


def _last_line(log: pathlib.Path, start: int) -> str:
  """Returns what a failed command said last, that of its supervisor left aside."""
  with log.open("rb") as file:
    file.seek(start)
    lines = file.read().decode(errors="replace").splitlines()
  said = [line for line in lines if line.strip() and not line.startswith(("launch: ", "$ "))]
  return said[-1][:500] if said else ""
