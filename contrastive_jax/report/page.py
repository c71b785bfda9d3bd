"""The page of a run: each section drawn by itself, so that one that fails leaves the others."""

import logging
import pathlib
import shlex
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from contrastive_jax import plural
from contrastive_jax.report import drawings, measures, pictured, time_spent
from contrastive_jax.report.sample import Part, Sample
from contrastive_jax.step import collapse
from contrastive_jax.study import canvas, collect, compare, curves, figures, markup, origin
from contrastive_jax.study.tables import Table

_CURVES = (
  *("loss", "contrastive_accuracy", "online_accuracy", "knn_top1"),
  *("collapse_rank", "collapse_cosine", "collapse_std", "collapse_zeros"),
  *("learning_rate", "grad_norm", "images_per_second", "data_wait"),
)


_FEW = 16  # images of which no collapse, and no use, can be told


class Known(NamedTuple):
  """What a page is made of."""

  run: collect.Run
  workdir: str  # as the user names it
  sessions: list[time_spent.Session]
  sample: Sample | None  # None: there are no weights to look at
  votes: measures.Votes | None  # of neighbours by h
  accuracies: dict[str, float]  # of their vote, by pixels, and of the largest class; in [0, 1]
  projections: tuple[str, ...]


class Drawn(NamedTuple):
  """The page, and pictures that TensorBoard shows as well."""

  html: str
  pictures: dict[str, bytes]  # PNG by name


def draw(known: Known, command: str) -> Drawn:
  """Returns the page; `command` repeats it."""
  pictures: dict[str, bytes] = {}
  makers: list[tuple[str, Callable[[], str]]] = [
    ("Alarms", lambda: _alarms(known)),
    ("Did it work?", lambda: _figures(known)),
    ("Curves", lambda: _curves(known.run)),
    ("Scores", lambda: _scores(known)),
    ("What it is shown", lambda: pictured.views(known.sample, pictures)),
    ("Neighbours of test images", lambda: pictured.neighbours(known.sample, known.votes, pictures)),
    ("Similarity of views and images", lambda: pictured.similarities(known.sample, pictures)),
    ("Directions in use", lambda: pictured.spectrum(known.sample, pictures)),
    (
      "The space in a plane",
      lambda: pictured.projections(known.sample, known.projections, pictures),
    ),
    ("What is taken for what", lambda: pictured.confusion(known.sample, known.votes, pictures)),
    ("Where the time went", lambda: _time(known.sessions)),
    ("How to repeat it", lambda: _commands(known, command)),
    ("Config", lambda: _config(known.run)),
    ("Versions and hardware", lambda: markup.table(origin.versions([known.run]), heading=False)),
  ]
  with canvas.settings():
    sections = [(title, body) for title, make in makers if (body := _made(title, make))]
    lead = _made("lead", lambda: _lead(known))
  name = pathlib.PurePath(known.workdir).name or known.run.folder.resolve().name
  return Drawn(markup.page(f"Run {name}", lead, sections), pictures)


def _made(title: str, make: Callable[[], str]) -> str:
  """Returns a section; a note in its place if it cannot be drawn. KeyboardInterrupt passes."""
  try:
    return make()
  except Exception as error:  # whatever: a picture less is no reason to have none
    logging.getLogger(__name__).warning("warning: %s cannot be drawn (%r)", title, error)
    return markup.notes([f"This could not be drawn: {error!r}"])


def _lead(known: Known) -> str:
  run, config = known.run, known.run.config
  facts = {"method": config.get("method.name", "-"), "network": config.get("model.name", "-")}
  facts["images"] = config.get("data.source", "-")
  if known.sample and known.sample.whose:
    facts["weights"] = known.sample.whose
  if run.metrics:
    total = collect.total_steps(run)
    last = run.metrics[-1]["step"]
    facts["steps"] = f"{last:,} of {total:,}" if total else f"{last:,}"
  for metric in ("loss", "knn_top1"):
    if points := collect.curve(run, metric):
      name = f"metric.{metric}"
      facts[figures.title(name).removeprefix("metric.")] = figures.shown(points[-1][1], name)
  spent = sum(time_spent.totals(known.sessions).values())
  facts["time"] = origin.clock(spent or collect.seconds(run))
  share = time_spent.goodput(known.sessions)
  if share is not None:
    facts["goodput"] = f"{100 * share:.0f} %"
  return markup.facts(facts) + markup.notes(run.notes)


def _alarms(known: Known) -> str:
  told = [(line["step"], text) for line in known.run.metrics for text in line.get("alarms", ())]
  found, few = [], 0
  if known.sample and known.sample.test and len(known.sample.test.index) < _FEW:
    few = len(known.sample.test.index)
  elif known.sample and known.sample.test and "z" in known.sample.test.layers:
    z, config = known.sample.test.layers["z"], known.run.config
    limits = {k: config[f"monitor.{k}"] for k in ("min_std", "min_rank", "max_cosine", "max_zeros")}
    lengths = np.linalg.norm(z, axis=1)
    values = {
      "std": measures.spread(z),
      "rank": measures.effective_rank(measures.spectrum(z)),
      "cosine": float(measures.negatives(z).mean()),
      "zeros": float(np.mean(lengths < 1e-4)),
    }
    found = [f"test images: {text}" for text in collapse.alarms(values, **limits).values()]
  by = known.accuracies
  if "pixels" in by and by["h"] <= by["pixels"] and not few:
    found.append(
      f"test images: neighbours by h are right for {100 * by['h']:.1f} %, by raw pixels for "
      f"{100 * by['pixels']:.1f} %: the network is of no use"
    )
  bad = [f"step {step:,}: {text}" for step, text in told] + found
  if not bad:
    last = (
      f"; of {few} test images, too few, none can be told" if few else ", nor in the last weights"
    )
    return markup.notes([f"None: no sign of a collapse while it trained{last}."])
  lines = [f'<p class="bad">{markup.escape(text)}</p>' for text in bad[:20]]
  return "\n".join(lines) + markup.notes([f"and {len(bad) - 20} more"] if len(bad) > 20 else [])


def _figures(known: Known) -> str:
  """Returns figures that tell a good representation from a collapsed one, with what they mean."""
  sample = known.sample
  if sample is None:
    return ""
  part = sample.test or sample.train
  rows = []
  for layer, x in part.layers.items():
    size = x.shape[1]
    rank = cosine = uniformity = "-"
    if len(x) > 1:
      rank = f"{measures.effective_rank(measures.spectrum(x)):.1f}"
      cosine = f"{measures.negatives(x).mean():.3f}"
      uniformity = f"{measures.uniformity(x):.2f}"
    rows.append([layer, "effective rank", rank, f"1 at one point or line, up to {size}"])
    rows.append([layer, "mean cosine of two images", cosine, "0 if even, 1 at one point"])
    rows.append([layer, "uniformity", uniformity, "0 at one point, lower is more even"])
    if layer in sample.pairs:
      aligned = measures.alignment(sample.pairs[layer])
      rows.append([layer, "alignment", f"{aligned:.3f}", "0 where two views of an image agree"])
  by, meant = known.accuracies, {"pixels": "without any network: h should be above"}
  meant["h"] = f"{100 * by.get('chance', 0):.1f} % of the images are of one class"
  shown = [k for k in ("h", "pixels") if k in by]
  rows = [*([k, "kNN top-1, %", f"{100 * by[k]:.1f}", meant[k]] for k in shown), *rows]
  notes = [
    f"Of {plural.of(len(part.index), 'image')} of {part.name}, "
    f"{f'by {sample.whose}, ' if sample.whose else ''}at step {sample.loaded.step:,}; vectors at "
    f"unit length. Cosines and uniformity: of {measures.MOST:,} of them at most; alignment: of two "
    f"views of each of {_num_pairs(sample):,} training images. Alignment and uniformity: Wang and "
    "Isola (2020). Effective rank: (sum of eigenvalues)² / sum of their squares."
  ]
  if sample.cut_short:
    notes.append("Fewer images than asked for: the time for them was over.")
  return markup.table(Table("", ["layer", "figure", "value", "how to read it"], rows, notes))


def _num_pairs(sample: Sample) -> int:
  return len(next(iter(sample.pairs.values()))) if sample.pairs else 0


def _accuracies(sample: Sample, votes: measures.Votes) -> dict[str, float]:
  """Returns {} if no test image has a label."""
  test = sample.test
  labelled = test.label >= 0
  if not labelled.any():
    return {}
  label = test.label[labelled]
  found = {"chance": float(np.bincount(label).max() / len(label))}
  said = {"h": votes.said, "pixels": _pixel_votes(sample.train, test, sample)}
  of_each = {k: float(np.mean(v[labelled] == label)) for k, v in said.items() if v is not None}
  return found | of_each


def _pixel_votes(bank: Part, test: Part, sample: Sample) -> np.ndarray | None:
  """Returns what neighbours by raw pixels say; None: images are of several sizes, or large."""
  size = bank.source.native_size_px
  if size is None or size > 64:
    return None
  both = []
  for part in (bank, test):
    pixels = np.stack([part.image(row) for row in range(len(part.index))])
    both.append(pixels.reshape(len(pixels), -1).astype(np.float32) / 255)
  return measures.vote(both[0], bank.label, both[1], pictured.classes(sample)).said


def _curves(run: collect.Run) -> str:
  series = [curves.Series("", run)]
  drawn = [
    markup.picture(canvas.svg(curves.draw(series, [metric])), f"{metric} over time", f"c-{metric}")
    for metric in collect.present([run], _CURVES)
  ]
  return f'<div class="plots">{"".join(drawn)}</div>' if drawn else ""


def _scores(known: Known) -> str:
  run = known.run
  if not run.results:
    flag = shlex.quote(f"--workdir={known.workdir}")
    return markup.notes([f"None yet: contrastive_jax eval {flag}"])
  found = compare.compare([str(run.folder)]).tables
  return "".join(markup.table(t, heading=False) for t in found if t.title.startswith("Scores"))


def _time(sessions: list[time_spent.Session]) -> str:
  if not any(session.seconds for session in sessions):
    return markup.notes(["This run has no time.jsonl: it was trained by an earlier version."])
  made = drawings.time(time_spent.totals(sessions))
  rows = []
  for session in sessions:
    parts = [f"{session.seconds.get(phase, 0.0):.1f}" for phase in time_spent.PHASES]
    lost = f"{session.lost_steps:,}" if session.lost_steps else "-"
    rows.append([f"{session.start_step:,} to {session.last_step:,}", *parts, lost])
  head = ["steps", *(f"{name}, s" for name in time_spent.PHASES.values()), "steps lost"]
  notes = [
    "A row for each process that worked on the run. Lost: steps after the last checkpoint, which "
    "the next one did again. JAX computes while Python goes on: 'steps' is all between two batches."
  ]
  drawn = markup.picture(canvas.svg(made), "time by phase", "time")
  return drawn + markup.table(Table("", head, rows, notes))


def _commands(known: Known, command: str) -> str:
  ran = [session.command for session in known.sessions if session.command]
  return markup.commands([*dict.fromkeys(ran), command])


def _config(run: collect.Run) -> str:
  idle = {key.split(".")[1] for key in run.config if key.startswith("data.") and key.count(".") > 1}
  idle -= {run.config.get("data.source")}
  rows = [
    [key, str(value)]
    for key, value in run.config.items()
    if not (key.startswith("data.") and key.split(".")[1] in idle)
  ]
  return markup.details(f"{len(rows)} keys", markup.table(Table("", ["key", "value"], rows)))


def known(
  folder: pathlib.Path, workdir: str, sample: Sample | None, projections: tuple[str, ...]
) -> Known:
  """Returns all that a page says of the run `workdir`, of which a folder has the records."""
  votes, accuracies = None, {}
  if sample and sample.test is not None:
    bank, test = sample.train, sample.test
    votes = measures.vote(
      bank.layers["h"], bank.label, test.layers["h"], max(pictured.classes(sample), 1)
    )
    accuracies = _accuracies(sample, votes)
  sessions = time_spent.read(folder / "time.jsonl")
  return Known(collect.read(folder), workdir, sessions, sample, votes, accuracies, projections)
