"""What can be seen of a sample, as sections of a page; each also leaves its pictures as PNG."""

import logging

import numpy as np

from contrastive_jax import data, errors
from contrastive_jax.evaluation import tiles
from contrastive_jax.report import captions, drawings, measures, projecting
from contrastive_jax.report.sample import Part, Sample
from contrastive_jax.study import canvas, markup
from contrastive_jax.study.tables import Table

_ROWS, _NEIGHBOURS = 5, 8  # of hits and of misses; beside each
_CLASSES = 30  # of a confusion matrix that can be read
_CONFUSED = 15  # pairs that are told where there are more
_VIEW_PX = 150


def views(sample: Sample | None, pictures: dict[str, bytes]) -> str:
  """Returns some images beside their views, with what was drawn for each view."""
  if sample is None or sample.views is None:
    return ""
  seen, rows, shown = sample.views, [], []
  mean, std = (np.asarray(x, np.float32) for x in (seen.recipe.mean, seen.recipe.std))
  pixels = np.round(255 * np.clip(seen.views * std + mean, 0, 1)).astype(np.uint8)
  for original, views, drawn in zip(seen.originals, pixels, seen.drawn, strict=True):
    height, width = original.shape[:2]
    row = [tiles.Tile(original, "original")]
    figures_of_row = [_tile(original, ["original", f"{width} x {height} pixels"])]
    for number, (view, params) in enumerate(zip(views, drawn, strict=True), 1):
      row.append(tiles.Tile(view, f"view {number}"))
      figures_of_row.append(_tile(view, [f"view {number}", *captions.of_view(params)]))
    rows.append(row)
    shown.append(f'<div class="plots">{"".join(figures_of_row)}</div>')
  pictures["views beside originals"] = tiles.png(rows)
  said = "Views of the first pass, as the method sees them, and what was drawn for each."
  return markup.notes([said]) + f'<div class="plots">{"".join(shown)}</div>'


def _tile(image: np.ndarray, lines: list[str]) -> str:
  png = tiles.one(image, _VIEW_PX)
  return markup.image(png, lines[0], lines, _VIEW_PX)


def neighbours(
  sample: Sample | None, votes: measures.Votes | None, pictures: dict[str, bytes]
) -> str:
  """Returns test images with their nearest training images: some hits, and the worst misses."""
  if sample is None or votes is None or sample.test is None:
    return ""
  test = sample.test
  labelled = test.label >= 0
  said = []
  if not labelled.any():
    groups = {"test images": np.arange(min(_ROWS, len(test.index)))}
  else:
    right = labelled & (votes.said == test.label)
    order = np.argsort(-votes.certain, kind="stable")
    wrong = [i for i in order if labelled[i] and not right[i]]
    hits = np.random.default_rng(0).permutation(np.flatnonzero(right))
    groups = {"right, taken at random": hits[:_ROWS], "wrong with the most votes": wrong[:_ROWS]}
  body = []
  for title, chosen in groups.items():
    if not len(chosen):
      said.append(f"{title.capitalize()}: none.")
      continue
    png = tiles.png([_row(sample, votes, int(i)) for i in chosen])
    pictures[f"neighbours: {title}"] = png
    body.append(f"<h3>{markup.escape(title.capitalize())}</h3>{markup.image(png, title)}")
  said.append(
    "First the test image, then its nearest training images by the cosine of h, which stands under "
    f"each, of {len(sample.train.index):,} images."
  )
  if labelled.any():
    said.append(
      "Green: of its class, orange: of another. The vote is weighted by exp(cosine / 0.07), "
      f"of {votes.nearest.shape[1]} neighbours."
    )
  return markup.notes(said) + "".join(body)


def _row(sample: Sample, votes: measures.Votes, i: int) -> list[tiles.Tile]:
  test, bank = sample.test, sample.train
  own = int(test.label[i])
  said = _name(sample, int(votes.said[i])) if own >= 0 else ""
  row = [tiles.Tile(test.image(i), _name(sample, own), f"said: {said}" if said else "")]
  for j, cosine in zip(votes.nearest[i][:_NEIGHBOURS], votes.cosine[i], strict=False):
    label = int(bank.label[j])
    right = None if min(label, own) < 0 else label == own
    try:
      image = bank.image(int(j))
    except (data.Unreadable, OSError):
      continue
    row.append(tiles.Tile(image, _name(sample, label), f"{cosine:.2f}", right))
  return row


def _name(sample: Sample, label: int) -> str:
  if label < 0:
    return ""
  return sample.label_names[label] if label < len(sample.label_names) else str(label)


def similarities(sample: Sample | None, pictures: dict[str, bytes]) -> str:
  """Returns the histogram of the cosines of positives and of negatives."""
  if sample is None or not sample.pairs:
    return ""
  part = sample.test or sample.train
  found = {
    layer: (measures.positives(pairs), measures.negatives(part.layers[layer]))
    for layer, pairs in sample.pairs.items()
  }
  made = drawings.similarities(found)
  pictures["similarities"] = canvas.png(made)
  said = "A good run keeps the two apart; where all is at one cosine, all images are one to it."
  alt = "histogram of the cosines of positives and negatives"
  return markup.notes([said]) + markup.picture(canvas.svg(made), alt, "similarities")


def spectrum(sample: Sample | None, pictures: dict[str, bytes]) -> str:
  """Returns the spectrum of the covariance of each layer."""
  if sample is None:
    return ""
  part = sample.test or sample.train
  made = drawings.spectra({name: measures.spectrum(x) for name, x in part.layers.items()})
  pictures["spectrum"] = canvas.png(made)
  said = "Eigenvalues of the covariance of unit vectors: a steep fall is a collapse to few."
  alt = "share of the variance by direction"
  return markup.notes([said]) + markup.picture(canvas.svg(made), alt, "spectrum")


def projections(sample: Sample | None, names: tuple[str, ...], pictures: dict[str, bytes]) -> str:
  """Returns h in the plane, once for the label and for each factor."""
  if sample is None:
    return ""
  part = sample.test or sample.train
  body = []
  for name in names:
    title = projecting.METHODS[name].title
    try:
      points = projecting.project(name, part.layers["h"])
    except Exception as error:  # of a package that is not ours: the other projections are drawn
      said = error if isinstance(error, errors.UserError) else repr(error)
      logging.getLogger(__name__).warning("warning: %s cannot be drawn (%s)", title, said)
      body.append(markup.notes([f"{title} could not be drawn: {said}"]))
      continue
    colorings = _colorings(sample, part, len(points))
    made = drawings.projections(points, colorings or {"": (part.label[: len(points)], ())})
    png = canvas.png(made)
    pictures[f"{title} of h"] = png
    what = f"{title} of h, {len(points):,} images"
    what += f", coloured by {', '.join(colorings)}" if colorings else ""
    body.append(markup.image(png, what, [what]))
  return "".join(body)


def _colorings(
  sample: Sample, part: Part, count: int
) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
  index, label = part.index[:count], part.label[:count]
  found = {"label": (label, sample.label_names)} if (label >= 0).any() else {}
  names = getattr(part.source, "factor_names", {})
  for factor, values in part.source.factors.items():
    values = np.asarray(values)[index]
    if len(np.unique(values)) > 1 and not np.array_equal(values, label):
      found[factor] = (values, tuple(names.get(factor, ())))
  return found


def confusion(
  sample: Sample | None, votes: measures.Votes | None, pictures: dict[str, bytes]
) -> str:
  """Returns the confusion matrix of the vote; of many classes the pairs confused most."""
  if sample is None or votes is None or sample.test is None:
    return ""
  known_label = sample.test.label >= 0
  if not known_label.any():
    return ""
  size = classes(sample)
  true, said = sample.test.label[known_label], votes.said[known_label]
  counts = measures.confusion(true, said, size)
  if size <= _CLASSES:
    made = drawings.confusion(counts, sample.label_names)
    pictures["confusion"] = canvas.png(made)
    told = markup.notes(["In per cent of the test images of a class, which stands at the left."])
    return told + markup.picture(
      canvas.svg(made), "confusion matrix of the vote of neighbours", "confusion"
    )
  np.fill_diagonal(counts, 0)
  order = np.argsort(-counts, axis=None, kind="stable")[:_CONFUSED]
  pairs = [np.unravel_index(i, counts.shape) for i in order]
  rows = [
    [_name(sample, int(a)), _name(sample, int(b)), str(counts[a, b])]
    for a, b in pairs
    if counts[a, b]
  ]
  return markup.table(Table("", ["class", "taken for", "test images"], rows))


def classes(sample: Sample) -> int:
  """Returns the number of classes that are among the labels."""
  return int(max(sample.train.label.max(), sample.test.label.max())) + 1
