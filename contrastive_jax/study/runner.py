"""Runs the cells of a study, several at a time if asked to, chooses, and scores what was chosen.

Every cell that can be run is; those that another study holds are waited for. Where all cells of a
group have their scores on the images held out, whoever sees it first writes down the choice.
"""

import collections
import logging
import signal
import threading
import time
from collections.abc import Sequence

from ml_collections import ConfigDict

from contrastive_jax import errors
from contrastive_jax.study import cells as cells_lib
from contrastive_jax.study import choose, estimate, layout
from contrastive_jax.study import config as study_config
from contrastive_jax.study.cells import Cell
from contrastive_jax.study.children import Children
from contrastive_jax.study.place import Place
from contrastive_jax.study.work import ELSEWHERE, TRAIN, Ended, Stage, Work

_LOG = logging.getLogger(__name__)
_WAIT_S = 1.0  # before a cell that another study holds is tried again
_POLL_S = 0.1


class Runner:
  """Runs cells on this machine.

  Attributes:
    failed: {name of a cell: why}.
    undecided: groups of which nothing could be chosen yet.
  """

  def __init__(
    self,
    study: ConfigDict,
    place: Place,
    selected: Sequence[Cell],
    children: Children,
    *,
    jobs: int = 1,
    variables: Sequence[str] = (),
  ):
    """Writes nothing; what must agree was checked, see `agree`.

    Args:
      study: its config.
      place: where it lies.
      selected: its cells that are to be run.
      children: that run the commands.
      jobs: how many at a time.
      variables: of the environment of each, NAME=VALUE, {job} in it the number of its place.
    """
    self._study, self._place, self._root = study, place, place.root
    self._selected = list(selected)
    self._children, self._jobs = children, jobs
    self._variables = [v.partition("=")[::2] for v in variables]
    self._all = cells_lib.cells(study)
    self._number = {cell.name: i for i, cell in enumerate(self._all, 1)}
    self._groups = choose.groups(study, self._all)
    self._work = Work(study, place)
    self._before = {cell.name: layout.record(self._root, cell.name) for cell in self._all}
    self._begun: dict[str, float] = {}  # name -> when
    self._waiting = collections.deque(
      cell for cell in self._selected if not choose.is_left_out(study, self._root, cell)
    )
    self._elsewhere: list[tuple[float, Cell]] = []  # (when to try again, cell)
    self._active: set[str] = set()
    self._turn = threading.Condition()
    self._problem: BaseException | None = None
    self._warned: set[str] = set()
    self.failed: dict[str, str] = {}
    self.undecided: list[str] = []

  def run(self) -> None:
    """Runs what is to be run.

    Raises:
      KeyboardInterrupt, Preempted: this process was told to leave; its children have left.
    """
    self._place.write(self._root / "study.json", study_config.to_json(self._study))
    groups = list(dict.fromkeys(choose.group_of(self._study, cell) for cell in self._selected))
    with self._children.listening():
      for group in groups:
        self._decide(group)  # one that was killed before it did
      threads = [
        threading.Thread(target=self._take_turns, args=(job,)) for job in range(self._jobs)
      ]
      for thread in threads:
        thread.start()
      for thread in threads:
        while thread.is_alive():  # a join without end would keep signals out
          thread.join(_POLL_S)
    if self._problem:
      raise self._problem
    if self._children.told == signal.SIGINT:
      raise KeyboardInterrupt
    if self._children.told is not None:
      raise errors.Preempted("SIGTERM: the runs under way have saved; the same command goes on")
    self._place.look()
    self.undecided = [g for g in groups if self._study.choose and not self._decide(g)]

  def _take_turns(self, job: int) -> None:
    extra = {name: value.replace("{job}", str(job)) for name, value in self._variables}
    while (cell := self._next()) is not None:
      try:
        before = self._before[cell.name]
        self._end(cell, self._work.do(cell, self._children, extra, before, self._begin))
      except BaseException as error:
        self._problem = self._problem or error
      with self._turn:
        self._active.discard(cell.name)
        self._turn.notify_all()

  def _next(self) -> Cell | None:
    """Returns the next cell; waits while there may be one, None if there will be none."""
    with self._turn:
      while self._children.told is None and self._problem is None:
        ripe = next((e for e in self._elsewhere if e[0] <= time.monotonic()), None)
        if self._waiting or ripe:
          if not self._waiting:
            self._elsewhere.remove(ripe)
          cell = self._waiting.popleft() if self._waiting else ripe[1]
          self._active.add(cell.name)
          return cell
        if not self._active and not self._elsewhere:
          return None
        self._turn.wait(_POLL_S)
    return None

  def _begin(self, cell: Cell, stages: Sequence[Stage]) -> None:
    self._begun[cell.name] = time.monotonic()
    self._say(cell, ", ".join(stage.name for stage in stages))

  def _end(self, cell: Cell, ended: Ended) -> None:
    if ended.state == ELSEWHERE:
      if cell.name not in self._warned:
        self._say(cell, f"under way elsewhere, by {ended.why}; it is waited for")
      with self._turn:
        self._warned.add(cell.name)
        self._elsewhere.append((time.monotonic() + _WAIT_S, cell))
    elif ended.state == layout.FAILED:
      settled = choose.is_settled(self._study, cell, layout.record(self._root, cell.name))
      self._say(cell, f"{'counts as the worst' if settled else 'FAILED'}: {ended.why}")
      if not settled:
        self.failed[cell.name] = ended.why
      self._decide(choose.group_of(self._study, cell), cell.name)
    elif ended.state == layout.DONE:
      self._decide(choose.group_of(self._study, cell), cell.name)
      if cell.name in self._begun:
        took = time.monotonic() - self._begun.pop(cell.name)
        self._say(cell, f"done in {estimate.words(took)}{self._left()}")

  def _left(self) -> str:
    """Returns how many cells are left, and about how long they take."""
    with self._turn:
      left = [*self._waiting, *(cell for _, cell in self._elsewhere)]
    times = estimate.Times(self._root, self._all)
    stages = {cell.name: [stage.name for stage in self._work.needs(cell)] for cell in left}
    seconds = sum(times.of(cell) or 0 for cell in left if TRAIN in stages[cell.name])
    count = sum(map(bool, stages.values()))
    return f"; {count} to go, about {estimate.words(seconds / self._jobs)}" if count else ""

  def _decide(self, group: str, doing: str = "") -> bool:
    """Chooses if that is possible, and has the chosen cells scored; returns whether it was.

    Args:
      group: to choose among.
      doing: name of the cell that has just been done.
    """
    if not self._study.choose:
      return True
    if doing:
      self._place.look()  # at what others did while this cell's record was written
    members = self._groups[group]
    made = choose.choose(self._study, self._place, members, self._work.held_out)
    if made is None:
      return False
    if "instead" in made and group not in self._warned:
      self._warned.add(group)
      path = self._place.told(layout.choice(self._root, group))
      _LOG.warning(
        "warning: %s: %s was chosen and is kept; with the cells of today it would be %s (to choose "
        "again, and score on test images once more, remove %s)",
        *(group, made["chosen"], made["instead"], path),
      )
    with self._turn:
      chosen = [c for c in members if choose.is_chosen(self._study, self._root, c)]
      chosen = [c for c in chosen if choose.has_a_say(self._study, c) or c in self._selected]
      known = {cell.name for cell in [*self._waiting, *(c for _, c in self._elsewhere)]}
      known |= self._active - {doing} | self.failed.keys()
      self._waiting.extend(c for c in chosen if c.name not in known and self._work.needs(c))
      self._turn.notify_all()
    return True

  def _say(self, cell: Cell, what: str) -> None:
    number = self._number[cell.name]
    _LOG.info("cell %d of %d, %s: %s", number, len(self._all), cell.name, what)
