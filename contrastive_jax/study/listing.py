"""What a study is: its cells as a table, or as the commands that they consist of."""

from collections.abc import Iterator, Sequence

from ml_collections import ConfigDict

from contrastive_jax import plural
from contrastive_jax.study import cells as cells_lib
from contrastive_jax.study import choose, commands, estimate, layout, questions
from contrastive_jax.study.cells import Cell
from contrastive_jax.study.place import Place
from contrastive_jax.study.work import Work


def table(study: ConfigDict, place: Place, selected: Sequence[Cell]) -> str:
  """Returns a line a cell: its state, steps, images and time, taken or estimated ("~")."""
  everything = cells_lib.cells(study)
  times, sizes = estimate.Times(place.root, everything), estimate.Sizes()
  work = Work(study, place)
  rows = [("cell", "state", "steps", "images", "time")]
  images, seconds, left = 0, 0.0, 0
  asked = [cell for cell in selected if not choose.is_passed_over(study, place.root, cell)]
  for cell in asked:
    todo, steps, time = work.needs(cell), sizes.steps(cell), times.of(cell)
    seen = steps and steps * cells_lib.resolve(cell).batch_size
    state = layout.record(place.root, cell.name).get("state", "")
    if todo:
      left += 1
      seconds += time or 0
      images += seen or 0
    shown = "" if time is None else f"{'~' if todo else ''}{estimate.words(time)}"
    state = f"{state}, to be scored" if todo and state == layout.DONE else state or "-"
    if choose.is_left_out(study, place.root, cell):
      state = "if chosen"
    rows.append((cell.name, state, _number(steps), _number(seen), shown))
  about = f", about {estimate.words(seconds)} one after the other" if seconds else ""
  to_go = f"{plural.of(len(asked), 'cell')}, {left} to go: {plural.of(images, 'image')}{about}"
  sum_ = to_go if left else "all done"
  return "\n".join([*_columns(rows), sum_]) + "\n"


def dry_run(study: ConfigDict, place: Place, selected: Sequence[Cell]) -> Iterator[str]:
  """Yields the commands that are still to be run, and comments where a choice comes first."""
  work = Work(study, place)
  for name, group in choose.groups(study, selected).items():
    for cell in group:
      for stage in work.needs(cell):
        yield commands.shown(stage.words)
    if study.choose and layout.read_choice(layout.choice(place.root, name)) is None:
      axes = ", ".join(study.choose)
      yield f"# {name}: the best {axes} by {study.choose_by or study.measure} on images held out;"
      for question in questions.on_test(study):
        words = ["eval", f"--config={question.spec}"]
        yield f"# then of each of its cells: {commands.shown(words)}"


def _number(value: int | None) -> str:
  return "?" if value is None else f"{value:,}"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = []
  for row in rows:
    first, state, *numbers = (text.ljust(w) for text, w in zip(row, widths, strict=True))
    right = [text.strip().rjust(w) for text, w in zip(numbers, widths[2:], strict=True)]
    lines.append("  ".join([first, state, *right]).rstrip())
  return lines
