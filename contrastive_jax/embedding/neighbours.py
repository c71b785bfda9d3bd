"""The images of a set that are nearest to some queries, by cosine of a layer, as a picture."""

import logging
import os
import pathlib
from collections.abc import Sequence

import jax
import numpy as np
from ml_collections import ConfigDict

from contrastive_jax import data, errors, paths, places, plural, run_images
from contrastive_jax.data import given, pipeline, pixels
from contrastive_jax.embedding import embed, pieces
from contrastive_jax.embedding.nearest import Nearest
from contrastive_jax.evaluation import features, tiles
from contrastive_jax.processes import agree, hosts


def run(
  config: ConfigDict,
  workdir: str,
  queries: Sequence[str],
  out: str,
  *,
  k: int = 8,
  images: str = "config",
  split: str = "train",
  devices: list[jax.Device] | None = None,
) -> pathlib.Path:
  """Draws a row for each query: itself, and its k nearest images with their cosines.

  Args:
    config: of an evaluation, with one layer; other arguments are those of `pieces.opened`.
    queries: files of images, or numbers of images of the set, which are no neighbours of their own.
    out: the PNG.
    k: neighbours.

  Raises:
    UserError: config, workdir, images, a query or `out` cannot work.
  """
  path = pathlib.Path(out)
  if path.suffix != ".png":
    raise errors.UserError(f"--out={out} is no PNG; give a name that ends in .png")
  places.check_folder(path.parent, "--out", "give another --out")
  with hosts.losses_named():
    asked = pieces.opened(config, workdir, images, split, devices)
    run_images.check_rgb(asked.loaded.config, "a picture of neighbours")
    (layer, *others) = asked.config.layers
    if others:
      raise errors.UserError(
        f"layers are {', '.join(asked.config.layers)}, and neighbours are of one; "
        f"set --config.layers={layer}"
      )
    form = asked.split.form  # RGB, where values of more bits have a range
    source = data.formed(asked.split.source, form)
    own = np.asarray([_number(query, len(source)) for query in queries])
    shown = [
      _query(query, number, source, form) for query, number in zip(queries, own, strict=True)
    ]
    with agree.mistakes_shared():
      if jax.process_index() == 0:
        places.ready(path.absolute().parent, "the picture", "give another --out")
    found = Nearest(_features_of(asked, shown)[layer], k)
    for piece in pieces.over(asked):
      found.add(piece.layers[layer], piece.index, own)
    if jax.process_index() == 0:
      rows = _rows(queries, shown, found, source)
      among = plural.of(len(source), "image")
      title = f"{layer} of step {asked.loaded.step}: nearest of {among} by cosine"
      places.write(path, tiles.png(rows, title))
      drawn = sum(map(len, rows)) - len(rows)
      said = f"{plural.of(len(rows), 'query', 'queries')}, {plural.of(drawn, 'neighbour')} in all"
      print(f"{said}, in {path}", flush=True)
  return path


def _number(query: str, count: int) -> int:
  """Returns the number of an image of the set that a query names; -1: it names a file."""
  if not query.removeprefix("-").isdecimal() or os.path.exists(query):
    return -1
  if not 0 <= int(query) < count:
    raise errors.UserError(f"--query={query} is outside 0..{count - 1}, the images of the set")
  return int(query)


def _query(query: str, number: int, source: data.Source, form: pixels.Form) -> np.ndarray:
  if number < 0 and not os.path.isfile(paths.local(query, "--query")):
    raise errors.UserError(
      f"--query={query}: there is no such file; give one, or 0..{len(source) - 1} for an image of "
      "the set"
    )
  try:
    found, at = (data.formed(given.source([query]), form), 0) if number < 0 else (source, number)
    return found[at]["image"]
  except data.Unreadable as error:
    raise errors.UserError(f"--query={query} cannot be read ({error})") from error


def _features_of(asked: pieces.Asked, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
  source = given.source(list(images))
  batches = pipeline.eval_batches(
    source, batch_size=asked.config.batch_size, **pipeline.this_process()
  )
  variables = {"params": asked.loaded.params, "stats": asked.loaded.stats}
  found = features.collect(
    asked.encoder, variables, batches, view=asked.split.view, mesh=asked.mesh
  )
  return pieces.whole(found).layers


def _rows(
  queries: Sequence[str], shown: Sequence[np.ndarray], found: Nearest, source: data.Source
) -> list[list[tiles.Tile]]:
  name_of, rows = embed.names(source), []
  for query, image, cosines, indices in zip(queries, shown, found.cosine, found.index, strict=True):
    row = [tiles.Tile(image, os.path.basename(query), "query")]
    for cosine, index in zip(cosines, indices, strict=True):
      if index < 0:
        continue
      try:
        example = source[int(index)]
      except data.Unreadable:  # it could be read a moment ago
        logging.getLogger(__name__).warning("image %d cannot be read any more", index)
        continue
      name = os.path.basename(name_of(int(index)))
      label = data_label(source, example["label"])
      row.append(tiles.Tile(example["image"], f"{cosine:.2f} {label}".rstrip(), name))
    rows.append(row)
  return rows


def data_label(source: data.Source, label: int) -> str:
  """Returns the name of a class, its number where it has none, and "" for no label."""
  if label < 0:
    return ""
  return source.label_names[label] if label < len(source.label_names) else str(label)
